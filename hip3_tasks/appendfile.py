"""A file of lines that only ever grows by whole, durable lines; whoever uses it sees to it that one process writes."""

import errno
import os
from pathlib import Path

import structlog

from hip3_tasks.errors import JournalError, MalformedRecord
from hip3_tasks.lines import whole_length
from hip3_tasks.records import Record

log = structlog.get_logger()

# macOS has no fdatasync.
_sync = getattr(os, "fdatasync", os.fsync)


class AppendFile:
    """One open data file of records of one kind."""

    def __init__(self, path: Path, kind: type[Record], *, create: bool = True) -> None:
        """Raises FileNotFoundError when absent and not to be created, JournalError when it cannot be opened."""
        self.path, self._kind = path, kind
        self._cut_owed: int | None = None
        try:
            self.fd = os.open(path, os.O_RDWR | os.O_APPEND)
        except FileNotFoundError:
            if not create:
                raise
            self.fd = self._create()
        except OSError as error:
            raise refused(path, error) from error

    def _create(self) -> int:
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            directory = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)  # or the file's name may not outlive a power cut
            finally:
                os.close(directory)
        except OSError as error:
            raise refused(self.path, error) from error
        return fd

    def close(self) -> None:
        os.close(self.fd)

    def size(self) -> int:
        return os.fstat(self.fd).st_size

    def is_in_place(self) -> bool:
        """False once the file has been deleted or replaced."""
        try:
            there = self.path.stat()
        except OSError:
            return False
        mine = os.fstat(self.fd)
        return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)

    def mend(self) -> int:
        """Make the file end with a whole line, and return its size.

        What a writer left behind that died in the middle is cut off; a record that lacks only its newline gets it.
        """
        size = self.size()
        whole = whole_length(self.fd, size)
        if whole == size:
            return size
        tail = os.pread(self.fd, min(size - whole, 1 << 16), whole)
        try:
            if len(tail) < size - whole:
                raise MalformedRecord("too long", tail)
            self._kind.from_line(tail)
        except MalformedRecord:
            self._cut(whole)
            log.warning("torn_tail_cut", file=self.path.name, cut_bytes=size - whole, tail=repr(tail[:80]))
            return whole
        self.append(b"\n")
        return size + 1

    def append(self, data: bytes) -> int:
        """Add whole lines in one write and make them durable, or leave the file as it was. Raises JournalError.

        Returns the size before.
        """
        if self._cut_owed is not None:
            self._cut(self._cut_owed)
        before = self.size()
        try:
            written = os.write(self.fd, data)
            if written != len(data):
                raise OSError(errno.ENOSPC, f"only {written} of {len(data)} bytes could be written")
            _sync(self.fd)
        except BaseException as error:
            self._cut(before)
            if isinstance(error, OSError):
                raise refused(self.path, error) from error
            raise
        return before

    def sync(self) -> None:
        """Make durable what another process may have appended and died over. Raises JournalError."""
        try:
            _sync(self.fd)
        except OSError as error:
            raise refused(self.path, error) from error

    def take_back(self, size: int) -> None:
        """Cut off what was appended since the file had this size."""
        self._cut(size)

    def _cut(self, size: int) -> None:
        self._cut_owed = size
        try:
            os.ftruncate(self.fd, size)
        except OSError as error:
            raise refused(self.path, error) from error
        self._cut_owed = None


def refused(path: Path, error: OSError) -> JournalError:
    """What an operator is told of a disk that fails."""
    return JournalError(
        f"{path}: {error.strerror or error}; nothing of it was kept, and it is tried again until it can be written"
    )
