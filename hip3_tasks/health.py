"""The limits of a healthy system, and the health files that the services keep in HIP3_HEALTH_DIR.

`python -m hip3_tasks.health FILE` exits 1 when the file is old or names a problem. It takes no longer than the start
of Python, because a container's health check runs it every few seconds.
"""

import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from hip3_tasks.terminal_text import counted

GRACE_MS = 1_000
"""A delay that is shorter than this is normal: each signal waits a few ms for its sync to the disk."""
OVERDUE_RED_MS = 10_000
WATERMARK_RED_MS = 5_000
CLOCK_RED_MS = 1_000
FILE_RED_S = 15.0
"""A feed that waits for Redis writes its file every ten seconds."""


def lags(*, at_ms: int, watermark_ms: int | None, oldest_due_at_ms: int | None, clock_behind_wall_ms: int) -> list[str]:
    """The problems of overdue captures, watermark and clock; `at_ms` is by the feed's clock."""
    problems = []
    if oldest_due_at_ms is not None and at_ms - oldest_due_at_ms > OVERDUE_RED_MS:
        problems.append(f"the oldest capture is {_seconds(at_ms - oldest_due_at_ms)} overdue")
    if watermark_ms is None:
        problems.append("the watermark is missing")
    elif at_ms - watermark_ms > WATERMARK_RED_MS:
        problems.append(f"the watermark has stood for {_seconds(at_ms - watermark_ms)}")
    if abs(clock_behind_wall_ms) > CLOCK_RED_MS:
        # Feed clock minus wall clock: negative when the feed is behind.
        problems.append(f"the feed's clock is {-clock_behind_wall_ms / 1000:+.1f} s off the wall clock")
    return problems


def waiting_for_disk(signals: int, *, oldest_at_ms: int | None, at_ms: int) -> list[str]:
    """The problem of signals that have waited too long for the disk; instants are by the feed's clock."""
    if oldest_at_ms is None or at_ms - oldest_at_ms < GRACE_MS:
        return []
    waiting = f"{counted(signals, 'signal waits', 'signals wait')} for the disk"
    return [f"{waiting}, for {_seconds(at_ms - oldest_at_ms)}"]


def write_health_file(path: Path, problems: Iterable[str]) -> None:
    """Write that this process is alive, and its problems. Where that fails, the file becomes old and therefore red."""
    temporary = path.with_suffix(".part")
    with suppress(OSError):
        temporary.write_text("\n".join([str(time.monotonic()), *problems]))
        temporary.replace(path)


def read_health_file(path: Path) -> list[str]:
    """The problems in the health file of another process of this machine."""
    try:
        written_at_s, *problems = path.read_text().split("\n")
    except OSError as error:
        return [f"{path}: {error.strerror}"]
    age_s = time.monotonic() - float(written_at_s)
    return [*problems, *([f"{path}: not updated for {age_s:.0f} s"] if age_s > FILE_RED_S else [])]


def _seconds(ms: int) -> str:
    return f"{ms / 1000:.0f} s"


if __name__ == "__main__":
    red = read_health_file(Path(sys.argv[1]))
    print("\n".join(red) or "all is well")
    sys.exit(1 if red else 0)
