"""The disk: real files, on which writes tear, a full disk refuses, and a power cut takes what was not synced."""

import errno
import fcntl
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

from hip3_tasks.domain.records import Followup, Missed, Record, Signal
from hip3_tasks.errors import MalformedRecord
from hip3_tasks.files import append_file
from tests.support.power_cut import content_left, is_name_left
from tests.universe.chance import Chance, Killed, Life
from tests.universe.loop import VirtualLoop

T = TypeVar("T")
KINDS: dict[str, type[Record]] = {"signals": Signal, "followups": Followup, "missed": Missed}


class Disk:
    """Stands in for `os` in `files.append_file`; every other file access is real."""

    def __init__(self, data_dir: Path, loop: VirtualLoop, chance: Chance) -> None:
        self._data_dir, self._loop, self._chance = data_dir, loop, chance
        self.is_full = False
        self._life: Life | None = None
        self._fds: dict[Life, list[int]] = {}
        self._named: set[str] = set()
        """The files whose names are durable."""
        self._synced: dict[str, bytes] = {}
        self._answered: dict[str, bytes] = {}
        """The content of each file at a sync by the work that runs now."""
        self.acknowledged: dict[str, bytes] = {}
        """The content of each file at the last sync by a work that returned; others rely on it."""
        self.damaged: dict[str, Counter[bytes]] = {}
        """The complete lines that a power cut left broken, by file."""

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
            result = work(*args)
        except Killed:
            self._answered.clear()
            raise
        finally:
            self._life = before
        self.acknowledged |= self._answered
        self._answered.clear()
        return result

    def close_files(self, life: Life) -> None:
        """Close what a dead process had open, which releases its locks."""
        for fd in self._fds.pop(life, []):
            try:
                os.close(fd)
            except OSError:
                continue

    def cut_power(self) -> None:
        """Keep of every file what was synced, and any part of what was written after that."""
        for path in sorted(self._data_dir.glob("*_*.jsonl")):
            name = path.name
            if is_name_left(name in self._named, self._chance):
                left = content_left(self._synced.get(name, b""), path.read_bytes(), self._chance)
                path.write_bytes(left)
                self._named.add(name)
                self._synced[name] = left
                self.damaged[name] = Counter(_broken_lines(name, left))
                self._chance.drawn["a power cut leaves a broken line"] += bool(self.damaged[name])
            else:
                path.unlink()
                self._synced.pop(name, None)
                self._chance.drawn["a power cut takes a file's name"] += 1

    def journal_is_locked(self) -> bool:
        """Whether a process holds the journal's lock, for which all others wait."""
        for path in self._data_dir.glob("followups_*.jsonl"):
            with path.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return True
        return False

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
        life = self._running()
        done = 0
        if life.stops_here:  # others see a part of what it writes
            done = os.write(fd, data[: self._part_of(len(data))])
        life.begin_effect()
        return done + self._write(life, fd, data[done:])

    def _write(self, life: Life, fd: int, data: bytes) -> int:
        if life.is_last_effect(on_disk=True):
            part = self._part_of(len(data))
            self._die(life, f"writing {part} of {len(data)} bytes to {_name(fd)}", lambda: os.write(fd, data[:part]))
        if self.is_full and data:
            part = min(self._part_of(len(data)), len(data) - 1)
            if part == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return os.write(fd, data[:part])
        return os.write(fd, data)

    def _part_of(self, size: int) -> int:
        """The number of bytes that reach a file; all but the newline are a case of their own."""
        return self._chance.choice([0, size, max(0, size - 1), self._chance.randint(0, size)])

    def ftruncate(self, fd: int, size: int) -> None:
        self._effect("truncate", _name(fd))
        os.ftruncate(fd, size)
        self._answered.pop(_name(fd), None)  # an error took back what was written

    def fsync(self, fd: int) -> None:
        self._effect("sync directory", "")
        self._named |= {path.name for path in self._data_dir.glob("*_*.jsonl")}

    def sync(self, fd: int) -> None:
        self._effect("sync", _name(fd))
        if self._chance.happens("a sync fails", 0.005):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        content = os.pread(fd, os.fstat(fd).st_size, 0)
        self._answered[_name(fd)] = content
        self.keep(_name(fd), content)

    def keep(self, name: str, content: bytes) -> None:
        """Make the content of a file durable."""
        self._synced[name] = content

    def _running(self) -> Life:
        assert self._life is not None, "a file was touched outside of a process"
        return self._life

    def _living(self) -> Life:
        life = self._running()
        life.begin_effect()
        return life

    def _effect(self, call: str, name: str) -> Life:
        life = self._living()
        if life.is_last_effect(on_disk=True):
            self._die(life, f"before {call} {name}", lambda: None)
        return life

    def _die(self, life: Life, where: str, last: Callable[[], object]) -> None:
        last()
        self._chance.drawn[f"{life.name} dies at a system call"] += 1
        self._chance.tell(self._loop.time(), f"{life.name} dies {where}")
        self.close_files(life)  # so that no other process waits for its locks
        life.kill()


def _broken_lines(name: str, content: bytes) -> Iterator[bytes]:
    kind = KINDS[name.partition("_")[0]]
    for line in content.split(b"\n")[:-1]:
        try:
            kind.from_line(line)
        except MalformedRecord:
            yield line


def _name(fd: int) -> str:
    return Path(f"/proc/self/fd/{fd}").readlink().name
