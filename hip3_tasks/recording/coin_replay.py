"""Replays one market over one piece of the tape.

Most entries can neither make a signal nor change what the detector remembers: they are sorted out in columns, by the
detector's own conditions, before it sees the others. What it is shown is enough, so it decides the same.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import polars as pl

from hip3_tasks.domain.capture import Capture
from hip3_tasks.domain.detector import Detector, Rules
from hip3_tasks.domain.edge import Side, reaches
from hip3_tasks.domain.market import NO_DATA, Entry, Gap
from hip3_tasks.domain.measure import measure
from hip3_tasks.domain.records import Followup, Missed, Signal
from hip3_tasks.files.rules_log import rules_at
from hip3_tasks.recording.other_rules import OtherRules
from hip3_tasks.tape.as_of import entries_as_of
from hip3_tasks.tape.columns import HOLE_SEQ, entry_of, is_hole
from hip3_tasks.tape.load import CoinRows

Outcome: TypeAlias = Followup | Missed
Opened: TypeAlias = tuple[Signal, Entry | None, Capture]
"""A capture with its signal, and the entry in force at that signal."""


class Replayed(NamedTuple):
    """The records of one step of a replay."""

    signals: list[Signal]
    outcomes: list[Outcome]


@dataclass(slots=True)
class CoinState:
    """The state of a coin's replay at the end of a piece."""

    detector: Detector
    on_file: deque[Signal] = field(default_factory=deque)
    """Signals that the detector is told of in their turn."""
    armed: list[tuple[int, bool]] = field(default_factory=list)
    """The instants from which it is known what the detector remembers, and from which it no longer is."""
    last: Entry | None = None
    """The entry in force at the end of what was read; None before the first one and after a hole."""
    open: list[Opened] = field(default_factory=list)
    """Captures that are due later."""

    @property
    def is_armed(self) -> bool:
        return bool(self.armed) and self.armed[-1][1]

    def arm(self, is_armed: bool, at_ms: int) -> None:
        if is_armed != self.is_armed:
            self.armed.append((at_ms, is_armed))


@dataclass(frozen=True, slots=True)
class CoinReplay:
    """The rules of a replay, each with the instant from which on it was in force, and the time of its signals."""

    rules: Sequence[tuple[int, Rules]]
    other: OtherRules
    since_ms: int | None = None
    until_ms: int | None = None

    def step(self, coin_rows: CoinRows, state: CoinState) -> Replayed:
        """The records of a coin in a piece; `state` is moved on to the end of the piece."""
        part, coin, rows = coin_rows.part, coin_rows.coin, coin_rows.read()
        if part.hole_ms is not None:
            state.last = None
            state.arm(False, part.hole_ms)
        shown = rows.filter(self.is_to_be_shown(coin))
        signals = [signal for signal in self._signals(coin, state, shown) if self._is_wanted(signal)]
        states = entries_as_of(rows, [signal.timestamp_ms for signal in signals], before=state.last)
        for signal, t0 in zip(signals, states, strict=True):
            state.open += [(signal, t0, capture) for capture in signal.captures()]
        until_ms = part.info.until_ms
        due = [opened for opened in state.open if opened[2].due_at_ms <= until_ms]
        state.open = [opened for opened in state.open if opened[2].due_at_ms > until_ms]
        instants_ms = [capture.due_at_ms for _, _, capture in due]
        *entries, state.last = entries_as_of(rows, [*instants_ms, until_ms], before=state.last)
        return Replayed(signals, [_outcome(*opened, entry) for opened, entry in zip(due, entries, strict=True)])

    def rest(self, state: CoinState) -> Replayed:
        """The outcomes of the captures that the tape ends before."""
        return Replayed([], [_outcome(*opened, None) for opened in state.open])

    def is_to_be_shown(self, coin: str) -> pl.Expr:
        """Whether a row may make a signal, or change what the detector remembers."""
        bid_px, ask_px, oracle_px = map(pl.col, ("bid_px", "ask_px", "oracle_px"))
        threshold_bps = self._threshold_bps(coin)
        is_through = reaches(Side.BUY, touch_px=ask_px, oracle_px=oracle_px, threshold_bps=threshold_bps) | reaches(
            Side.SELL, touch_px=bid_px, oracle_px=oracle_px, threshold_bps=threshold_bps
        )
        may_fire = pl.col("is_news") & pl.col("is_judged") & ~pl.col("is_doubted") & (bid_px < ask_px)
        has_no_conditions = pl.col("gap").is_null() & pl.col("is_news").is_null()  # version 0.1.0 wrote it
        is_turn = pl.col("is_keyframe") | (pl.col("gap") == NO_DATA) | (pl.col("seq") == HOLE_SEQ) | has_no_conditions
        is_enough: pl.Expr = (may_fire & is_through) | is_turn
        return is_enough

    def _is_wanted(self, signal: Signal) -> bool:
        since_ms, until_ms = self.since_ms or 0, self.until_ms
        return since_ms <= signal.timestamp_ms and (until_ms is None or signal.timestamp_ms < until_ms)

    def _signals(self, coin: str, state: CoinState, shown: pl.DataFrame) -> Iterator[Signal]:
        detector, on_file = state.detector, state.on_file
        for row in shown.iter_rows():
            entry, at_ms = entry_of(row), row[1]
            if is_hole(row) or (entry.conditions is None and not isinstance(entry.value, Gap)):
                state.arm(False, at_ms)
            elif self.other.is_other_detector or _is_beginning(entry):
                state.arm(True, at_ms)
            if not state.is_armed:
                continue
            while on_file and on_file[0].timestamp_ms < at_ms:
                detector.resume([on_file.popleft()])
            detector.rules = rules_at(self.rules, at_ms)
            signal = detector.observe(coin, self.other.conditioned(entry, coin, detector.rules))
            if signal is not None:
                yield signal

    def _threshold_bps(self, coin: str) -> pl.Expr:
        """The threshold of each row, under other rules if there are any."""
        recorded_bps, fee_bps = pl.col("threshold_bps"), pl.col("taker_fee_bps")
        if not self.other.has_threshold:
            return recorded_bps
        threshold_bps = pl.lit(None, pl.Float64)
        for number, (from_ms, rules) in enumerate(self.rules):
            given_bps = rules.threshold_bps(coin, fee_bps)  # type: ignore[arg-type]
            is_in_force = (pl.col("at_ms") >= from_ms) | pl.lit(number == 0)
            threshold_bps = pl.when(is_in_force).then(given_bps).otherwise(threshold_bps)
        return pl.when(fee_bps.is_null()).then(recorded_bps).otherwise(threshold_bps)


def _is_beginning(entry: Entry) -> bool:
    """Whether it is known what the detector remembers at an entry: its keyframe says so, or no feed ran before."""
    return (entry.conditions is not None and entry.conditions.memory is not None) or entry.value == Gap(NO_DATA)


def _outcome(signal: Signal, t0: Entry | None, capture: Capture, due: Entry | None) -> Outcome:
    """The record of a capture, as if a worker had taken it when it was due."""
    return measure(signal, capture, due=due, t0=t0, at_ms=capture.due_at_ms)


def due_at_ms(outcome: Outcome) -> int:
    return outcome.signal_timestamp_ms + outcome.offset_ms
