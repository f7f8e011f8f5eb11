"""Frames a second, from the feed's running counts."""

from collections import deque

from hip3_tasks.store.feed_status import FeedStatus

OVER_MS = 10_000


class FrameRate:
    """Over the last ten seconds, as far as they were seen; at first the mean since the feed started."""

    def __init__(self) -> None:
        self._seen: deque[FeedStatus] = deque()

    def of(self, feed: FeedStatus | None) -> float | None:
        """Frames a second of all kinds; None when that is not known."""
        if feed is None:
            return None
        if self._seen and self._seen[-1].started_at_ms != feed.started_at_ms:
            self._seen.clear()
        if not self._seen or self._seen[-1].at_ms < feed.at_ms:
            self._seen.append(feed)
        while len(self._seen) > 2 and feed.at_ms - self._seen[1].at_ms >= OVER_MS:
            self._seen.popleft()
        first = self._seen[0]
        if first.at_ms < feed.at_ms:
            return _per_s(_frames(feed) - _frames(first), feed.at_ms - first.at_ms)
        return _per_s(_frames(feed), feed.at_ms - feed.started_at_ms)


def _frames(feed: FeedStatus) -> int:
    return sum(feed.frames.values())


def _per_s(frames: int, ms: int) -> float | None:
    return round(frames * 1000 / ms, 1) if ms > 0 else None
