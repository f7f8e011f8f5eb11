"""What the data files say has happened: signals, follow-ups, what was missed, and how late."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from hip3_tasks.capture import DAY_MS, utc_day
from hip3_tasks.dayfiles import KINDS, jsonl_path
from hip3_tasks.lines import backwards, read_from, whole_length

EXACT_BELOW_MS = 1_000


class Lateness:
    """How late follow-ups were captured, in bounded memory: exact below 1 s, then to three digits."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._max_ms: int | None = None

    def add(self, late_ms: int) -> None:
        self._counts[_rounded(late_ms)] += 1
        self._max_ms = late_ms if self._max_ms is None else max(self._max_ms, late_ms)

    def quantile(self, q: float) -> int | None:
        """The least lateness in ms that a share `q` of all did not exceed; None when there were none."""
        wanted = q * self._counts.total()
        for late_ms in sorted(self._counts):
            wanted -= self._counts[late_ms]
            if wanted <= 0:
                return late_ms
        return None

    def summary(self) -> dict[str, int | None]:
        return {"p50": self.quantile(0.5), "p99": self.quantile(0.99), "max": self._max_ms}


class Tally:
    """Counts of lines. What is no record counts for nothing here; `hip3 audit` names it."""

    def __init__(self) -> None:
        self.signals = 0
        self.followups_by_offset_ms: Counter[int] = Counter()
        self.missed_by_reason: Counter[str] = Counter()
        self.lateness = Lateness()

    @property
    def followups(self) -> int:
        return self.followups_by_offset_ms.total()

    @property
    def missed(self) -> int:
        return self.missed_by_reason.total()

    def add(self, kind: str, lines: Iterable[bytes]) -> None:
        for line in lines:
            with suppress(ValueError, TypeError, KeyError):
                record = orjson.loads(line)
                if kind == "signals":
                    self.signals += "timestamp_ms" in record
                elif kind == "missed":
                    self.missed_by_reason[str(record["reason"])] += 1
                else:
                    offset_ms, late_ms = record["offset_ms"], record["captured_at_ms"] - record["due_at_ms"]
                    if type(offset_ms) is int:
                        self.lateness.add(late_ms)
                        self.followups_by_offset_ms[offset_ms] += 1


class RunTally(Tally):
    """The lines appended since its making, to files of whatever day."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__()
        self._data_dir = data_dir
        self._read_to = {path: _whole_length(path) for _, path, _ in _files(data_dir)}

    def update(self) -> None:
        for kind, path, size in _files(self._data_dir):
            # A writer that could not finish takes its own bytes back.
            read_to = min(self._read_to.get(path, 0), size)
            if size > read_to:
                lines, read_to = read_from(path, read_to)
                self.add(kind, lines)
            self._read_to[path] = read_to


def recent(data_dir: Path, since_ms: int, *, until_ms: int) -> Tally:
    """The tally of the signals since an instant and of their captures; files are read from their ends."""
    tally = Tally()
    for day_ms in range(since_ms // DAY_MS * DAY_MS, until_ms + 1, DAY_MS):
        for kind in KINDS:
            tally.add(kind, _lines_since(jsonl_path(data_dir, kind, utc_day(day_ms)), since_ms))
    return tally


def _lines_since(path: Path, since_ms: int) -> Iterator[bytes]:
    """The lines of signals since an instant; those of older ones may stand between them."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        for lines in backwards(file.fileno(), _whole_length(path)):
            times = [_times_ms(line) for line in lines]
            yield from (line for line, (signal_ms, _) in zip(lines, times, strict=True) if signal_ms >= since_ms)
            if all(max(both) < since_ms for both in times):
                return


def _times_ms(line: bytes) -> tuple[int, int]:
    """When the signal of a line was, and when the line was written."""
    try:
        record: dict[str, Any] = orjson.loads(line)
        signal_ms = int(record.get("timestamp_ms") or record["signal_timestamp_ms"])
        return signal_ms, int(record.get("captured_at_ms") or signal_ms)
    except (ValueError, TypeError, KeyError, AttributeError):
        return 0, 0


def _files(data_dir: Path) -> list[tuple[str, Path, int]]:
    """The data files with their kinds and sizes."""
    with os.scandir(data_dir) as entries:
        return [
            (kind, Path(entry.path), entry.stat().st_size)
            for entry in entries
            if entry.name.endswith(".jsonl") and (kind := entry.name.partition("_")[0]) in KINDS
        ]


def _whole_length(path: Path) -> int:
    with path.open("rb") as file:
        return whole_length(file.fileno(), os.fstat(file.fileno()).st_size)


def _rounded(late_ms: int) -> int:
    step = 1
    while late_ms // step >= EXACT_BELOW_MS:
        step *= 10
    return late_ms // step * step
