"""A file of lines that only ever grows by whole, durable lines; whoever uses it sees to it that one process writes."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from hip3_tasks.domain.records import Record
from hip3_tasks.errors import JournalError, MalformedRecord
from hip3_tasks.files.line_reader import whole_length

log = structlog.get_logger()

# macOS has no fdatasync.
_sync = getattr(os, "fdatasync", os.fsync)


@contextmanager
def refusing(path: Path) -> Iterator[None]:
    """What the disk refuses is a JournalError, which tells an operator of what file and why."""
    try:
        yield
    except OSError as error:
        raise _refused(path, error) from error


def sync_names(folder: Path) -> None:
    """Make durable which files a folder has: a new name may not outlive a power cut by itself."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class AppendFile:
    """One open data file of records of one kind. Whatever it is asked for raises JournalError when the disk refuses."""

    def __init__(self, path: Path, kind: type[Record], *, create: bool = True) -> None:
        """Raises FileNotFoundError when absent and not to be created."""
        self.path, self._kind = path, kind
        self._cut_owed: int | None = None
        try:
            self.fd = os.open(path, os.O_RDWR | os.O_APPEND)
        except FileNotFoundError:
            if not create:
                raise
            with refusing(path):
                self.fd = self._create()
        except OSError as error:
            raise _refused(path, error) from error

    def _create(self) -> int:
        fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        sync_names(self.path.parent)
        return fd

    def close(self) -> None:
        os.close(self.fd)

    def size(self) -> int:
        with refusing(self.path):
            return os.fstat(self.fd).st_size

    def is_in_place(self) -> bool:
        """False once the file has been deleted or replaced."""
        try:
            there, mine = self.path.stat(), os.fstat(self.fd)
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)

    def mend(self) -> int:
        """Make the file end with a whole line, and return its size.

        What a writer left behind that died in the middle is cut off; a record that lacks only its newline gets it.
        """
        size = self.size()
        with refusing(self.path):
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
        """Add whole lines in one write and make them durable, or leave the file as it was; its size before."""
        if self._cut_owed is not None:
            self._cut(self._cut_owed)
        before = self.size()
        with refusing(self.path):
            try:
                written = os.write(self.fd, data)
                if written != len(data):
                    raise OSError(errno.ENOSPC, f"only {written} of {len(data)} bytes could be written")
                _sync(self.fd)
            except BaseException:
                self._cut(before)
                raise
        return before

    def sync(self) -> None:
        """Make durable what another process may have appended and died over."""
        with refusing(self.path):
            _sync(self.fd)

    def take_back(self, size: int) -> None:
        """Cut off what was appended since the file had this size."""
        self._cut(size)

    def _cut(self, size: int) -> None:
        self._cut_owed = size
        with refusing(self.path):
            os.ftruncate(self.fd, size)
        self._cut_owed = None


def _refused(path: Path, error: OSError) -> JournalError:
    return JournalError(
        f"{path}: {error.strerror or error}; nothing of it was kept, and it is tried again until it can be written"
    )
