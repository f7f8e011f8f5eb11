"""The journal of outcomes: `followups_` and `missed_YYYY-MM-DD.jsonl`, in which each capture has exactly one line.

The file is the truth, and the only one. Under the day's lock (flock on the follow-ups file's own descriptor) a writer
reads what others appended since it last looked, mends a torn tail, appends only what is absent, in one write a file,
syncs, and takes its own bytes back on any error. A task is acknowledged after that; so tasks that run at least once
make lines that exist exactly once.
"""

import fcntl
import os
import threading
from array import array
from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson
import structlog

from hip3_tasks.appendfile import AppendFile
from hip3_tasks.capture import Capture
from hip3_tasks.errors import Hip3Error, MalformedRecord
from hip3_tasks.lines import backwards, containing, forwards
from hip3_tasks.records import Followup, Missed, Record, key_of

log = structlog.get_logger()

DAY_CLOSED = "day closed"
BUCKET_MS = 10_000
MAX_OPEN_DAYS = 4


class Journal:
    """One process's view of a data directory. Opens its files after a fork, never before."""

    def __init__(self, data_dir: Path, *, window_ms: int = 900_000) -> None:
        """`window_ms` of signal time is remembered, in 8 bytes a capture; older ones are searched for on disk."""
        self._data_dir, self._window_ms = data_dir, window_ms
        self._days: dict[str, _Day] = {}
        self._pid = os.getpid()
        self._threads = threading.Lock()

    def append(self, records: Sequence[Followup | Missed]) -> list[str]:
        """The outcome of each record, durable on return; a record whose capture has a line already adds none.

        Raises JournalError when the disk refuses; then no record of its day was added.
        """
        outcomes: dict[int, str] = {}
        numbered = sorted(enumerate(records), key=lambda item: _capture(item[1]).day)
        with self._threads:
            for day, group in groupby(numbered, key=lambda item: _capture(item[1]).day):
                indexes, of_day = zip(*group, strict=True)
                outcomes |= zip(indexes, self._append_to_day(day, of_day), strict=True)
        return [outcomes[index] for index in range(len(records))]

    def outcome(self, capture: Capture) -> str | None:
        """What is already on disk, durably, for a capture; None when it is open."""
        with self._threads:
            if self._is_closed(capture.day):
                return DAY_CLOSED
            with self._locked(capture.day) as day:
                already = day.outcome(capture)
                if already:
                    day.sync()
                return already

    def close(self) -> None:
        for name in list(self._days):
            self._days.pop(name).close()

    def _append_to_day(self, name: str, records: Sequence[Followup | Missed]) -> list[str]:
        if self._is_closed(name):
            return [DAY_CLOSED] * len(records)
        with self._locked(name) as day:
            return day.append(records)

    def _is_closed(self, name: str) -> bool:
        return (self._data_dir / f"followups_{name}.parquet").exists()

    @contextmanager
    def _locked(self, name: str) -> Iterator["_Day"]:
        day = self._opened(name)
        day.lock()
        try:
            while not day.is_in_place():
                self._days.pop(name).close()
                day = self._opened(name)
                day.lock()
            day.catch_up()
            yield day
        except BaseException:
            # Whatever was known of the files may no longer be so; the next one reads them afresh.
            self._days.pop(name, None)
            day.close()
            raise
        day.unlock()

    def _opened(self, name: str) -> "_Day":
        if self._pid != os.getpid():
            self.close()
            self._pid = os.getpid()
        if name not in self._days:
            while len(self._days) >= MAX_OPEN_DAYS:
                self._days.pop(next(iter(self._days))).close()
            self._days[name] = _Day(self._data_dir, name, self._window_ms)
        return self._days[name]


class _Day:
    """The two files of one UTC day, and the keys that they hold."""

    def __init__(self, data_dir: Path, name: str, window_ms: int) -> None:
        self._missed_path = data_dir / f"missed_{name}.jsonl"
        self._followups = _Keyed(AppendFile(data_dir / f"followups_{name}.jsonl", Followup))
        self._missed: _Keyed | None = None
        self._keys = _Keys(window_ms)

    def close(self) -> None:
        for keyed in self._files():
            with suppress(OSError):
                keyed.file.close()

    def lock(self) -> None:
        fcntl.flock(self._followups.file.fd, fcntl.LOCK_EX)

    def unlock(self) -> None:
        fcntl.flock(self._followups.file.fd, fcntl.LOCK_UN)

    def is_in_place(self) -> bool:
        return all(keyed.file.is_in_place() for keyed in self._files())

    def catch_up(self) -> None:
        """Take in what others appended since this process last looked."""
        if self._missed is None:
            with suppress(FileNotFoundError):
                self._missed = _Keyed(AppendFile(self._missed_path, Missed, create=False))
        for keyed in self._files():
            keyed.catch_up(self._keys)
        self._keys.forget_old()

    def outcome(self, capture: Capture) -> str | None:
        if not self._keys.may_hold(capture.signal_id, capture.offset_ms):
            return None
        for keyed, said in ((self._followups, _already_captured), (self._missed, _already_missed)):
            line = keyed.find(capture) if keyed else None
            if line is not None:
                return said(line)
        return None

    def append(self, records: Sequence[Followup | Missed]) -> list[str]:
        outcomes: list[str] = []
        absent: dict[Capture, Followup | Missed] = {}
        for record in records:
            capture = _capture(record)
            already = self.outcome(capture)
            if already is None and capture in absent:
                already = f"already {absent[capture].outcome}"
            if already is None:
                absent[capture] = record
            outcomes.append(already or record.outcome)
        if len(absent) < len(records):
            self.sync()
        self._write(list(absent.values()))
        return outcomes

    def sync(self) -> None:
        for keyed in self._files():
            keyed.file.sync()

    def _write(self, records: Sequence[Followup | Missed]) -> None:
        followups = [record for record in records if isinstance(record, Followup)]
        missed = [record for record in records if isinstance(record, Missed)]
        if missed and self._missed is None:
            self._missed = _Keyed(AppendFile(self._missed_path, Missed), read_to=0)
        before = self._followups.file.size()
        self._followups.append(followups, self._keys)
        if self._missed is not None:
            try:
                self._missed.append(missed, self._keys)
            except BaseException:
                self._followups.file.take_back(before)
                raise

    def _files(self) -> list["_Keyed"]:
        return [self._followups] if self._missed is None else [self._followups, self._missed]


class _Keyed:
    """A file, and how far its keys are known; None: not looked at yet."""

    def __init__(self, file: AppendFile, read_to: int | None = None) -> None:
        self.file, self.read_to = file, read_to

    def catch_up(self, keys: "_Keys") -> None:
        if self.read_to is not None and self.file.size() == self.read_to:
            return
        size = self.file.mend()
        if self.read_to is None or size < self.read_to:
            keys.read_back(self.file.fd, size)
        else:
            for line in forwards(self.file.fd, self.read_to, size):
                keys.add_line(line)
        self.read_to = size

    def append(self, records: Sequence[Record], keys: "_Keys") -> None:
        if records:
            lines = [record.line() for record in records]
            self.file.append(b"".join(lines))
            self.read_to = self.file.size()
            for line in lines:
                keys.add_line(line)

    def find(self, capture: Capture) -> bytes | None:
        needle = f'"{capture.signal_id}"'.encode()
        for line in containing(self.file.fd, needle, self.read_to or 0):
            with suppress(MalformedRecord):
                if key_of(line) == (capture.signal_id, capture.offset_ms):
                    return line
        return None


class _Keys:
    """Fingerprints of the keys of the last `window_ms` of signal time, 8 bytes each, by ten seconds.

    A fingerprint that is there is only a reason to look into the file; one that is not there proves absence, for
    signals since `_complete_since_ms`.
    """

    def __init__(self, window_ms: int) -> None:
        self._window_ms = window_ms
        self._buckets: dict[int, array[int]] = {}
        self._complete_since_ms = 0
        self._newest_ms = 0

    def add_line(self, line: bytes) -> int:
        """Take in one line; return its signal's time, 0 for a line that names none."""
        try:
            signal_id, offset_ms = key_of(line)
            timestamp_ms = int(signal_id.rpartition("-")[2])
        except (MalformedRecord, ValueError):
            return 0
        bucket = self._buckets.setdefault(timestamp_ms // BUCKET_MS, array("Q"))
        fingerprint = _fingerprint(signal_id, offset_ms)
        if not _holds(bucket, fingerprint):
            insort(bucket, fingerprint)
        self._newest_ms = max(self._newest_ms, timestamp_ms)
        return timestamp_ms

    def may_hold(self, signal_id: str, offset_ms: int) -> bool:
        timestamp_ms = int(signal_id.rpartition("-")[2])
        if timestamp_ms < self._complete_since_ms:
            return True
        bucket = self._buckets.get(timestamp_ms // BUCKET_MS)
        return bucket is not None and _holds(bucket, _fingerprint(signal_id, offset_ms))

    def read_back(self, fd: int, size: int) -> None:
        """Read a file from its end, as far as the window reaches."""
        for lines in backwards(fd, size):
            youngest_ms = 0
            for line in lines:
                youngest_ms = max(youngest_ms, self.add_line(line), _captured_at_ms(line))
            # Lines of old signals may stand between those of new ones: both clocks of all of a chunk must be old.
            if youngest_ms < self._newest_ms - self._window_ms:
                self._complete_since_ms = max(self._complete_since_ms, self._newest_ms - self._window_ms)
                return

    def forget_old(self) -> None:
        oldest = (self._newest_ms - self._window_ms) // BUCKET_MS
        for number in [number for number in self._buckets if number < oldest]:
            del self._buckets[number]
            self._complete_since_ms = max(self._complete_since_ms, oldest * BUCKET_MS)


def _fingerprint(signal_id: str, offset_ms: int) -> int:
    return hash((signal_id, offset_ms)) & 0xFFFF_FFFF_FFFF_FFFF


def _holds(bucket: "array[int]", fingerprint: int) -> bool:
    at = bisect_left(bucket, fingerprint)
    return at < len(bucket) and bucket[at] == fingerprint


def _captured_at_ms(line: bytes) -> int:
    try:
        at_ms: Any = orjson.loads(line)["captured_at_ms"]
    except (ValueError, TypeError, KeyError):
        return 0
    return at_ms if type(at_ms) is int else 0


def _capture(record: Followup | Missed) -> Capture:
    return Capture(record.signal_id, record.offset_ms, record.market_key, record.signal_timestamp_ms)


def _already_captured(_: bytes) -> str:
    return "already captured"


def _already_missed(line: bytes) -> str:
    try:
        return f"already {Missed.from_line(line).outcome}"
    except Hip3Error:
        return "already missed"
