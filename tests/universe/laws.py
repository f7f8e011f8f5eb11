"""The laws of a universe: what must hold after each write to the tape, and of the files when all is over."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import redis

from hip3_tasks.domain.detector import Rules
from hip3_tasks.domain.edge import Side, edge_bps
from hip3_tasks.domain.market import Entry, Gap, Market, decode_entry
from hip3_tasks.domain.records import Followup, Missed, Record, Signal
from hip3_tasks.errors import MalformedRecord
from hip3_tasks.store.keys import Keys
from tests.support.tapes import detect

R = TypeVar("R", bound=Record)
THRESHOLD_BPS = 6.9
CONTRADICTED_MS = 4_000
"""Two contexts come within 2 s, and a silent socket counts as a quiet one for 1.5 s."""
REARMED_MS = 600
"""A market whose last signal is this old may fire again, whatever its cooldown."""

LOST = "lost:"
"""The cause of a gap in place of what the feed no longer remembered."""


class Broken(AssertionError):
    """A law does not hold."""


Id = tuple[int, int]


@dataclass
class Tape:
    """Every entry that was ever on a tape, by coin and id, read back after each write."""

    client: redis.Redis
    length: Callable[[str], int]
    """The length of a key's stream."""
    keys: Keys
    coins: tuple[str, ...]
    entries: dict[str, dict[Id, Market | Gap]] = field(default_factory=lambda: defaultdict(dict))
    sound_after_ms: int = 0
    """No data was lost after this instant."""
    _lengths: dict[str, int] = field(default_factory=dict)

    def watermark_ms(self) -> int:
        return int(self.client.get(self.keys.watermark) or 0)  # type: ignore[arg-type]

    def read_new(self, *, watermark_before_ms: int) -> None:
        """Read what a write has added. Raises Broken when the watermark had passed it already."""
        for coin in self.coins:
            known = self.entries[coin]
            length = self.length(self.keys.tape(coin))
            if length == self._lengths.get(coin):
                continue
            count = max(1, length - self._lengths.get(coin, 0))
            self._lengths[coin] = length
            for raw_id, fields in self.client.xrevrange(self.keys.tape(coin), count=count):  # type: ignore[union-attr]
                entry_id = _id(raw_id)
                if entry_id in known and known[entry_id] == decode_entry(raw_id, fields).value:
                    continue
                known[entry_id] = decode_entry(raw_id, fields).value
                if entry_id[0] <= watermark_before_ms:
                    raise Broken(f"{coin} {entry_id} appeared below the watermark {watermark_before_ms}")

    def on_lost_data(self) -> None:
        """The server has lost data, or has older data again."""
        self._lengths.clear()
        self.sound_after_ms = max([0, *(entry_id[0] for entries in self.entries.values() for entry_id in entries)])

    def present(self, coin: str) -> list[Entry]:
        """The entries that are on a tape now, oldest first."""
        rows = self.client.xrange(self.keys.tape(coin))
        return [decode_entry(raw_id, fields) for raw_id, fields in rows]  # type: ignore[union-attr]

    def as_of(self, coin: str, at_ms: int) -> Market | Gap | None:
        """The newest entry at or before an instant, of all that were ever there."""
        ids = [entry_id for entry_id in self.entries[coin] if entry_id[0] <= at_ms]
        return self.entries[coin][max(ids)] if ids else None


@dataclass
class Absence:
    """The time from a feed's death to the first state that a later feed knew of each market, on the feeds' clock."""

    from_ms: int
    until_ms: dict[str, int] = field(default_factory=dict)

    def covers(self, coin: str, at_ms: int) -> bool:
        return self.from_ms < at_ms < self.until_ms.get(coin, at_ms + 1)


@dataclass(frozen=True, slots=True)
class FrozenBook:
    """A book that stood still while its market moved on, from one instant of the feed's clock to another."""

    coin: str
    bid_px: float
    from_ms: int
    until_ms: int

    def is_shown(self, followup: Followup) -> bool:
        """Whether a follow-up shows it although two contexts have contradicted it, also behind a silent socket."""
        is_due = self.from_ms + CONTRADICTED_MS < followup.due_at_ms < self.until_ms
        return self.coin == followup.market_key and is_due and abs((followup.bid_px or 0.0) - self.bid_px) < 1e-3


@dataclass
class Judge:
    """Holds the files and the tape to the laws at the end."""

    data_dir: Path
    tape: Tape
    absences: list[Absence]
    heard: dict[tuple[str, int], list[Market]]
    """The states that a feed put down, by coin and instant, whether they reached the tape or not."""
    frozen: list[FrozenBook]
    rules: Rules
    detecting_until_ms: int
    lost_data: int
    damaged: Mapping[str, Counter[bytes]]
    """The broken lines that power cuts left, by file."""
    acknowledged: Mapping[str, bytes]
    """The beginning of each file that a process last relied on."""

    def check(self) -> None:
        """Raises Broken with the first law that does not hold."""
        self._acknowledged_is_there()
        signals = list(self._lines("signals", Signal))
        followups = list(self._lines("followups", Followup))
        missed = list(self._lines("missed", Missed))
        self._each_capture_once(signals, [*followups, *missed])
        for followup in followups:
            self._shows_the_market(followup)
        self._signals_are_those_of_the_tape(signals)

    def _acknowledged_is_there(self) -> None:
        for name, content in self.acknowledged.items():
            path = self.data_dir / name
            if not path.exists() or not path.read_bytes().startswith(content):
                raise Broken(f"{name} does not begin with the {len(content)} bytes that were acknowledged")

    def _lines(self, name: str, kind: type[R]) -> Iterator[R]:
        """The records of a kind. A torn line breaks a law, and so does a broken one that no power cut left."""
        for path in sorted(self.data_dir.glob(f"{name}_*.jsonl")):
            *lines, tail = path.read_bytes().split(b"\n")
            if tail:
                raise Broken(f"{path.name} ends with a torn line: {tail[-80:]!r}")
            left = Counter(self.damaged.get(path.name, ()))
            for line in lines:
                try:
                    yield kind.from_line(line)
                except MalformedRecord as error:
                    left[line] -= 1
                    if left[line] < 0:
                        raise Broken(f"{path.name}: {error}") from error

    def _each_capture_once(self, signals: list[Signal], outcomes: list[Followup | Missed]) -> None:
        ids = [signal.signal_id for signal in signals]
        if len(set(ids)) < len(ids):
            raise Broken(f"a signal is on file twice: {sorted(i for i in set(ids) if ids.count(i) > 1)}")
        keys = [record.key for record in outcomes]
        if len(set(keys)) < len(keys):
            raise Broken(f"a capture has two lines: {sorted(key for key in set(keys) if keys.count(key) > 1)}")
        wanted = {(signal.signal_id, offset_ms) for signal in signals for offset_ms in signal.offsets_ms}
        if wanted - set(keys):
            raise Broken(f"captures without a line: {sorted(wanted - set(keys))}")
        if set(keys) - wanted:
            raise Broken(f"lines without a signal: {sorted(set(keys) - wanted)}")

    def _shows_the_market(self, followup: Followup) -> None:
        """A follow-up shows the tape as of its due time, and nothing of a time when no feed was there to know it."""
        coin, due_at_ms = followup.market_key, followup.due_at_ms
        state = self.tape.as_of(coin, due_at_ms)
        shown = followup.bid_px, followup.ask_px, followup.oracle_px
        if self.lost_data == 0 and (
            not isinstance(state, Market) or shown != (state.bid_px, state.ask_px, state.oracle_px)
        ):
            raise Broken(f"{followup.key} shows {shown}, the tape as of {due_at_ms} has {state}")
        if any(book.is_shown(followup) for book in self.frozen):
            raise Broken(f"{followup.key} shows a book that stood still: {self.frozen}")
        for absence in self.absences:
            if absence.covers(coin, due_at_ms):
                raise Broken(f"{followup.key}, due at {due_at_ms}, passes for known over {absence}")

    def _signals_are_those_of_the_tape(self, signals: list[Signal]) -> None:
        for signal in signals:
            states = self.heard.get((signal.market_key, signal.timestamp_ms), [])
            if (signal.best_px, signal.oracle_px) not in [(m.touch_px(signal.side), m.oracle_px) for m in states]:
                raise Broken(f"{signal.signal_id} was invented: {states}")
        on_file = {signal.signal_id for signal in signals}
        for coin in self.tape.coins:
            of_coin = [signal for signal in signals if signal.market_key == coin]
            self._file_is_detected_again(coin, of_coin)
            for at_ms in self._must_fire(coin, of_coin):
                if f"{coin}-{at_ms}" not in on_file:
                    raise Broken(f"{coin}-{at_ms} stands on the tape and is lost")

    def _file_is_detected_again(self, coin: str, signals: list[Signal]) -> None:
        """The detector, run over the tape from its start or from any keyframe on, gives the signals on file.

        Where the server lost data, or was away while the feed died or forgot, a signal may have no entry any more.
        """
        entries = self.tape.present(coin)
        on_tape = {(e.at_ms, e.value.oracle_px) for e in entries if isinstance(e.value, Market) and _is_news(e)}
        if self.lost_data or any((s.timestamp_ms, s.oracle_px) not in on_tape for s in signals):
            return
        for start, first in enumerate(entries):
            memory = first.conditions and first.conditions.memory
            if start and not memory:
                continue
            # A keyframe's own millisecond may have begun with a signal, which it remembers.
            known = {fired.at_ms for fired in memory.fired.values()} if memory else set()
            detected = [signal.signal_id for signal in detect(coin, entries[start:], rules=self.rules)]
            on_file = sorted(
                s.signal_id for s in signals if s.timestamp_ms >= first.at_ms and s.timestamp_ms not in known
            )
            if sorted(detected) != on_file:
                raise Broken(f"{coin}: detected again from {first.at_ms} on: {detected}; on file: {on_file}")

    def _must_fire(self, coin: str, signals: list[Signal]) -> Iterator[int]:
        """The instants at which a market is through an oracle that was never seen before, long after its last signal.

        Whatever the detector remembers, these are signals.
        """
        seen: set[float | None] = set()
        last_ms, is_after_loss = 0, False
        for entry in self.tape.present(coin):
            at_ms, state = entry.at_ms, entry.value
            if isinstance(state, Gap):
                is_after_loss |= state.cause.startswith(LOST)
                continue
            if entry.conditions is not None and entry.conditions.is_doubted:
                continue
            # After a loss the state that was in force is put down again, as after a stall; its oracle may be older than
            # the tape.
            is_again = is_after_loss = is_after_loss and not _is_news(entry)
            # An oracle that has fired may have been lost with the server's data, and the clock have gone back since.
            others = [s for s in signals if s.timestamp_ms < at_ms or (self.lost_data and s.timestamp_ms > at_ms)]
            seen |= {signal.oracle_px for signal in others}
            is_new = state.oracle_px not in seen and not is_again
            seen.add(state.oracle_px)
            if not (state.is_two_sided and state.oracle_px and any(_edge(state, s) >= THRESHOLD_BPS for s in Side)):
                continue
            pause_ms = min([at_ms - last_ms, *(abs(at_ms - s.timestamp_ms) for s in others)])
            if is_new and pause_ms > REARMED_MS and self.tape.sound_after_ms < at_ms < self.detecting_until_ms:
                yield at_ms
            last_ms = at_ms


def _is_news(entry: Entry) -> bool:
    return entry.conditions is None or entry.conditions.is_news


def _edge(state: Market, side: Side) -> float:
    touch_px = state.touch_px(side)
    assert touch_px and state.oracle_px
    return edge_bps(side, touch_px=touch_px, oracle_px=state.oracle_px)


def _id(raw: bytes) -> Id:
    at_ms, seq = raw.split(b"-")
    return int(at_ms), int(seq)
