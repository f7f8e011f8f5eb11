"""When a system is red, in words; for the feed, which says it of itself, and for whoever looks from outside.

Feed and worker also leave a note of it in HIP3_HEALTH_DIR. `python -m hip3_tasks.health FILE` exits 1 when that note is
old or names a problem. It costs no more than the start of Python, for a container asks every few seconds.
"""

import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from hip3_tasks.terminal_text import counted

LASTING_MS = 1_000
"""What passes within this is the ordinary course of things, such as a signal that waits some ms for its sync."""
OVERDUE_RED_MS = 10_000
WATERMARK_RED_MS = 5_000
CLOCK_RED_MS = 1_000
NOTE_RED_S = 15.0
"""A feed that waits in vain for Redis is heard of every ten seconds."""


def lags(*, at_ms: int, watermark_ms: int | None, oldest_due_at_ms: int | None, clock_behind_wall_ms: int) -> list[str]:
    """What is too late or too far off; `at_ms` is on the feed's clock."""
    found = []
    if oldest_due_at_ms is not None and at_ms - oldest_due_at_ms > OVERDUE_RED_MS:
        found.append(f"the oldest capture is {_seconds(at_ms - oldest_due_at_ms)} overdue")
    if watermark_ms is None:
        found.append("the watermark is missing")
    elif at_ms - watermark_ms > WATERMARK_RED_MS:
        found.append(f"the watermark has stood for {_seconds(at_ms - watermark_ms)}")
    if abs(clock_behind_wall_ms) > CLOCK_RED_MS:
        # Of two clocks, the one that is behind is off by less than nothing.
        found.append(f"the feed's clock is {-clock_behind_wall_ms / 1000:+.1f} s off the wall clock")
    return found


def waiting_for_disk(signals: int, *, oldest_at_ms: int | None, at_ms: int) -> list[str]:
    """Signals that are not durable yet, once the oldest has waited long; instants are on the feed's clock."""
    if oldest_at_ms is None or at_ms - oldest_at_ms < LASTING_MS:
        return []
    waiting = f"{counted(signals, 'signal waits', 'signals wait')} for the disk"
    return [f"{waiting}, for {_seconds(at_ms - oldest_at_ms)}"]


def note(path: Path, problems: Iterable[str]) -> None:
    """Leave word that this process lives, and what is red. Where that cannot be left it grows old: red enough."""
    part = path.with_suffix(".part")
    with suppress(OSError):
        part.write_text("\n".join([str(time.monotonic()), *problems]))
        part.replace(path)


def noted(path: Path) -> list[str]:
    """What is red by the note that another process of this machine left."""
    try:
        noted_at_s, *problems = path.read_text().split("\n")
    except OSError as error:
        return [f"{path}: {error.strerror}"]
    silent_s = time.monotonic() - float(noted_at_s)
    return [*problems, *([f"{path}: {silent_s:.0f} s old"] if silent_s > NOTE_RED_S else [])]


def _seconds(ms: int) -> str:
    return f"{ms / 1000:.0f} s"


if __name__ == "__main__":
    red = noted(Path(sys.argv[1]))
    print("\n".join(red) or "all is well")
    sys.exit(1 if red else 0)
