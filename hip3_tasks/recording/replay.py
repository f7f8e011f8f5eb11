"""Runs the detector and the measurement over the kept tape, as a feed and its workers did over the tape in Redis."""

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from typing import Any, Protocol, TypeVar

from hip3_tasks.domain.detector import Detector, Rules
from hip3_tasks.domain.records import Signal
from hip3_tasks.files.rules_log import rules_of
from hip3_tasks.recording.coin_replay import CoinReplay, CoinState, Replayed, due_at_ms
from hip3_tasks.recording.other_rules import OtherRules
from hip3_tasks.tape.load import CoinRows, Recording, batches

T = TypeVar("T")
Task = tuple[CoinRows, CoinState]

MAX_ROWS = 2_000_000
"""The records of so many rows of a piece are sorted by time at once, about 50 MB."""


class Map(Protocol):
    """`map` itself, or one whose calls run in other processes."""

    def __call__(self, function: Callable[[Any], T], tasks: Iterable[Any], /) -> Iterator[T]: ...


class Replay:
    """A replay of a recording."""

    def __init__(
        self,
        recording: Recording,
        *,
        coins: Collection[str] | None = None,
        since_ms: int | None = None,
        until_ms: int | None = None,
        other: OtherRules | None = None,
        on_file: Iterable[Signal] = (),
    ) -> None:
        """`on_file` are signals that the detector is told of in their turn, as a feed is that starts after a death."""
        other = other or OtherRules()
        rules = [(line.from_ms, other.over(rules_of(line))) for line in recording.rules] or [(0, other.over(Rules()))]
        self._recording, self._coin_replay = recording, CoinReplay(rules, other, since_ms, until_ms)
        chosen = sorted(recording.coins if coins is None else coins)
        self._states = {coin: CoinState(Detector(rules[0][1])) for coin in chosen}
        for signal in sorted(on_file, key=lambda signal: signal.timestamp_ms):
            if signal.market_key in self._states:
                self._states[signal.market_key].on_file.append(signal)

    def run(self, advance: Callable[[float], object] = lambda _: None) -> Iterator[Replayed]:
        """Replay step by step, in the order of time; the last one has the captures that the tape ends before."""
        for results in self.steps(lambda replayed: replayed, advance=advance):
            signals = [signal for result in results for signal in result.signals]
            outcomes = [outcome for result in results for outcome in result.outcomes]
            yield Replayed(sorted(signals, key=lambda signal: signal.timestamp_ms), sorted(outcomes, key=due_at_ms))

    def steps(
        self,
        pack: Callable[[Replayed], T],
        *,
        mapped: Map = map,
        advance: Callable[[float], object] = lambda _: None,
    ) -> Iterator[list[T]]:
        """Replay step by step: some coins of a piece at a time, each packed by itself where it was replayed.

        `advance` is called with the number of pieces done since its last call, mostly a part of one.
        """
        step = partial(_step, self._coin_replay, pack)
        for rows in self._recording.rows(self._states):
            counts = {coin: len(some) for coin, some in rows.items()}
            results, total = mapped(step, ((rows[coin], self._states[coin]) for coin in rows)), sum(counts.values())
            for coins in batches(rows, counts, max_rows=MAX_ROWS):
                packed = []
                for coin in coins:
                    result, self._states[coin] = next(results)
                    packed.append(result)
                    advance(counts[coin] / total if total else 0)
                yield packed
        yield [pack(self._coin_replay.rest(state)) for state in self._states.values()]

    def is_complete_at(self, coin: str, at_ms: int) -> bool:
        """Whether a signal of an instant was replayed if there was one: what the detector remembers was known."""
        changes = self._states[coin].armed if coin in self._states else []
        place = bisect_right(changes, at_ms, key=lambda change: change[0])
        return place > 0 and changes[place - 1][1]


def _step(replay: CoinReplay, pack: Callable[[Replayed], T], task: Task) -> tuple[T, CoinState]:
    rows, state = task
    return pack(replay.step(rows, state)), state
