"""The journal of outcomes: `followups_` and `missed_YYYY-MM-DD.jsonl`, in which each capture has exactly one line.

The file is the truth, and the only one. Under the day's lock (flock on the follow-ups file's own descriptor) a writer
reads what others appended since it last looked, repairs a torn tail, appends only what is absent, in one write a file,
syncs, and takes its own bytes back on any error. A task is acknowledged after that; so tasks that run at least once
make lines that exist exactly once.
"""

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path

from hip3_tasks.domain.capture import Capture, utc_day
from hip3_tasks.domain.capture_result import DAY_CLOSED, CaptureResult, CaptureStatus
from hip3_tasks.domain.records import Followup, Missed, key_of
from hip3_tasks.errors import MalformedRecord
from hip3_tasks.files.append_file import AppendFile, as_journal_error
from hip3_tasks.files.day_files import is_closed, jsonl_path
from hip3_tasks.files.key_index import KeyIndex
from hip3_tasks.files.line_reader import containing
from hip3_tasks.files.lock import lock, unlock

MAX_OPEN_DAYS = 4
CATCH_UP_UNLOCKED_BYTES = 1 << 16
"""More than this is indexed while others may write: after an idle hour it may be a million lines."""
REINDEX_BYTES = 1 << 24
"""If more than this is new, the file is indexed backward from its end, as far as the window reaches."""
WIDEN_INDEX_AT = 10
"""Searching a file for one capture takes a tenth of the time that indexing all its keys does."""


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
        """Append records, durably on return; a record whose capture has a line already adds none.

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
        """The captures without a line, day by day. A closed day has none; a day without files is not given any.

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

    def _caught_up(self, name: str, signals_ms: Sequence[int] = ()) -> "DayJournal | None":
        """A day with all its lines indexed, and its lock released again; None when the day is closed."""
        with self._locked(name, signals_ms) as day:
            return day

    @contextmanager
    def _locked(self, name: str, signals_ms: Sequence[int] = ()) -> Iterator["DayJournal | None"]:
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

    def _lock_caught_up(self, name: str, signals_ms: Sequence[int]) -> "DayJournal | None":
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

    def _lock(self, name: str) -> "DayJournal | None":
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

    def _opened(self, name: str) -> "DayJournal":
        if self._pid != os.getpid():
            self.close()
            self._pid = os.getpid()
        if name not in self._days:
            while len(self._days) >= MAX_OPEN_DAYS:
                self._forget(next(iter(self._days)))
            self._days[name] = DayJournal(self._data_dir, name, self._window_ms)
        return self._days[name]


class DayJournal:
    """The two files of one UTC day. Methods named `_locked` need its lock."""

    def __init__(self, data_dir: Path, name: str, window_ms: int) -> None:
        """Raises JournalError."""
        self._missed_path, self._window_ms = jsonl_path(data_dir, "missed", name), window_ms
        self._followups = IndexedFile(AppendFile(jsonl_path(data_dir, "followups", name), Followup), window_ms)
        self._missed: IndexedFile | None = None

    def close(self) -> None:
        for indexed in self._files():
            with suppress(OSError):
                indexed.file.close()

    def lock(self) -> None:
        lock(self._followups.file.fd)

    def unlock(self) -> None:
        unlock(self._followups.file.fd)

    def is_in_place(self) -> bool:
        return all(indexed.file.is_in_place() for indexed in self._files())

    def is_far_behind(self, signals_ms: Sequence[int]) -> bool:
        """Whether many lines are not indexed yet, or the index does not reach back to signals of these times."""
        files = self._files()
        return sum(indexed.unread_bytes() for indexed in files) > CATCH_UP_UNLOCKED_BYTES or any(
            indexed.index_is_too_short(signals_ms) for indexed in files
        )

    def repair_locked(self) -> None:
        """Make the files end with complete lines."""
        if self._missed is None:
            with suppress(FileNotFoundError):
                self._missed = IndexedFile(AppendFile(self._missed_path, Missed, create=False), self._window_ms)
        for indexed in self._files():
            indexed.repair_locked()

    def catch_up(self, signals_ms: Sequence[int] = ()) -> None:
        """Index the lines that were complete at the last repair: they stay as they are, whoever holds the lock."""
        for indexed in self._files():
            indexed.catch_up(signals_ms)

    def result_locked(self, capture: Capture) -> CaptureResult | None:
        """The result of a capture that has a line, which is durable on return."""
        result = self._result((capture.signal_id, capture.offset_ms))
        if result is not None:
            self._sync()
        return result

    def open_among(self, captures: Sequence[Capture]) -> list[Capture]:
        """The captures that no indexed line belongs to."""
        return [capture for capture in captures if not any(indexed.contains(capture) for indexed in self._files())]

    def append_locked(self, records: Sequence[Followup | Missed]) -> list[CaptureResult]:
        """Append the records whose capture has no line yet. All results are durable on return."""
        results: list[CaptureResult] = []
        absent: dict[tuple[str, int], Followup | Missed] = {}
        for record in records:
            already = self._result(record.key)
            if already is None and record.key in absent:
                already = CaptureResult.from_record(absent[record.key], already=True)
            if already is None:
                absent[record.key] = record
            results.append(already or CaptureResult.from_record(record))
        if len(absent) < len(records):
            self._sync()
        self._write(list(absent.values()))
        return results

    def _result(self, key: tuple[str, int]) -> CaptureResult | None:
        if self._followups.find(key) is not None:
            return CaptureResult(CaptureStatus.ALREADY_CAPTURED)
        line = self._missed.find(key) if self._missed else None
        return None if line is None else _already_missed(line)

    def _sync(self) -> None:
        for indexed in self._files():
            indexed.file.sync()

    def _write(self, records: Sequence[Followup | Missed]) -> None:
        followups = [record for record in records if isinstance(record, Followup)]
        missed = [record for record in records if isinstance(record, Missed)]
        if missed and self._missed is None:
            self._missed = IndexedFile(AppendFile(self._missed_path, Missed), self._window_ms)
        before = self._followups.file.size()
        self._followups.append(followups)
        if self._missed is not None:
            try:
                self._missed.append(missed)
            except BaseException:
                self._followups.file.truncate_to(before)
                raise

    def _files(self) -> list["IndexedFile"]:
        return [self._followups] if self._missed is None else [self._followups, self._missed]


class IndexedFile:
    """A file of lines and the index of their keys."""

    def __init__(self, file: AppendFile, window_ms: int) -> None:
        self.file, self._keys = file, KeyIndex(window_ms)
        self._indexed_to: int | None = None
        """The end of the last indexed line; None before the first indexing."""
        self._complete_to = 0
        """The end of the last line at the last repair."""

    def unread_bytes(self) -> int:
        """How much was complete at the last repair and is not indexed."""
        return self._complete_to - (self._indexed_to or 0)

    def index_is_too_short(self, signals_ms: Sequence[int]) -> bool:
        """Whether many signals of these times are older than the index reaches."""
        return sum(at_ms < self._keys.complete_since_ms for at_ms in signals_ms) >= WIDEN_INDEX_AT

    def repair_locked(self) -> None:
        """Make the file end with a complete line; if it has become shorter, it is to be indexed again."""
        if self.file.size() != self._indexed_to:
            self._complete_to = self.file.repair_tail()
            if self._complete_to < (self._indexed_to or 0):
                self._indexed_to = None

    def catch_up(self, signals_ms: Sequence[int] = ()) -> None:
        """Index the complete lines, as far back as many of these signals are."""
        if self.index_is_too_short(signals_ms):
            self._keys, self._indexed_to = self._keys.widened(min(signals_ms)), None
        if self._indexed_to is None or self._complete_to - self._indexed_to > REINDEX_BYTES:
            self._keys.index_backward(self.file.fd, self._complete_to)
        else:
            self._keys.index_forward(self.file.fd, self._indexed_to, self._complete_to)
        self._indexed_to = self._complete_to

    def append(self, records: Sequence[Followup] | Sequence[Missed]) -> None:
        if records:
            before = self.file.append(b"".join(record.line() for record in records))
            self._indexed_to = self._complete_to = self.file.size()
            for record in records:
                self._keys.add(*record.key, before, self._complete_to)

    def find(self, key: tuple[str, int]) -> bytes | None:
        """The line of a key."""
        span = self._keys.find_span(*key)
        if span is not None:
            start, end = span[0], min(span[1], self._indexed_to or 0)
            for line in containing(self.file.fd, f'"{key[0]}"'.encode(), start, end):
                with suppress(MalformedRecord):
                    if key_of(line) == key:
                        return line
        return None

    def contains(self, capture: Capture) -> bool:
        """Whether a capture has a line; the file is read only for one that is older than the index."""
        key = capture.signal_id, capture.offset_ms
        if capture.timestamp_ms < self._keys.complete_since_ms:
            return self.find(key) is not None
        return self._keys.find_span(*key) is not None


def _already_missed(line: bytes) -> CaptureResult:
    try:
        return CaptureResult.from_record(Missed.from_line(line), already=True)
    except MalformedRecord:
        return CaptureResult(CaptureStatus.ALREADY_MISSED)
