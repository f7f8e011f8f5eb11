"""A folder for temporary files in a data directory, for one process at a time. Nothing in it is data."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from hip3_tasks.files.lock import lock

_PREFIX = ".compacting-"


class Busy(Exception):
    """Another process compacts the day."""


@contextmanager
def work_dir(data_dir: Path, day: str) -> Iterator[Path]:
    """Create an empty folder and remove it at the end. Raises Busy, and OSError when it cannot be created."""
    with _locked_folder(data_dir / f"{_PREFIX}{day}") as folder:
        for path in folder.iterdir():
            path.unlink()
        yield folder


def remove_stale(data_dir: Path) -> None:
    """Remove the folders of processes that were killed. Raises OSError."""
    for folder in data_dir.glob(f"{_PREFIX}*"):
        with suppress(Busy), _locked_folder(folder):
            pass


@contextmanager
def _locked_folder(folder: Path) -> Iterator[Path]:
    fd = _create_and_lock(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(fd)


def _create_and_lock(folder: Path) -> int:
    """A locked descriptor of the folder; the death of the process releases the lock. Raises Busy and OSError."""
    while True:
        folder.mkdir(exist_ok=True)
        with suppress(FileNotFoundError), ExitStack() as opened:  # its last owner may remove it at this moment
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            opened.callback(os.close, fd)
            try:
                lock(fd, timeout_s=0)
            except BlockingIOError:
                raise Busy from None
            if os.path.samestat(os.fstat(fd), folder.stat()):
                opened.pop_all()
                return fd
