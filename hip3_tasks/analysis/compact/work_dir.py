"""A folder in a data directory for work on one of its days: one process has it, and what it leaves there is no data."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from hip3_tasks.files.lock import lock

_PREFIX = ".compacting-"


class Busy(Exception):
    """Another process is at work on the day."""


@contextmanager
def workshop(data_dir: Path, day: str) -> Iterator[Path]:
    """An empty folder on the disk of the data, gone at the end. Raises Busy, and OSError where none can be made."""
    with _claimed(data_dir / f"{_PREFIX}{day}") as folder:
        for path in folder.iterdir():
            path.unlink()
        yield folder


def clear(data_dir: Path) -> None:
    """Remove what those left behind who were killed at work. Raises OSError."""
    for folder in data_dir.glob(f"{_PREFIX}*"):
        with suppress(Busy), _claimed(folder):
            pass


@contextmanager
def _claimed(folder: Path) -> Iterator[Path]:
    fd = _locked(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(fd)


def _locked(folder: Path) -> int:
    """The folder, held by its lock, which a dead process lets go of."""
    while True:
        folder.mkdir(exist_ok=True)
        with suppress(FileNotFoundError), ExitStack() as opened:  # whoever had it may remove it just now
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            opened.callback(os.close, fd)
            try:
                lock(fd, timeout_s=0)
            except BlockingIOError:
                raise Busy from None
            if os.path.samestat(os.fstat(fd), folder.stat()):
                opened.pop_all()
                return fd
