"""Row 4: a power cut at any instant, with a model of a disk that keeps synced data, and only some of the rest.

The journal's writes, truncations and syncs on real files are recorded. Each prefix of this list gives the states that a
power cut may leave, by `tests.support.power_cut`. Each state is written to files, on which the next process continues.
"""

import os
import random
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hip3_tasks.domain.records import Followup, Missed
from hip3_tasks.files import append_file as appendfile
from hip3_tasks.files.journal import Journal
from tests.faults.lines import Key, broken_lines, keys_of, recover
from tests.faults.row import Result, Setting
from tests.support.power_cut import content_left, is_name_left
from tests.support.processes import record_of

BATCHES = 60
RECORDS = 90
STATES_A_POINT = 4


class Killed(BaseException):
    """The process ends here."""


@dataclass(frozen=True, slots=True)
class Event:
    kind: Literal["create", "write", "truncate", "sync", "sync directory", "acknowledged"]
    name: str = ""
    data: bytes = b""
    size: int = 0
    """Offset of the data, or the new size of the file."""
    keys: tuple[Key, ...] = ()


class Disk:
    """Records the system calls on files, and can end a process before a sync."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.dies_before_sync = False

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        fd = os.open(path, flags, mode)
        if flags & os.O_CREAT:
            self.events.append(Event("create", path.name))
        return fd

    def write(self, fd: int, data: bytes) -> int:
        self.events.append(Event("write", _name(fd), data=bytes(data), size=os.fstat(fd).st_size))
        return os.write(fd, data)

    def ftruncate(self, fd: int, size: int) -> None:
        if self.dies_before_sync:
            raise Killed
        self.events.append(Event("truncate", _name(fd), size=size))
        os.ftruncate(fd, size)

    def fsync(self, fd: int) -> None:
        self.events.append(Event("sync directory"))

    def sync(self, fd: int) -> None:
        if self.dies_before_sync:
            raise Killed
        self.events.append(Event("sync", _name(fd)))


def power_cuts(setting: Setting) -> Result:
    """Power cuts after each event of several processes, some of which die, with several possible states for each."""
    result, chance = Result(), random.Random(4)
    records = [record_of(number) for number in range(RECORDS)]
    events = _history(setting.folder / "history", records, chance)
    points = [point for point in range(len(events) + 1) for _ in range(STATES_A_POINT)]
    for point in setting.sample(points):
        data_dir = setting.folder / "after"
        data_dir.mkdir()
        for name, content in _state(events[:point], chance).items():
            (data_dir / name).write_bytes(content)
        result.injected += 1
        recover(
            data_dir,
            records,
            result,
            when=f"power cut after event {point}",
            acknowledged=[key for event in events[:point] for key in event.keys],
            noise=broken_lines(data_dir),
        )
        shutil.rmtree(data_dir)
    return result


def _history(data_dir: Path, records: Sequence[Followup | Missed], chance: random.Random) -> list[Event]:
    """The events of two processes; sometimes a process dies between its write and its sync, and is replaced."""
    data_dir.mkdir()
    journals = [Journal(data_dir), Journal(data_dir)]
    with _watched() as disk:
        for _ in range(BATCHES):
            which = chance.randrange(2)
            batch = chance.sample(records, chance.randint(1, 6))
            disk.dies_before_sync = chance.random() < 0.25
            try:
                journals[which].append(batch)
                disk.events.append(Event("acknowledged", keys=tuple(keys_of(batch))))
            except Killed:
                journals[which] = Journal(data_dir)
    for journal in journals:
        journal.close()
    return disk.events


def _state(events: Sequence[Event], chance: random.Random) -> dict[str, bytes]:
    """One of the states that a power cut after these events may leave."""
    named: set[str] = set()
    synced: dict[str, bytes] = {}
    seen: dict[str, bytes] = {}
    for event in events:
        match event.kind:
            case "sync directory":
                named |= set(seen)
            case "sync":
                synced[event.name] = seen[event.name]
            case "create":
                seen.setdefault(event.name, b"")
            case "write" | "truncate":
                seen[event.name] = seen[event.name][: event.size] + event.data
    return {
        name: content_left(synced.get(name, b""), content, chance)
        for name, content in seen.items()
        if is_name_left(name in named, chance)
    }


@contextmanager
def _watched() -> Iterator[Disk]:
    disk, sync = Disk(), appendfile._sync
    appendfile.os, appendfile._sync = disk, disk.sync
    try:
        yield disk
    finally:
        appendfile.os, appendfile._sync = os, sync


def _name(fd: int) -> str:
    return Path(f"/proc/self/fd/{fd}").readlink().name
