"""The journal's two files of one UTC day, under one lock."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from hip3_tasks.domain.capture import Capture
from hip3_tasks.domain.capture_result import CaptureResult, CaptureStatus
from hip3_tasks.domain.records import Followup, Missed
from hip3_tasks.errors import MalformedRecord
from hip3_tasks.files.day_files import jsonl_path
from hip3_tasks.files.indexed_file import IndexedFile
from hip3_tasks.files.lock import lock, unlock

CATCH_UP_UNLOCKED_BYTES = 1 << 16
"""More than this is indexed while others may write: after an idle hour it may be a million lines."""


class DayJournal:
    """The two files of one UTC day. Methods named `_locked` need its lock."""

    def __init__(self, data_dir: Path, name: str, window_ms: int) -> None:
        """Raises JournalError."""
        self._missed_path, self._window_ms = jsonl_path(data_dir, "missed", name), window_ms
        self._followups = IndexedFile(jsonl_path(data_dir, "followups", name), Followup, window_ms=window_ms)
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
                self._missed = self._opened_missed(create=False)
        for indexed in self._files():
            indexed.repair_locked()

    def catch_up(self, signals_ms: Sequence[int] = ()) -> None:
        """Index the lines that were complete at the last repair: no writer changes them, so the lock is not needed."""
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
        files = self._files()
        return [capture for capture in captures if not any(indexed.contains(capture) for indexed in files)]

    def append_locked(self, records: Sequence[Followup | Missed]) -> list[CaptureResult]:
        """Append the records whose capture has no line yet. All results are durable on return."""
        results: list[CaptureResult] = []
        absent: dict[tuple[str, int], Followup | Missed] = {}
        for record in records:
            first = absent.get(record.key)
            already = CaptureResult.from_record(first, already=True) if first else self._result(record.key)
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
            self._missed = self._opened_missed()
        before = self._followups.file.size()
        self._followups.append(followups)
        if self._missed is not None:
            try:
                self._missed.append(missed)
            except BaseException:
                self._followups.file.truncate_to(before)
                raise

    def _opened_missed(self, *, create: bool = True) -> IndexedFile:
        return IndexedFile(self._missed_path, Missed, window_ms=self._window_ms, create=create)

    def _files(self) -> list[IndexedFile]:
        return [self._followups] if self._missed is None else [self._followups, self._missed]


def _already_missed(line: bytes) -> CaptureResult:
    try:
        return CaptureResult.from_record(Missed.from_line(line), already=True)
    except MalformedRecord:
        return CaptureResult(CaptureStatus.ALREADY_MISSED)
