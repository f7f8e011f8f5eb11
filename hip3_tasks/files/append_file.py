"""A file that only grows, by complete and durable lines. Its user keeps other processes from writing meanwhile."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from hip3_tasks.domain.records import Record
from hip3_tasks.errors import JournalError, MalformedRecord
from hip3_tasks.files.line_reader import complete_length

log = structlog.get_logger()

# macOS has no fdatasync.
_sync = getattr(os, "fdatasync", os.fsync)


@contextmanager
def as_journal_error(path: Path) -> Iterator[None]:
    """Raise an OSError as a JournalError, which tells an operator the file and the reason."""
    try:
        yield
    except OSError as error:
        raise _journal_error(path, error) from error


def sync_names(path: Path) -> None:
    """Make a file durable, or the names in a folder: a power cut may undo the creation or renaming of a file there."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class AppendFile:
    """One open data file of records of one kind. Every method raises JournalError when the disk refuses."""

    def __init__(self, path: Path, kind: type[Record], *, create: bool = True) -> None:
        """Raises FileNotFoundError when the file is absent and `create` is False."""
        self.path, self._kind = path, kind
        # Set while the rest of a failed write is in the file: the next append cuts it off first.
        self._must_cut_to: int | None = None
        try:
            self.fd = os.open(path, os.O_RDWR | os.O_APPEND)
        except FileNotFoundError:
            if not create:
                raise
            with as_journal_error(path):
                self.fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            raise _journal_error(path, error) from error
        if self.size() == 0:
            self._sync_name()

    def _sync_name(self) -> None:
        """Make the name of an empty file durable: the process that created it may have died before it could."""
        try:
            with as_journal_error(self.path):
                sync_names(self.path.parent)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        os.close(self.fd)

    def size(self) -> int:
        with as_journal_error(self.path):
            return os.fstat(self.fd).st_size

    def is_in_place(self) -> bool:
        """False once the file has been deleted or replaced."""
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self.fd))
        except OSError:
            return False

    def repair_tail(self) -> int:
        """Make the file end with a complete line, and return its size.

        A record that lacks only its newline gets it. Other bytes after the last line are cut off: their writer died.
        """
        size = self.size()
        with as_journal_error(self.path):
            complete = complete_length(self.fd, size)
            if complete == size:
                return size
            tail = os.pread(self.fd, min(size - complete, 1 << 16), complete)
        try:
            if len(tail) < size - complete:
                raise MalformedRecord("too long", tail)
            self._kind.from_line(tail)
        except MalformedRecord:
            return self.cut_tail()
        self.append(b"\n")
        return size + 1

    def cut_tail(self) -> int:
        """Cut off the bytes after the last complete line, and return the file's size."""
        size = self.size()
        with as_journal_error(self.path):
            complete = complete_length(self.fd, size)
            tail = os.pread(self.fd, 80, complete)
        if complete < size:
            self.truncate_to(complete)
            log.warning("torn_tail_cut", file=self.path.name, cut_bytes=size - complete, tail=repr(tail))
        return complete

    def append(self, data: bytes) -> int:
        """Add lines in one write and make them durable, or leave the file as it was. Return its size before."""
        if self._must_cut_to is not None:
            self.truncate_to(self._must_cut_to)
        before = self.size()
        with as_journal_error(self.path):
            try:
                written = os.write(self.fd, data)
                if written != len(data):
                    raise OSError(errno.ENOSPC, f"only {written} of {len(data)} bytes could be written")
                _sync(self.fd)
            except BaseException:
                self.truncate_to(before)
                raise
        return before

    def sync(self) -> None:
        """Make durable what another process may have appended before it died."""
        with as_journal_error(self.path):
            _sync(self.fd)

    def truncate_to(self, size: int) -> None:
        """Cut off the bytes that were appended since the file had this size."""
        self._must_cut_to = size
        with as_journal_error(self.path):
            os.ftruncate(self.fd, size)
        self._must_cut_to = None


def _journal_error(path: Path, error: OSError) -> JournalError:
    return JournalError(
        f"{path}: {error.strerror or error}; nothing of it was kept, and it is tried again until it can be written"
    )
