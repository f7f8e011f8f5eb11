"""Runs the detector and the measurement over the kept tape, as a feed and its workers did over the tape in Redis.

Most entries can neither make a signal nor change what the detector remembers: they are sorted out in columns, by the
detector's own conditions, before it sees the others. What it is shown is enough, so it decides the same.
"""

from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import polars as pl
from pydantic import ValidationError

from hip3_tasks.domain.capture import Capture
from hip3_tasks.domain.detector import Detector, Rules
from hip3_tasks.domain.edge import Side, reaches
from hip3_tasks.domain.market import NO_DATA, Entry
from hip3_tasks.domain.measure import measure
from hip3_tasks.domain.records import Followup, Missed, Signal
from hip3_tasks.errors import BadSetting
from hip3_tasks.files.rules_log import rules_of
from hip3_tasks.recording.columns import KEY, entry_of
from hip3_tasks.recording.load import HOLE_SEQ, Recording, batches, rows_by_coin, scan_parts
from hip3_tasks.settings import Settings
from hip3_tasks.thresholds_file import read_thresholds

Outcome: TypeAlias = Followup | Missed

MAX_ROWS = 2_000_000
"""Rows in memory at once, about 0.7 GB."""


@dataclass(frozen=True, slots=True)
class OtherRules:
    """Rules in place of those that were in force; None leaves one as it was."""

    min_edge_bps: float | None = None
    thresholds_bps: Mapping[str, float] | None = None
    cooldown_ms: int | None = None
    offsets_ms: tuple[int, ...] | None = None

    def over(self, rules: Rules) -> Rules:
        given = {name: value for name in self.__slots__ if (value := getattr(self, name)) is not None}
        return replace(rules, **given)

    @property
    def has_threshold(self) -> bool:
        return self.min_edge_bps is not None or self.thresholds_bps is not None

    @property
    def is_other_detector(self) -> bool:
        """Whether other signals than those of the recorded feed are wanted: then its memory does not count."""
        return self.has_threshold or self.cooldown_ms is not None


def other_rules(
    *,
    min_edge_bps: float | None = None,
    thresholds: Path | None = None,
    cooldown_ms: int | None = None,
    offsets_ms: str | None = None,
) -> OtherRules:
    """The rules of the options of `hip3 replay`. A minimal edge counts for all markets. Raises BadSetting."""
    given: dict[str, Any] = {"thresholds": thresholds, "offsets_ms": offsets_ms}
    try:
        checked = Settings.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0]).removesuffix("_ms")
        raise BadSetting(f"--{name}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None
    thresholds_bps = read_thresholds(thresholds) if thresholds else None if min_edge_bps is None else {}
    return OtherRules(min_edge_bps, thresholds_bps, cooldown_ms, checked.offsets_ms if offsets_ms else None)


class Replayed(NamedTuple):
    """The records of one step of a replay, each kind by time."""

    signals: list[Signal]
    outcomes: list[Outcome]


@dataclass(slots=True)
class _CoinState:
    """The state of a coin at the end of a piece."""

    is_armed: bool = False
    """Whether it is known what the detector remembers."""
    last: Entry | None = None
    """The entry in force at the end of what was read; None before the first one and after a hole."""
    open: list[tuple[Signal, Entry | None, Capture]] = field(default_factory=list)
    """Captures that are due later, each with its signal and the entry in force then."""


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
        self._recording, self._other = recording, other or OtherRules()
        self._on_file: dict[str, deque[Signal]] = defaultdict(deque)
        for signal in sorted(on_file, key=lambda signal: signal.timestamp_ms):
            self._on_file[signal.market_key].append(signal)
        self._coins = sorted(recording.coins if coins is None else coins)
        self._since_ms, self._until_ms = since_ms, until_ms
        self._rules = [(line.from_ms, self._other.over(rules_of(line))) for line in recording.rules]
        self._rules = self._rules or [(0, self._other.over(Rules()))]
        self._detector = Detector(self._rules[0][1])
        self._states = {coin: _CoinState() for coin in self._coins}
        self._armed: dict[str, list[tuple[int, bool]]] = defaultdict(list)
        """The instants from which a coin's signals are complete, and from which they no longer are."""

    def run(self, advance: Callable[[float], object] = lambda _: None) -> Iterator[Replayed]:
        """Replay piece by piece, in the order of time; the last step has the captures that the tape ends before.

        `advance` is called with the number of pieces done since its last call, which may be a part of one.
        """
        for part in self._recording.parts:
            some = list(batches(self._coins, rows_by_coin([part]), max_rows=MAX_ROWS))
            for coins in some:
                rows = scan_parts([part], coins).filter(pl.col("coin").is_in(coins)).sort(KEY).collect()
                yield self._step(rows, coins, until_ms=part.info.until_ms)
                advance(1 / len(some))
        left = [(signal, t0, capture) for state in self._states.values() for signal, t0, capture in state.open]
        outcomes = [measure(s, c, due=None, t0=t0, at_ms=c.due_at_ms) for s, t0, c in left]
        yield Replayed([], sorted(outcomes, key=due_at_ms))

    def is_complete_at(self, coin: str, at_ms: int) -> bool:
        """Whether a signal of an instant was replayed if there was one: what the detector remembers was known."""
        changes = self._armed[coin]
        place = bisect_right(changes, at_ms, key=lambda change: change[0])
        return place > 0 and changes[place - 1][1]

    def _step(self, rows: pl.DataFrame, coins: Sequence[str], *, until_ms: int) -> Replayed:
        step = Replayed([], [])
        shown = self._to_be_shown(rows).partition_by("coin", as_dict=True)
        present = rows.partition_by("coin", as_dict=True)
        for coin in coins:
            state, entries = self._states[coin], _Entries(present.get((coin,), rows.clear()), self._states[coin].last)
            for signal in self._signals(coin, state, shown.get((coin,), rows.clear())):
                if self._is_wanted(signal):
                    step.signals.append(signal)
                    t0 = entries.as_of(signal.timestamp_ms)
                    state.open += [(signal, t0, capture) for capture in signal.captures()]
            due = [opened for opened in state.open if opened[2].due_at_ms <= until_ms]
            state.open = [opened for opened in state.open if opened[2].due_at_ms > until_ms]
            for signal, t0, capture in due:
                at_ms = capture.due_at_ms
                step.outcomes.append(measure(signal, capture, due=entries.as_of(at_ms), t0=t0, at_ms=at_ms))
            state.last = entries.as_of(until_ms)
        step.signals.sort(key=lambda signal: signal.timestamp_ms)
        step.outcomes.sort(key=due_at_ms)
        return step

    def _is_wanted(self, signal: Signal) -> bool:
        since_ms, until_ms = self._since_ms or 0, self._until_ms
        return since_ms <= signal.timestamp_ms and (until_ms is None or signal.timestamp_ms < until_ms)

    def _signals(self, coin: str, state: _CoinState, rows: pl.DataFrame) -> Iterator[Signal]:
        is_other = self._other.is_other_detector
        for row in rows.iter_rows(named=True):
            is_unjudged = row["seq"] == HOLE_SEQ or (row["gap"] is None and row["is_news"] is None)
            if not is_unjudged and not state.is_armed and (is_other or row["is_keyframe"] or row["gap"] == NO_DATA):
                state.is_armed = True
                self._armed[coin].append((row["at_ms"], True))
            if is_unjudged and state.is_armed:
                state.is_armed = False
                self._armed[coin].append((row["at_ms"], False))
            if not state.is_armed:
                continue
            on_file = self._on_file[coin]
            while on_file and on_file[0].timestamp_ms < row["at_ms"]:
                self._detector.resume([on_file.popleft()])
            rules = self._detector.rules = self._rules_at(row["at_ms"])
            signal = self._detector.observe(coin, self._under(rules, coin, entry_of(row)))
            if signal is not None:
                yield signal

    def _rules_at(self, at_ms: int) -> Rules:
        return self._rules[max(0, bisect_right(self._rules, at_ms, key=lambda rule: rule[0]) - 1)][1]

    def _under(self, rules: Rules, coin: str, entry: Entry) -> Entry:
        """The entry with the conditions that other rules would have given it."""
        how = entry.conditions
        if how is None or not self._other.is_other_detector:
            return entry
        threshold_bps = how.threshold_bps
        if self._other.has_threshold and how.taker_fee_bps is not None:
            threshold_bps = rules.threshold_bps(coin, how.taker_fee_bps)
        return replace(entry, conditions=replace(how, threshold_bps=threshold_bps, memory=None))

    def _to_be_shown(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows that may make a signal, or change what the detector remembers."""
        bid_px, ask_px, oracle_px = map(pl.col, ("bid_px", "ask_px", "oracle_px"))
        threshold_bps = self._threshold_bps()
        is_through = reaches(Side.BUY, touch_px=ask_px, oracle_px=oracle_px, threshold_bps=threshold_bps) | reaches(
            Side.SELL, touch_px=bid_px, oracle_px=oracle_px, threshold_bps=threshold_bps
        )
        may_fire = pl.col("is_news") & pl.col("is_judged") & ~pl.col("is_doubted") & (bid_px < ask_px) & is_through
        has_no_conditions = pl.col("gap").is_null() & pl.col("is_news").is_null()  # version 0.1.0 wrote it
        is_turn = pl.col("is_keyframe") | (pl.col("gap") == NO_DATA) | (pl.col("seq") == HOLE_SEQ) | has_no_conditions
        return rows.filter(may_fire | is_turn)

    def _threshold_bps(self) -> pl.Expr:
        """The threshold of each row, under other rules if there are any."""
        recorded_bps = pl.col("threshold_bps")
        if not self._other.has_threshold:
            return recorded_bps
        expression = recorded_bps
        for from_ms, rules in self._rules:
            summed_bps = pl.col("taker_fee_bps") + rules.slippage_bps + rules.min_edge_bps
            in_force_bps = pl.coalesce(_given_bps(rules.thresholds_bps), summed_bps, recorded_bps)
            is_before = pl.lit(False) if expression is recorded_bps else pl.col("at_ms") < from_ms
            expression = pl.when(is_before).then(expression).otherwise(in_force_bps)
        return expression


def _given_bps(thresholds_bps: Mapping[str, float]) -> pl.Expr:
    if not thresholds_bps:
        return pl.lit(None, pl.Float64)
    return pl.col("coin").replace_strict(thresholds_bps, default=None, return_dtype=pl.Float64)


class _Entries:
    """The entries of one coin in a piece, for reading as of an instant; `before` was in force before the first."""

    def __init__(self, rows: pl.DataFrame, before: Entry | None) -> None:
        self._rows, self._before = rows, before
        self._at_ms = rows["at_ms"].to_numpy()

    def as_of(self, at_ms: int) -> Entry | None:
        """The newest entry at or before an instant; None before the first, and in a hole."""
        place = int(np.searchsorted(self._at_ms, at_ms, side="right")) - 1
        if place < 0:
            return self._before
        row = self._rows.row(place, named=True)
        return None if row["seq"] == HOLE_SEQ else entry_of(row)


def due_at_ms(outcome: Outcome) -> int:
    return outcome.signal_timestamp_ms + outcome.offset_ms
