"""Publishes overdue captures again, in whatever way their tasks were lost."""

import asyncio
from collections.abc import Callable

import redis
import structlog

from feed.threads import Threads
from hip3_tasks.clock import FeedClock
from hip3_tasks.domain.capture import Capture
from hip3_tasks.errors import BadCapture
from hip3_tasks.store.store import Store
from hip3_tasks.store.task_message import task_message

log = structlog.get_logger()

INTERVAL_S = 1.0
MAX_SWEPT = 500
MAX_QUEUE = 2_000
"""The sweeper waits while the queue is longer than this."""
MIN_RETRY_MS = 2_000
MAX_RETRY_MS = 60_000


def next_try_at_ms(capture: Capture, *, at_ms: int) -> int:
    """When to publish an overdue capture again if this time fails too: the longer overdue the later, within limits."""
    return at_ms + max(MIN_RETRY_MS, min(MAX_RETRY_MS, at_ms - capture.due_at_ms))


class Sweeper:
    """The sweeper of one feed."""

    def __init__(self, store: Store, *, threads: Threads, clock: FeedClock, on_lost_data: Callable[[], None]) -> None:
        self._pending, self._queue, self._on_lost_data = store.pending, store.keys.queue, on_lost_data
        self._threads, self._clock = threads, clock
        self.swept = 0

    async def run(self) -> None:
        """Sweep every second, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            try:
                if await self._threads.on_redis(self._pending.has_lost_calls):
                    log.error("server_lost_captures")
                    self._on_lost_data()
                await self._threads.on_redis(self._sweep, self._clock.now_ms())
            except redis.RedisError as error:
                log.warning("sweep_failed", outage=error)

    async def hasten(self) -> None:
        """Make all overdue captures ready to be tried again now. Raises redis.RedisError."""
        at_ms = self._clock.now_ms()
        await self._threads.on_redis(lambda: self._pending.hasten(at_ms=at_ms, limit=MAX_QUEUE))

    async def count_open(self) -> int:
        """The number of captures in the pending set. Raises redis.RedisError."""
        return await self._threads.on_redis(self._pending.size)

    def _sweep(self, at_ms: int) -> None:
        queued, members = self._pending.overdue(at_ms=at_ms, limit=MAX_SWEPT)
        if queued > MAX_QUEUE:
            return
        retries, malformed = [], []
        for member in members:
            try:
                capture = Capture.from_member(member)
            except BadCapture:
                malformed.append(member)
                continue
            message = task_message(capture, queue=self._queue)
            retries.append((capture, next_try_at_ms(capture, at_ms=at_ms), message))
        if malformed:
            log.error("pending_members_dropped", members=malformed[:5], dropped=len(malformed))
            self._pending.remove(malformed)
        self.swept += self._pending.publish_again(retries)
