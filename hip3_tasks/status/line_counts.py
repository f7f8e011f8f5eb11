"""Counts of the lines of data files: signals, follow-ups, missed captures, lateness and outcomes."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from hip3_tasks.domain.capture import DAY_MS, utc_day
from hip3_tasks.files.day_files import KINDS, jsonl_path
from hip3_tasks.files.line_reader import backwards, complete_length
from hip3_tasks.files.tail import Tail
from hip3_tasks.status.lateness_histogram import LatenessHistogram, joined
from hip3_tasks.status.outcome_sums import OutcomeSums, TripSums
from hip3_tasks.status.trips import ANY_TAKER, OpenSignals, Taker

LATENESS_FIELDS = ("offset_ms", "due_at_ms", "captured_at_ms")
MAX_MAGNITUDE = 1e15
"""The largest number that is read: beyond any time in ms, price or size, below 2^53 and within JavaScript's dates."""
NO_RECORD = (ValueError, TypeError, KeyError, AttributeError, ArithmeticError)
"""The errors of reading a line that is no record: a field is missing, or has a value of another type."""


@dataclass
class WorkerStart:
    """The time at which the first worker came, if known. The counts of one reader share it."""

    first_worker_at_ms: int | None = None

    def explains(self, *, due_at_ms: int, captured_at_ms: int) -> bool:
        """Whether a capture was due before there was a worker. Such a delay is no lateness of the system."""
        return self.first_worker_at_ms is not None and due_at_ms < self.first_worker_at_ms <= captured_at_ms


class LineCounts:
    """Counts of records. A line that is no record is not counted; `hip3 audit` names it."""

    def __init__(self, signals: OpenSignals | None = None, start: WorkerStart | None = None) -> None:
        """Counts that read lines of the same signals share `signals` and `start`."""
        self._open_signals = OpenSignals() if signals is None else signals
        self.start = WorkerStart() if start is None else start
        self.due_before_worker = 0
        """The number of follow-ups that are left out of the lateness."""
        self.signals = 0
        self.followups_by_offset_ms: Counter[int] = Counter()
        self.missed_by_reason: Counter[str] = Counter()
        self.lateness_by_offset_ms: defaultdict[int, LatenessHistogram] = defaultdict(LatenessHistogram)
        self.outcomes_by_offset_ms: defaultdict[int, OutcomeSums] = defaultdict(OutcomeSums)
        self.trips: defaultdict[tuple[int, int], TripSums] = defaultdict(TripSums)
        """The sums by latency and time held, in ms."""

    @property
    def followups(self) -> int:
        return self.followups_by_offset_ms.total()

    @property
    def missed(self) -> int:
        return self.missed_by_reason.total()

    @property
    def lateness(self) -> LatenessHistogram:
        """The lateness of all follow-ups, whatever their offset."""
        return joined(self.lateness_by_offset_ms.values())

    def add(self, kind: str, lines: Iterable[bytes]) -> None:
        for record in read_records(lines):
            self.take(kind, record)

    def take(self, kind: str, record: dict[str, Any]) -> None:
        with suppress(*NO_RECORD):
            if kind == "signals":
                self.signals += "timestamp_ms" in record
                self._open_signals.take(record)
            elif kind == "missed":
                self.missed_by_reason[str(record["reason"])] += 1
                self._open_signals.answered(record)
            else:
                offset_ms, due_at_ms, captured_at_ms = (record[name] for name in LATENESS_FIELDS)
                if type(offset_ms) is type(due_at_ms) is type(captured_at_ms) is int:
                    if self.start.explains(due_at_ms=due_at_ms, captured_at_ms=captured_at_ms):
                        self.due_before_worker += 1
                    else:
                        self.lateness_by_offset_ms[offset_ms].add(captured_at_ms - due_at_ms)
                    self.followups_by_offset_ms[offset_ms] += 1
                    self._add(record, offset_ms)

    def _add(self, followup: dict[str, Any], offset_ms: int) -> None:
        signal = self._open_signals.answered(followup)
        self.outcomes_by_offset_ms[offset_ms].add(followup, signal.markout_cost_bps if signal else None)
        for latency_ms, held_ms, terms in signal.take(followup) if signal else ():
            self.trips[latency_ms, held_ms].add(terms)

    def join(self, other: "LineCounts") -> None:
        self.signals += other.signals
        self.due_before_worker += other.due_before_worker
        self.followups_by_offset_ms.update(other.followups_by_offset_ms)
        self.missed_by_reason.update(other.missed_by_reason)
        for offset_ms, lateness in other.lateness_by_offset_ms.items():
            self.lateness_by_offset_ms[offset_ms].join(lateness)
        for offset_ms, sums in other.outcomes_by_offset_ms.items():
            self.outcomes_by_offset_ms[offset_ms].join(sums)
        for key, trips in other.trips.items():
            self.trips[key].join(trips)


class RunLineCounts(LineCounts):
    """Counts the lines appended to the data files of any day after it was created."""

    def __init__(self, data_dir: Path, taker: Taker = ANY_TAKER) -> None:
        super().__init__(OpenSignals(taker))
        self._tail = Tail(data_dir)

    def update(self) -> None:
        for kind, lines, *_ in self._tail.new_lines():
            self.add(kind, lines)


def read_records(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Decode lines, except those that belong to no signal or have an impossible value; `hip3 audit` names these."""
    for line in lines:
        with suppress(ValueError):
            record = orjson.loads(line)
            if isinstance(record, dict) and _is_possible(record):
                yield record


def _is_possible(record: dict[str, Any]) -> bool:
    if not (isinstance(record.get("signal_id"), str) and isinstance(record.get("market_key"), str)):
        return False
    # In a loop, since a day has millions of lines: a call for each value takes four times as long.
    for value in record.values():
        kind = type(value)
        if kind is float or kind is int:
            if not -MAX_MAGNITUDE <= value <= MAX_MAGNITUDE:
                return False
        elif kind is dict or (kind is list and not all(map(_is_possible_integer, value))):
            return False
    return True


def _is_possible_integer(value: object) -> bool:
    return type(value) is int and -MAX_MAGNITUDE <= value <= MAX_MAGNITUDE


def recent(
    data_dir: Path, since_ms: int, *, until_ms: int, start: WorkerStart | None = None, taker: Taker = ANY_TAKER
) -> LineCounts:
    """Count the signals since an instant and their captures. Files are read backwards."""
    counts = LineCounts(OpenSignals(taker), start)
    for kind, lines in recent_lines(data_dir, since_ms, until_ms=until_ms):
        counts.add(kind, lines)
    return counts


def recent_lines(
    data_dir: Path, since_ms: int, *, until_ms: int, ends: Mapping[Path, int] | None = None
) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Yield a kind of file and the lines of signals since an instant and of their captures, in no order.

    Each file is read backwards from its offset in `ends`, or from its end.
    """
    for day_ms in range(since_ms // DAY_MS * DAY_MS, until_ms + 1, DAY_MS):
        for kind in KINDS:
            path = jsonl_path(data_dir, kind, utc_day(day_ms))
            yield kind, _lines_since(path, since_ms, end=None if ends is None else ends.get(path, 0))


def _lines_since(path: Path, since_ms: int, *, end: int | None) -> Iterator[bytes]:
    """Yield the lines of signals since an instant; lines of older signals may stand between them."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        if end is None:
            end = complete_length(file.fileno(), os.fstat(file.fileno()).st_size)
        for lines in backwards(file.fileno(), end):
            times = [_times_ms(line) for line in lines]
            yield from (line for line, (signal_ms, _) in zip(lines, times, strict=True) if signal_ms >= since_ms)
            if all(max(both) < since_ms for both in times):
                return


def _times_ms(line: bytes) -> tuple[int, int]:
    """The time of a line's signal, and the time at which the line was written; 0 if unknown."""
    try:
        record: dict[str, Any] = orjson.loads(line)
        signal_ms = int(record.get("timestamp_ms") or record["signal_timestamp_ms"])
        return signal_ms, int(record.get("captured_at_ms") or signal_ms)
    except (ValueError, TypeError, KeyError, AttributeError):
        return 0, 0
