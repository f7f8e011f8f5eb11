"""Rows 7 and 8: a disk that is full or gone for a while, and files that are moved or deleted under their writers."""

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.faults.row import Found, Setting
from tests.faults.system import System
from tests.support.process import HIP3
from tests.support.waiting import eventually

FAULT_S = 4.0
SMALL, LARGE = "64k", "64m"
ROOM_BYTES = 2_500
"""A few lines more, the last of them not whole."""


def full_disk(setting: Setting) -> Found:
    """A file system of 64 KiB, which later has room again."""

    def fill(system: System, folder: Path, found: Found) -> None:
        eventually("the disk is full", lambda: psutil.disk_usage(str(folder)).free < 4096)
        time.sleep(FAULT_S)
        assert _remount(folder, f"size={LARGE}")

    return _on_its_own_disk(setting, SMALL, fill, when="disk full", signals_per_s=20)


def files_that_may_not_grow(setting: Setting) -> Found:
    """RLIMIT_FSIZE on feed and workers: writes that are cut short, then refused."""
    found = Found(injected=1)
    with System(setting.folder / "limited") as system:
        size = max(path.stat().st_size for path in system.data_dir.glob("*.jsonl"))
        _limit(system, size + ROOM_BYTES)
        time.sleep(FAULT_S)
        _limit(system, -1)
        system.recovered(found)
        system.judge(found, when="files may not grow")
    return found


def directory_read_only(setting: Setting) -> Found:
    """Feed and worker are started on a file system that is read-only, which later is not."""

    def forbid(system: System, folder: Path, found: Found) -> None:
        with system.hole():
            system.feed.kill()
            system.workers[0].kill()
            eventually("nobody writes", lambda: _remount(folder, "ro"))
            system.feed.start()
            system.start_worker()
            _expect_red(system, found)
            time.sleep(FAULT_S)
            if "Read-only file system" not in system.feed.log or "Traceback" in system.feed.log:
                found.unclear += 1
                found.blame(f"the feed says: {system.feed.log[-300:]}")
            assert _remount(folder, "rw")
            if not system.feed.is_running:
                system.feed.start()
            system.wait_until_live()

    return _on_its_own_disk(setting, LARGE, forbid, when="read-only")


def directory_gone(setting: Setting) -> Found:
    """The data directory is not where it was, and then it is again."""
    found = Found(injected=1)
    with System(setting.folder / "gone") as system:
        away = system.data_dir.with_name("away")
        system.data_dir.rename(away)
        _expect_red(system, found)
        time.sleep(FAULT_S)
        if system.data_dir.exists():
            found.blame(f"made again while it was away: {sorted(path.name for path in system.data_dir.iterdir())}")
            shutil.rmtree(system.data_dir)
        away.rename(system.data_dir)
        system.recovered(found)
        system.judge(found, when="directory gone")
    return found


def file_replaced(setting: Setting) -> Found:
    """The follow-ups file becomes another one of the same content, under the lock, again and again."""
    found = Found()
    with System(setting.folder / "replaced", signals_per_s=30, worker_arguments=("--concurrency=3",)) as system:
        for _ in setting.rounds(20, found, least=3):
            time.sleep(0.3)
            for path in sorted(system.data_dir.glob("followups_*.jsonl")):
                _replace(path)
        system.recovered(found)
        system.judge(found, when="file replaced")
    return found


def file_deleted(setting: Setting) -> Found:
    """The follow-ups file is deleted, and the feed is started again: what it held is on disk once more."""
    found = Found(injected=1)
    with System(setting.folder / "deleted") as system:
        time.sleep(FAULT_S)
        for path in system.data_dir.glob("followups_*.jsonl"):
            path.unlink()
        system.recovered(found)
        system.replace_feed()
        system.judge(found, when="file deleted")
    found.lateness_s = None  # they were captured a second time
    return found


def _expect_red(system: System, found: Found) -> None:
    """`hip3 status --check` says so within a while."""
    check = system.part("status", *HIP3, "status", "--check")

    def is_red() -> bool:
        check.start()
        return check.wait() == 1

    try:
        eventually("health is red", is_red, within_s=15)
    except AssertionError as error:
        found.unclear += 1
        found.blame(str(error))


def _replace(path: Path) -> None:
    while True:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_ino == path.stat().st_ino:
                other = path.with_suffix(".copy")
                other.write_bytes(file.read())
                other.replace(path)
                return


def _limit(system: System, size: int) -> None:
    for part in (system.feed, *system.workers):
        for pid in (part.pid, *part.children()):
            psutil.Process(pid).rlimit(psutil.RLIMIT_FSIZE, (size, -1))


def _on_its_own_disk(
    setting: Setting, size: str, hurt: Callable[[System, Path, Found], None], *, when: str, **options: Any
) -> Found:
    """A system whose data directory is on a file system of that size, and what became of it when hurt."""
    found = Found(injected=1)
    with _mounted(setting.folder / "disk", size) as folder:
        if folder is None:
            found.note = "not tried: no right to mount"
            return found
        with System(setting.folder / "system", data_dir=folder / "data", **options) as system:
            hurt(system, folder, found)
            system.recovered(found)
            system.judge(found, when=when)
    return found


@contextmanager
def _mounted(folder: Path, size: str) -> Iterator[Path | None]:
    """A file system of its own in memory; None where that is not allowed."""
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "hip3-fault", str(folder)], capture_output=True, check=False
    )
    if mount.returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _remount(folder: Path, option: str) -> bool:
    return subprocess.run(["mount", "-o", f"remount,{option}", str(folder)], capture_output=True).returncode == 0
