"""The exclusive lock (flock) of an open file or directory: closing it, or the death of its process, releases it."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hip3_tasks.errors import Unavailable

POLL_S = 0.01


def lock(fd: int, *, timeout_s: float | None = None) -> None:
    """Take the lock, for which None waits without limit. Raises BlockingIOError when the timeout has passed."""
    if timeout_s is None:
        fcntl.flock(fd, fcntl.LOCK_EX)
        return
    until_s = time.monotonic() + timeout_s
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= until_s:
                raise
        time.sleep(POLL_S)


def unlock(fd: int) -> None:
    fcntl.flock(fd, fcntl.LOCK_UN)


@contextmanager
def locked(fd: int) -> Iterator[None]:
    """Hold the lock for the length of a block."""
    lock(fd)
    try:
        yield
    finally:
        unlock(fd)


def lock_directory(data_dir: Path, *, role: str) -> int:
    """Keep other processes with a role, such as `feed`, from a data directory; return the open file of the lock.

    Makes the directory if it is absent. Raises Unavailable when it cannot be used or another process has the role.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        fd = os.open(data_dir / f".{role}", os.O_RDWR | os.O_CREAT, 0o644)
        lock(fd, timeout_s=0)
        return fd
    except BlockingIOError:
        raise Unavailable(f"{data_dir}: another {role} runs on this data directory; stop it first") from None
    except OSError as error:
        raise Unavailable(f"{data_dir}: {error.strerror}") from None
