"""The clocks; no other file reads one.

Workers use the wall clock only for `captured_at_ms`. The feed has a clock of its own, because every time on the tape
and every due time comes from it: it never goes back and never steps, and slews towards the wall clock by one percent
at most.
"""

import time
from collections.abc import Callable

MAX_SLEW = 0.01

# Linux's CLOCK_MONOTONIC stops while the machine sleeps.
_MONOTONIC = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def _monotonic_ns() -> int:
    return time.clock_gettime_ns(_MONOTONIC)


def wall_ms() -> int:
    """Milliseconds since the epoch by the machine's clock, which may step."""
    return time.time_ns() // 1_000_000


class FeedClock:
    """A millisecond clock that runs on the monotonic clock and slews towards the wall clock."""

    def __init__(
        self,
        *,
        not_before_ms: int = 0,
        wall_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = _monotonic_ns,
    ) -> None:
        self._wall_ns, self._monotonic_ns = wall_ns, monotonic_ns
        # One tuple, so that another thread never sees half of an update.
        self._last_ns = monotonic_ns(), max(wall_ns(), not_before_ms * 1_000_000)

    def now_ms(self) -> int:
        """The feed's time; never less than an earlier result."""
        read_at_ns, now_ns = self._last_ns
        elapsed_ns = self._monotonic_ns() - read_at_ns
        now_ns += elapsed_ns
        max_slew_ns = int(elapsed_ns * MAX_SLEW)
        now_ns += max(-max_slew_ns, min(max_slew_ns, self._wall_ns() - now_ns))
        self._last_ns = read_at_ns + elapsed_ns, now_ns
        return now_ns // 1_000_000

    def behind_wall_ms(self) -> int:
        """How far the wall clock is ahead of this one, negative when it is behind. Thread-safe."""
        read_at_ns, now_ns = self._last_ns
        return (self._wall_ns() - now_ns - (self._monotonic_ns() - read_at_ns)) // 1_000_000
