"""The journal of outcomes: `followups_` and `missed_YYYY-MM-DD.jsonl`, in which each capture has exactly one line.

The file is the truth, and the only one. Under the day's lock (flock on the follow-ups file's own descriptor) a writer
reads what others appended since it last looked, mends a torn tail, appends only what is absent, in one write a file,
syncs, and takes its own bytes back on any error. A task is acknowledged after that; so tasks that run at least once
make lines that exist exactly once.
"""

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path

from hip3_tasks.domain.capture import Capture
from hip3_tasks.domain.capture_result import DAY_CLOSED, CaptureResult, CaptureStatus
from hip3_tasks.domain.records import Followup, Missed, key_of
from hip3_tasks.errors import MalformedRecord
from hip3_tasks.files.append_file import AppendFile, as_journal_error
from hip3_tasks.files.day_files import is_closed, jsonl_path
from hip3_tasks.files.key_index import KeyIndex
from hip3_tasks.files.line_reader import containing
from hip3_tasks.files.lock import lock, unlock

MAX_OPEN_DAYS = 4
MUCH_BYTES = 1 << 16
"""More than this that is new is read while others may write: after an idle hour it may be a million lines."""
AFRESH_BYTES = 1 << 24
"""From so much on only what the window needs is read, from the end."""
MANY_OLDER = 10
"""To look for one capture in a file takes a tenth of the time that reading all of its keys does."""


class Journal:
    """One process's view of a data directory. Opens its files after a fork, never before."""

    def __init__(self, data_dir: Path, *, window_ms: int = 900_000) -> None:
        """`window_ms` of signal time is remembered, in 8 bytes a capture.

        One that is older is searched for on disk; for many of them, as after an outage, the window becomes wider.
        """
        self._data_dir, self._window_ms = data_dir, window_ms
        self._days: dict[str, _Day] = {}
        self._pid = os.getpid()
        self._threads = threading.Lock()

    def append(self, records: Sequence[Followup | Missed]) -> list[CaptureResult]:
        """The result of each record, durable on return; a record whose capture has a line already adds none.

        Raises JournalError when the disk refuses; then no record of its day was added.
        """
        results: dict[int, CaptureResult] = {}
        numbered = sorted(enumerate(records), key=lambda item: _capture(item[1]).day)
        with self._threads:
            for day, group in groupby(numbered, key=lambda item: _capture(item[1]).day):
                indexes, of_day = zip(*group, strict=True)
                results |= zip(indexes, self._append_to_day(day, of_day), strict=True)
        return [results[index] for index in range(len(records))]

    def result(self, capture: Capture) -> CaptureResult | None:
        """The result that is on disk, durably, for a capture; None when it is open."""
        with self._threads:
            if not self._has_files(capture.day):
                return None
            with self._locked(capture.day) as day:
                if day is None:
                    return DAY_CLOSED
                already = day.result(capture)
                if already:
                    day.sync()
                return already

    def open_among(self, captures: Iterable[Capture]) -> list[Capture]:
        """Those that have no line yet, day by day. A closed day has none; a day without files is not given any.

        What `window_ms` does not cover costs some readings of its day's files, whether it is one capture or a million.
        """
        by_day: dict[str, list[Capture]] = {}
        for capture in captures:
            by_day.setdefault(capture.day, []).append(capture)
        with self._threads:
            return [capture for day, of_day in by_day.items() for capture in self._open_of_day(day, of_day)]

    def prepare(self, day: str) -> None:
        """Read what is to be known of a day's files, if it has any, so that no append has to. Raises JournalError."""
        with self._threads:
            if self._has_files(day):
                with self._locked(day):
                    pass

    def is_closed(self, day: str) -> bool:
        """Whether a day takes no more lines."""
        return is_closed(self._data_dir, day)

    def close(self) -> None:
        for name in list(self._days):
            self._forget(name)

    def _append_to_day(self, name: str, records: Sequence[Followup | Missed]) -> list[CaptureResult]:
        with self._locked(name, [record.signal_timestamp_ms for record in records]) as day:
            return [DAY_CLOSED] * len(records) if day is None else day.append(records)

    def _open_of_day(self, name: str, captures: list[Capture]) -> list[Capture]:
        if not self._has_files(name):
            return captures
        with self._locked(name, [capture.timestamp_ms for capture in captures]) as day:
            pass
        with as_journal_error(self._path(name)):
            return [] if day is None else day.open_among(captures)

    def _path(self, name: str) -> Path:
        return jsonl_path(self._data_dir, "followups", name)

    def _has_files(self, name: str) -> bool:
        paths = self._path(name), jsonl_path(self._data_dir, "missed", name)
        return self.is_closed(name) or any(path.exists() for path in paths)

    @contextmanager
    def _locked(self, name: str, signals_ms: Sequence[int] = ()) -> Iterator["_Day | None"]:
        """A day's files, locked, and known far enough back for captures of these times; None when the day is closed."""
        self._forget_deleted()
        try:
            with as_journal_error(self._path(name)):
                day = self._lock(name)
                while day is not None and (day.mend() > MUCH_BYTES or day.knows_too_little(signals_ms)):
                    day.unlock()
                    day.catch_up()
                    day = self._lock(name)
                if day is not None:
                    day.catch_up()
                yield day
        except BaseException:
            # Whatever was known of the files may no longer be so; the next one reads them afresh.
            self._forget(name)
            raise
        if day is not None:
            try:
                day.unlock()
            except OSError:
                self._forget(name)  # to close it is to unlock it

    def _lock(self, name: str) -> "_Day | None":
        while not self.is_closed(name):
            day = self._opened(name)
            day.lock()
            # Whoever closes a day or moves its files holds its lock meanwhile.
            if day.is_in_place() and not self.is_closed(name):
                return day
            self._forget(name)
        self._forget(name)
        return None

    def _forget_deleted(self) -> None:
        """Hold no deleted file open: only then does it take no room."""
        for name in [name for name, day in self._days.items() if not day.is_in_place()]:
            self._forget(name)

    def _forget(self, name: str) -> None:
        day = self._days.pop(name, None)
        if day is not None:
            day.close()

    def _opened(self, name: str) -> "_Day":
        if self._pid != os.getpid():
            self.close()
            self._pid = os.getpid()
        if name not in self._days:
            while len(self._days) >= MAX_OPEN_DAYS:
                self._forget(next(iter(self._days)))
            self._days[name] = _Day(self._data_dir, name, self._window_ms)
        return self._days[name]


class _Day:
    """The two files of one UTC day."""

    def __init__(self, data_dir: Path, name: str, window_ms: int) -> None:
        self._missed_path, self._window_ms = jsonl_path(data_dir, "missed", name), window_ms
        self._followups = _Keyed(AppendFile(jsonl_path(data_dir, "followups", name), Followup), window_ms)
        self._missed: _Keyed | None = None

    def close(self) -> None:
        for keyed in self._files():
            with suppress(OSError):
                keyed.file.close()

    def lock(self) -> None:
        lock(self._followups.file.fd)

    def unlock(self) -> None:
        unlock(self._followups.file.fd)

    def is_in_place(self) -> bool:
        return all(keyed.file.is_in_place() for keyed in self._files())

    def mend(self) -> int:
        """Make the files end with whole lines; how many bytes of them are not yet known. Wants the lock."""
        if self._missed is None:
            with suppress(FileNotFoundError):
                self._missed = _Keyed(AppendFile(self._missed_path, Missed, create=False), self._window_ms)
        return sum(keyed.mend() for keyed in self._files())

    def knows_too_little(self, signals_ms: Sequence[int]) -> bool:
        """Whether many of these are older than what is known of a file, which then is to be read again."""
        return any(keyed.knows_too_little(signals_ms) for keyed in self._files())

    def catch_up(self) -> None:
        """Take in all that was whole when they were mended: it stays as it is, whoever has the lock."""
        for keyed in self._files():
            keyed.catch_up()

    def result(self, capture: Capture) -> CaptureResult | None:
        if self._followups.find(capture) is not None:
            return CaptureResult(CaptureStatus.ALREADY_CAPTURED)
        line = self._missed.find(capture) if self._missed else None
        return None if line is None else _already_missed(line)

    def open_among(self, captures: Sequence[Capture]) -> list[Capture]:
        """Those of the captures that no line is known of; the lock is not needed for it."""
        return [capture for capture in captures if not any(keyed.holds(capture) for keyed in self._files())]

    def append(self, records: Sequence[Followup | Missed]) -> list[CaptureResult]:
        results: list[CaptureResult] = []
        absent: dict[Capture, Followup | Missed] = {}
        for record in records:
            capture = _capture(record)
            already = self.result(capture)
            if already is None and capture in absent:
                already = CaptureResult.from_record(absent[capture], already=True)
            if already is None:
                absent[capture] = record
            results.append(already or CaptureResult.from_record(record))
        if len(absent) < len(records):
            self.sync()
        self._write(list(absent.values()))
        return results

    def sync(self) -> None:
        for keyed in self._files():
            keyed.file.sync()

    def _write(self, records: Sequence[Followup | Missed]) -> None:
        followups = [record for record in records if isinstance(record, Followup)]
        missed = [record for record in records if isinstance(record, Missed)]
        if missed and self._missed is None:
            self._missed = _Keyed(AppendFile(self._missed_path, Missed), self._window_ms)
        before = self._followups.file.size()
        self._followups.append(followups)
        if self._missed is not None:
            try:
                self._missed.append(missed)
            except BaseException:
                self._followups.file.truncate_to(before)
                raise

    def _files(self) -> list["_Keyed"]:
        return [self._followups] if self._missed is None else [self._followups, self._missed]


class _Keyed:
    """A file, how much of it is whole, and the keys of so much of it as was read; None: not looked at yet."""

    def __init__(self, file: AppendFile, window_ms: int) -> None:
        self.file, self._keys = file, KeyIndex(window_ms)
        self._read_to: int | None = None
        self._whole = 0

    def mend(self) -> int:
        if self.file.size() != self._read_to:
            self._whole = self.file.repair_tail()
            if self._read_to is not None and self._whole < self._read_to:
                self._read_to = None
        return self._whole - (self._read_to or 0)

    def knows_too_little(self, signals_ms: Sequence[int]) -> bool:
        older_ms = [at_ms for at_ms in signals_ms if at_ms < self._keys.complete_since_ms]
        if len(older_ms) < MANY_OLDER:
            return False
        self._keys, self._read_to = self._keys.widened(min(older_ms)), None
        return True

    def catch_up(self) -> None:
        if self._read_to is None or self._whole - self._read_to > AFRESH_BYTES:
            self._keys.index_backward(self.file.fd, self._whole)
        else:
            self._keys.index_forward(self.file.fd, self._read_to, self._whole)
        self._read_to = self._whole

    def append(self, records: Sequence[Followup] | Sequence[Missed]) -> None:
        if records:
            before = self.file.append(b"".join(record.line() for record in records))
            self._read_to = self._whole = self.file.size()
            for record in records:
                self._keys.add(*_key(_capture(record)), before, self._whole)

    def find(self, capture: Capture) -> bytes | None:
        start, end = self._keys.find_span(*_key(capture)) or (0, 0)
        for line in containing(self.file.fd, f'"{capture.signal_id}"'.encode(), start, min(end, self._read_to or 0)):
            with suppress(MalformedRecord):
                if key_of(line) == _key(capture):
                    return line
        return None

    def holds(self, capture: Capture) -> bool:
        """As `find` finds, without looking into the file for what is remembered."""
        if capture.timestamp_ms < self._keys.complete_since_ms:
            return self.find(capture) is not None
        return self._keys.find_span(*_key(capture)) is not None


def _key(capture: Capture) -> tuple[str, int]:
    return capture.signal_id, capture.offset_ms


def _capture(record: Followup | Missed) -> Capture:
    return Capture(record.signal_id, record.offset_ms, record.market_key, record.signal_timestamp_ms)


def _already_missed(line: bytes) -> CaptureResult:
    try:
        return CaptureResult.from_record(Missed.from_line(line), already=True)
    except MalformedRecord:
        return CaptureResult(CaptureStatus.ALREADY_MISSED)
