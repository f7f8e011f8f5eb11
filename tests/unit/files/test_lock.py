"""One process at a time holds the lock of a file or directory."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hip3_tasks.errors import Unavailable
from hip3_tasks.files.lock import lock, lock_directory, locked, unlock


@pytest.fixture(params=["file", "directory"])
def fds(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[int, int]]:
    """Two descriptors of one file or directory, as two processes have them."""
    path = tmp_path
    if request.param == "file":
        path = tmp_path / "file"
        path.touch()
    first, second = (os.open(path, os.O_RDONLY) for _ in range(2))
    yield first, second
    os.close(first)
    os.close(second)


@pytest.mark.parametrize("timeout_s", [0, 0.03])
def test_a_lock_that_another_holds_is_an_error_once_the_timeout_has_passed(
    fds: tuple[int, int], timeout_s: float
) -> None:
    first, second = fds
    with locked(first):
        began_s = time.monotonic()
        with pytest.raises(BlockingIOError):
            lock(second, timeout_s=timeout_s)
        assert time.monotonic() - began_s >= timeout_s
    lock(second, timeout_s=timeout_s)


@pytest.mark.parametrize("timeout_s", [None, 20.0])
def test_a_lock_is_taken_as_soon_as_it_is_released(fds: tuple[int, int], timeout_s: float | None) -> None:
    first, second = fds
    lock(first)
    releasing = threading.Timer(0.03, unlock, [first])
    releasing.start()
    lock(second, timeout_s=timeout_s)
    releasing.join()
    with pytest.raises(BlockingIOError):
        lock(first, timeout_s=0)


def test_an_error_in_the_block_releases_the_lock(fds: tuple[int, int]) -> None:
    first, second = fds
    with pytest.raises(KeyError), locked(first):
        raise KeyError
    lock(second, timeout_s=0)


def test_a_directory_has_one_process_of_each_role(tmp_path: Path) -> None:
    data_dir = tmp_path / "made" / "here"
    fds = [lock_directory(data_dir, role=role) for role in ("feed", "recorder")]
    with pytest.raises(Unavailable, match="another recorder runs on this data directory; stop it first"):
        lock_directory(data_dir, role="recorder")
    for fd in fds:
        os.close(fd)
    os.close(lock_directory(data_dir, role="recorder"))


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match=r"file/data: Not a directory$"):
        lock_directory(tmp_path / "file" / "data", role="feed")
