"""The venue's per-IP limits, shared by all sockets of a feed."""

import asyncio
from collections import deque
from collections.abc import Callable

MAX_SOCKETS = 10
MAX_SUBSCRIPTIONS = 1_000


class RateLimit:
    """Allows a weight of at most `limit` in any `per_s` seconds. `now_s` is a monotonic clock."""

    def __init__(self, limit: int, *, per_s: float = 60.0, now_s: Callable[[], float] | None = None) -> None:
        self._limit, self._per_s = limit, per_s
        self._now_s = now_s or asyncio.get_running_loop().time
        self._taken: deque[float] = deque(maxlen=limit)

    def reserve(self, weight: int = 1) -> float:
        """Take the next free places for an event of this weight; return how many seconds to wait before using them."""
        now_s = self._now_s()
        lacking = len(self._taken) + weight - self._limit
        at_s = now_s if lacking <= 0 else max(now_s, self._taken[lacking - 1] + self._per_s)
        self._taken.extend([at_s] * weight)
        return at_s - now_s

    async def take(self) -> None:
        """Wait for the next free place."""
        wait_s = self.reserve()
        if wait_s > 0:
            await asyncio.sleep(wait_s)


class VenueLimits:
    """New connections and messages per minute; a little is left for other programs of the same IP."""

    def __init__(self, *, connects: int = 28, messages: int = 1_900) -> None:
        self.connects = RateLimit(connects)
        self.messages = RateLimit(messages)
