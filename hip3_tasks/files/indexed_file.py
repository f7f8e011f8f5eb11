"""A file of the journal with the index of its keys: which captures have a line, without reading it again."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from hip3_tasks.domain.capture import Capture
from hip3_tasks.domain.records import CaptureRecord, Record, key_of
from hip3_tasks.errors import MalformedRecord
from hip3_tasks.files.append_file import AppendFile
from hip3_tasks.files.key_index import KeyIndex
from hip3_tasks.files.line_reader import containing

REINDEX_BYTES = 1 << 24
"""If more than this is new, the file is indexed backward from its end, as far as the window reaches."""
WIDEN_INDEX_AT = 10
"""Searching a file for one capture takes a tenth of the time that indexing all its keys does."""


class IndexedFile:
    """A file of lines and the index of their keys."""

    def __init__(self, path: Path, kind: type[Record], *, window_ms: int, create: bool = True) -> None:
        """Raises as `AppendFile` does."""
        self.file, self._keys = AppendFile(path, kind, create=create), KeyIndex(window_ms)
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

    def append(self, records: Sequence[CaptureRecord]) -> None:
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
