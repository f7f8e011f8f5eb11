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

from tests.faults.row import Result, Setting
from tests.faults.system import System
from tests.support.process import HIP3
from tests.support.waiting import eventually

FAULT_S = 4.0
SMALL, LARGE = "64k", "64m"
ROOM_BYTES = 2_500
"""Room for a few more lines, the last of them incomplete."""


def full_disk(setting: Setting) -> Result:
    """A file system of 64 KiB that fills, and later has room again."""

    def fill(system: System, folder: Path, result: Result) -> None:
        eventually("the disk is full", lambda: psutil.disk_usage(str(folder)).free < 4096)
        time.sleep(FAULT_S)
        assert _remount(folder, f"size={LARGE}")

    return _on_its_own_disk(setting, SMALL, fill, when="disk full", signals_per_s=20)


def files_that_may_not_grow(setting: Setting) -> Result:
    """RLIMIT_FSIZE on feed and workers: writes that are cut short, then refused."""
    result = Result(injected=1)
    with System(setting.folder / "limited") as system:
        size = max(path.stat().st_size for path in system.data_dir.glob("*.jsonl"))
        _limit(system, size + ROOM_BYTES)
        time.sleep(FAULT_S)
        _limit(system, -1)
        system.recovered(result)
        system.judge(result, when="files may not grow")
    return result


def directory_read_only(setting: Setting) -> Result:
    """Start feed and worker on a read-only file system, which later is writable again."""

    def forbid(system: System, folder: Path, result: Result) -> None:
        with system.hole():
            system.feed.kill()
            system.workers[0].kill()
            eventually("no process writes", lambda: _remount(folder, "ro"))
            system.feed.start()
            system.start_worker()
            _expect_red(system, result)
            time.sleep(FAULT_S)
            if "Read-only file system" not in system.feed.log or "Traceback" in system.feed.log:
                result.unclear += 1
                result.add_broken(f"the feed printed: {system.feed.log[-300:]}")
            assert _remount(folder, "rw")
            if not system.feed.is_running:
                system.feed.start()
            system.wait_until_live()

    return _on_its_own_disk(setting, LARGE, forbid, when="read-only")


def directory_gone(setting: Setting) -> Result:
    """Rename the data directory, and rename it back later."""
    result = Result(injected=1)
    with System(setting.folder / "gone") as system:
        away = system.data_dir.with_name("away")
        system.data_dir.rename(away)
        _expect_red(system, result)
        time.sleep(FAULT_S)
        if system.data_dir.exists():
            result.add_broken(
                f"created again while it was away: {sorted(path.name for path in system.data_dir.iterdir())}"
            )
            shutil.rmtree(system.data_dir)
        away.rename(system.data_dir)
        system.recovered(result)
        system.judge(result, when="directory gone")
    return result


def file_replaced(setting: Setting) -> Result:
    """Replace the follow-ups file by a copy, under its lock, again and again."""
    result = Result()
    with System(setting.folder / "replaced", signals_per_s=30, worker_arguments=("--concurrency=3",)) as system:
        for _ in setting.rounds(20, result, least=3):
            time.sleep(0.3)
            for path in sorted(system.data_dir.glob("followups_*.jsonl")):
                _replace(path)
        system.recovered(result)
        system.judge(result, when="file replaced")
    return result


def file_deleted(setting: Setting) -> Result:
    """Delete the follow-ups file and restart the feed: the follow-ups are captured again."""
    result = Result(injected=1)
    with System(setting.folder / "deleted") as system:
        time.sleep(FAULT_S)
        for path in system.data_dir.glob("followups_*.jsonl"):
            path.unlink()
        system.recovered(result)
        system.replace_feed()
        system.judge(result, when="file deleted")
    result.lateness_s = None  # they were captured a second time
    return result


def _expect_red(system: System, result: Result) -> None:
    """Wait until `hip3 status --check` fails."""
    check = system.part("status", *HIP3, "status", "--check")

    def is_red() -> bool:
        check.start()
        return check.wait() == 1

    try:
        eventually("health is red", is_red, within_s=15)
    except AssertionError as error:
        result.unclear += 1
        result.add_broken(str(error))


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
    setting: Setting, size: str, cause_fault: Callable[[System, Path, Result], None], *, when: str, **options: Any
) -> Result:
    """Run a system on its own file system of a given size, cause the fault, and judge the result."""
    result = Result(injected=1)
    with mounted(setting.folder / "disk", size) as folder:
        if folder is None:
            result.note = "not tried: no right to mount"
            return result
        with System(setting.folder / "system", data_dir=folder / "data", **options) as system:
            cause_fault(system, folder, result)
            system.recovered(result)
            system.judge(result, when=when)
    return result


@contextmanager
def mounted(folder: Path, size: str) -> Iterator[Path | None]:
    """A new file system in memory; None without the right to mount."""
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
