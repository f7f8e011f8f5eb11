"""When a system is red, in words; for the feed, which says it of itself, and for whoever looks from outside."""

OVERDUE_RED_MS = 10_000
WATERMARK_RED_MS = 5_000
CLOCK_RED_MS = 1_000


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


def _seconds(ms: int) -> str:
    return f"{ms / 1000:.0f} s"
