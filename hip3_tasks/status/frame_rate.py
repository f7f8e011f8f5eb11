"""Frames per second, from the feed's running counts."""

from collections import deque

from hip3_tasks.store.feed_status import FeedStatus

SPAN_MS = 10_000


class FrameRate:
    """The rate over the last SPAN_MS of statuses; with only one status, the mean since the feed started."""

    def __init__(self) -> None:
        self._statuses: deque[FeedStatus] = deque()

    def update(self, feed: FeedStatus | None) -> float | None:
        """Take a status and return the frames of all kinds per second; None if that is not known."""
        if feed is None:
            return None
        if self._statuses and self._statuses[-1].started_at_ms != feed.started_at_ms:
            self._statuses.clear()
        if not self._statuses or self._statuses[-1].at_ms < feed.at_ms:
            self._statuses.append(feed)
        while len(self._statuses) > 2 and feed.at_ms - self._statuses[1].at_ms >= SPAN_MS:
            self._statuses.popleft()
        first = self._statuses[0]
        if first.at_ms < feed.at_ms:
            return _per_s(_frames(feed) - _frames(first), feed.at_ms - first.at_ms)
        return _per_s(_frames(feed), feed.at_ms - feed.started_at_ms)


def _frames(feed: FeedStatus) -> int:
    return sum(feed.frames.values())


def _per_s(frames: int, ms: int) -> float | None:
    return round(frames * 1000 / ms, 1) if ms > 0 else None
