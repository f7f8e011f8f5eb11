"""Free space on the disk, and the deletion of old days."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from hip3_tasks.files.day_files import day_of

log = structlog.get_logger()


ROOM = 2
"""Tape and raw frames leave this many times HIP3_MIN_FREE_MB to signals and follow-ups."""


def free_mb(data_dir: Path) -> int:
    """The space that the data directory's disk has left for this user. Raises OSError."""
    disk = os.statvfs(data_dir)
    return disk.f_bavail * disk.f_frsize >> 20


def disk_problem(data_dir: Path, *, min_free_mb: int) -> str | None:
    """The reason why data cannot be written here, or soon cannot; None without a problem."""
    try:
        free = free_mb(data_dir)
    except FileNotFoundError:
        return f"{data_dir}: there is no such directory; `hip3 up` or a feed makes it when it starts"
    except OSError as error:
        return f"{data_dir}: {error.strerror}"
    if not os.access(data_dir, os.W_OK | os.X_OK):
        return f"{data_dir}: cannot be written"
    return f"{data_dir}: only {free} MB free, less than {min_free_mb}" if free < min_free_mb else None


def delete_old_days(data_dir: Path, *, keep_days: int, at_ms: int) -> list[str]:
    """Delete the files of days more than `keep_days` before today; return their names.

    A day's signals are deleted first: without a signal, no capture is open. Parquet, which closes a day, is last.
    """
    first_kept = str(datetime.fromtimestamp(at_ms / 1000, UTC).date() - timedelta(days=keep_days))
    names = sorted((path.name for path in data_dir.iterdir()), reverse=True)
    old = [name for name in names if (day := day_of(name)) is not None and day < first_kept]
    old.sort(key=lambda name: name.endswith(".parquet"))
    for name in old:
        (data_dir / name).unlink(missing_ok=True)
    if old:
        log.info("old_days_deleted", files=old, keep_days=keep_days)
    return old
