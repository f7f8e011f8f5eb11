"""The disk: real files, on which writes tear, a full disk refuses, and a power cut takes what was not synced."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

from hip3_tasks.files import append_file
from tests.universe.chance import Chance, Life
from tests.universe.loop import VirtualLoop

T = TypeVar("T")


class Disk:
    """Stands in for `os` in `files.append_file`; every other file access is real."""

    def __init__(self, data_dir: Path, loop: VirtualLoop, chance: Chance) -> None:
        self._data_dir, self._loop, self._chance = data_dir, loop, chance
        self.is_full = False
        self._life: Life | None = None
        self._fds: dict[Life, list[int]] = {}
        self._synced: dict[str, bytes] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    @contextmanager
    def installed(self) -> Iterator[None]:
        with patch.object(append_file, "os", self), patch.object(append_file, "_sync", self.sync):
            yield

    def run(self, life: Life, work: Callable[..., T], *args: object) -> T:
        """Run the work of a process, whose system calls these are. Raises Killed where it dies."""
        self._life, before = life, self._life
        try:
            return work(*args)
        finally:
            self._life = before

    def close_files(self, life: Life) -> None:
        """Close what a dead process had open, which releases its locks."""
        for fd in self._fds.pop(life, []):
            try:
                os.close(fd)
            except OSError:
                continue

    def cut_power(self) -> None:
        """Keep of every file what was synced, and any part of what was written after that."""
        for path in self._data_dir.glob("*.jsonl"):
            content, synced = path.read_bytes(), self._synced.get(path.name)
            if synced is None:
                path.unlink()  # its name was not synced either
            elif content.startswith(synced):
                path.write_bytes(content[: self._chance.randint(len(synced), len(content))])
            else:
                path.write_bytes(self._chance.choice([synced, content]))

    def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        life = self._effect("open", path.name)
        fd = os.open(path, flags, mode)
        self._fds.setdefault(life, []).append(fd)
        return fd

    def close(self, fd: int) -> None:
        life = self._living()
        if fd in self._fds.get(life, []):
            self._fds[life].remove(fd)
            os.close(fd)

    def write(self, fd: int, data: bytes) -> int:
        life = self._living()
        if life.is_last_effect():
            part = self._chance.choice([0, len(data), self._chance.randint(0, len(data))])
            self._die(life, f"writing {part} of {len(data)} bytes to {_name(fd)}", lambda: os.write(fd, data[:part]))
        if self.is_full:
            part = self._chance.choice([0, self._chance.randint(0, len(data))])
            if part == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return os.write(fd, data[:part])
        return os.write(fd, data)

    def ftruncate(self, fd: int, size: int) -> None:
        self._effect("truncate", _name(fd))
        os.ftruncate(fd, size)

    def fsync(self, fd: int) -> None:
        self._effect("sync directory", "")

    def sync(self, fd: int) -> None:
        self._effect("sync", _name(fd))
        if self._chance.happens("a sync fails", 0.005):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._synced[_name(fd)] = os.pread(fd, os.fstat(fd).st_size, 0)

    def _living(self) -> Life:
        assert self._life is not None, "a file was touched outside of a process"
        self._life.check()
        return self._life

    def _effect(self, call: str, name: str) -> Life:
        life = self._living()
        if life.is_last_effect():
            self._die(life, f"before {call} {name}", lambda: None)
        return life

    def _die(self, life: Life, where: str, last: Callable[[], object]) -> None:
        last()
        self._chance.drawn[f"{life.name} dies at a system call"] += 1
        self._chance.tell(self._loop.time(), f"{life.name} dies {where}")
        life.kill()


def _name(fd: int) -> str:
    return Path(f"/proc/self/fd/{fd}").readlink().name
