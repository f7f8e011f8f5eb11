"""How late the venue's books arrive: the time from a book's block to its frame, over the last ten seconds."""

import statistics
from collections import deque
from typing import NamedTuple

WINDOW_MS = 10_000
MAX_BOOKS = 5_000
AHEAD_RED_MS = 1_000


class Lag(NamedTuple):
    """Median and 99th percentile of the lag; negative when this machine's clock is behind the venue's."""

    p50_ms: int
    p99_ms: int


class LagWindow:
    """The lags of the last ten seconds, of all markets together."""

    def __init__(self) -> None:
        self._lags: deque[tuple[int, int]] = deque(maxlen=MAX_BOOKS)

    def note(self, lag_ms: int, at_ms: int) -> None:
        """Note the lag of a book that came as a change: the first one after subscribing may be of any age."""
        self._lags.append((at_ms, lag_ms))

    def lag(self, at_ms: int) -> Lag | None:
        """The lag at an instant; None when no book changed in the ten seconds before."""
        while self._lags and self._lags[0][0] < at_ms - WINDOW_MS:
            self._lags.popleft()
        lags = sorted(lag_ms for _, lag_ms in self._lags)
        return Lag(round(statistics.median(lags)), lags[(99 * len(lags) - 1) // 100]) if lags else None


def lag_problem(lag: Lag | None, *, max_lag_ms: int) -> str | None:
    """The sentence for a lag that makes the feed red; None otherwise."""
    if lag is None or -AHEAD_RED_MS <= lag.p50_ms <= max_lag_ms:
        return None
    if lag.p50_ms < 0:
        return f"this machine's clock is {_seconds(-lag.p50_ms)} behind the venue's blocks, or theirs is ahead"
    return f"books arrive {_seconds(lag.p50_ms)} after their block, at most {_seconds(max_lag_ms)} are normal"


def lag_notice(lag: Lag | None, *, max_lag_ms: int) -> str | None:
    """The sentence for a lag that is more than half of the limit; None otherwise."""
    if lag is None or not max_lag_ms / 2 < lag.p50_ms <= max_lag_ms:
        return None
    return f"books arrive {_seconds(lag.p50_ms)} after their block; above {_seconds(max_lag_ms)} the feed is red"


def _seconds(ms: int) -> str:
    return f"{ms / 1000:.1f} s"
