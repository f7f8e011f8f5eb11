"""The exclusive lock (flock) of an open file or directory: closing it, or the death of its process, releases it."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager

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
