"""The journal of outcomes: `followups_` and `missed_YYYY-MM-DD.jsonl`, in which each capture has exactly one line.

The file is the truth, and the only one. Under the day's lock (flock on the follow-ups file's own descriptor) a writer
reads what others appended since it last looked, repairs a torn tail, appends only what is absent, in one write a file,
syncs, and takes its own bytes back on any error. A task is acknowledged after that; so tasks that run at least once
make lines that exist exactly once.
"""

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

from hip3_tasks.domain.capture import Capture, utc_day
from hip3_tasks.domain.capture_result import DAY_CLOSED, CaptureResult
from hip3_tasks.domain.records import Followup, Missed
from hip3_tasks.files.append_file import as_journal_error
from hip3_tasks.files.day_files import is_closed, jsonl_path
from hip3_tasks.files.journal_day import DayJournal

MAX_OPEN_DAYS = 4


class Journal:
    """One process's view of a data directory. Opens its files after a fork, never before."""

    def __init__(self, data_dir: Path, *, window_ms: int = 900_000) -> None:
        """`window_ms` of signal time is indexed, in 8 bytes a capture.

        An older capture is searched for on disk; for many of them, as after an outage, the window becomes wider.
        """
        self._data_dir, self._window_ms = data_dir, window_ms
        self._days: dict[str, DayJournal] = {}
        self._pid = os.getpid()
        self._threads = threading.Lock()

    def append(self, records: Sequence[Followup | Missed]) -> list[CaptureResult]:
        """Append records; their results are durable on return. A record whose capture has a line already adds none.

        Raises JournalError when the disk refuses; then no record of its day was added.
        """
        results: dict[int, CaptureResult] = {}
        days = [utc_day(record.signal_timestamp_ms) for record in records]
        with self._threads:
            for day, group in groupby(sorted(range(len(records)), key=days.__getitem__), key=days.__getitem__):
                indexes = list(group)
                results |= zip(indexes, self._append_to_day(day, [records[i] for i in indexes]), strict=True)
        return [results[index] for index in range(len(records))]

    def result(self, capture: Capture) -> CaptureResult | None:
        """The result that is on disk, durably, for a capture; None when it is open. Raises JournalError."""
        with self._threads:
            if not self._has_files(capture.day):
                return None
            with self._locked(capture.day) as day:
                return DAY_CLOSED if day is None else day.result_locked(capture)

    def open_among(self, captures: Iterable[Capture]) -> list[Capture]:
        """The captures without a line, day by day. A closed day has none; no file is created for a day without files.

        Captures older than `window_ms`, whether one or a million, cost some readings of their day's files.
        Raises JournalError.
        """
        by_day: dict[str, list[Capture]] = {}
        for capture in captures:
            by_day.setdefault(capture.day, []).append(capture)
        with self._threads:
            return [capture for day, of_day in by_day.items() for capture in self._open_of_day(day, of_day)]

    def prepare(self, day: str) -> None:
        """Index a day's files, if it has any, so that no append has to. Raises JournalError."""
        with self._threads:
            if self._has_files(day):
                self._caught_up(day)

    def is_closed(self, day: str) -> bool:
        """Whether a day takes no more lines."""
        return is_closed(self._data_dir, day)

    def close(self) -> None:
        for name in list(self._days):
            self._forget(name)

    def _append_to_day(self, name: str, records: Sequence[Followup | Missed]) -> list[CaptureResult]:
        with self._locked(name, [record.signal_timestamp_ms for record in records]) as day:
            return [DAY_CLOSED] * len(records) if day is None else day.append_locked(records)

    def _open_of_day(self, name: str, captures: list[Capture]) -> list[Capture]:
        if not self._has_files(name):
            return captures
        day = self._caught_up(name, [capture.timestamp_ms for capture in captures])
        with as_journal_error(self._path(name)):
            return [] if day is None else day.open_among(captures)

    def _path(self, name: str) -> Path:
        return jsonl_path(self._data_dir, "followups", name)

    def _has_files(self, name: str) -> bool:
        paths = self._path(name), jsonl_path(self._data_dir, "missed", name)
        return self.is_closed(name) or any(path.exists() for path in paths)

    def _caught_up(self, name: str, signals_ms: Sequence[int] = ()) -> DayJournal | None:
        """A day with all its lines indexed, and its lock released again; None when the day is closed."""
        with self._locked(name, signals_ms) as day:
            return day

    @contextmanager
    def _locked(self, name: str, signals_ms: Sequence[int] = ()) -> Iterator[DayJournal | None]:
        """A day with all its lines indexed, and its lock held; None when the day is closed.

        The index reaches far enough back for signals of these times, if they are many.
        """
        try:
            with as_journal_error(self._path(name)):
                day = self._lock_caught_up(name, signals_ms)
                yield day
        except BaseException:
            # What is known of the files may no longer be true; the next call opens and indexes them again.
            self._forget(name)
            raise
        if day is not None:
            try:
                day.unlock()
            except OSError:
                self._forget(name)  # closing it releases its lock

    def _lock_caught_up(self, name: str, signals_ms: Sequence[int]) -> DayJournal | None:
        """Take a day's lock and index its lines; many lines are indexed without it, while others may write."""
        self._forget_deleted()
        while (day := self._lock(name)) is not None:
            day.repair_locked()
            if not day.is_far_behind(signals_ms):
                day.catch_up()
                break
            day.unlock()
            day.catch_up(signals_ms)
        return day

    def _lock(self, name: str) -> DayJournal | None:
        while not self.is_closed(name):
            day = self._opened(name)
            day.lock()
            # A process that closes a day or moves its files holds this lock meanwhile.
            if day.is_in_place() and not self.is_closed(name):
                return day
            self._forget(name)
        self._forget(name)
        return None

    def _forget_deleted(self) -> None:
        """Close deleted files: until then they take room on the disk."""
        for name in [name for name, day in self._days.items() if not day.is_in_place()]:
            self._forget(name)

    def _forget(self, name: str) -> None:
        day = self._days.pop(name, None)
        if day is not None:
            day.close()

    def _opened(self, name: str) -> DayJournal:
        if self._pid != os.getpid():
            self.close()
            self._pid = os.getpid()
        if name not in self._days:
            while len(self._days) >= MAX_OPEN_DAYS:
                self._forget(next(iter(self._days)))
            self._days[name] = DayJournal(self._data_dir, name, self._window_ms)
        return self._days[name]
