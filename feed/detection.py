"""When detection begins: once a worker consumes the queue, so that no follow-up falls due before one can capture it."""

import asyncio

import redis
import structlog

from feed.feed import Feed
from feed.signal_publisher import Dispatcher
from hip3_tasks.clock import FeedClock, wall_ms
from hip3_tasks.settings import Settings
from hip3_tasks.store.store import Store

log = structlog.get_logger()

POLL_S = 0.05


class DetectionStart:
    """Lets a feed detect signals, at the right time; until then its tape and watermark run all the same."""

    def __init__(
        self,
        settings: Settings,
        *,
        feed: Feed,
        dispatcher: Dispatcher,
        store: Store,
        clock: FeedClock,
    ) -> None:
        self._wait_s = settings.worker_wait_s
        self._feed, self._dispatcher, self._store, self._clock = feed, dispatcher, store, clock
        self._worker_is_there = asyncio.Event()

    async def run(self) -> None:
        """Let the feed detect once a worker is there, or was waited for long enough."""
        if self._wait_s and await self._dispatcher.on_redis_thread(self._count_open):
            self._wait_s = 0.0
        async with asyncio.TaskGroup() as group:
            group.create_task(self._begin())
            group.create_task(self._look_for_a_worker())

    async def _look_for_a_worker(self) -> None:
        was_there_at_once = await self._dispatcher.on_redis_thread(self._a_worker_consumes)
        while not (was_there_at_once or await self._dispatcher.on_redis_thread(self._a_worker_consumes)):
            await asyncio.sleep(POLL_S)
        if not was_there_at_once:
            self._feed.first_worker_at_ms = self._clock.now_ms()
        self._feed.has_worker = True
        self._worker_is_there.set()

    async def _begin(self) -> None:
        if self._wait_s:
            try:
                async with asyncio.timeout(self._wait_s):
                    await self._worker_is_there.wait()
            except TimeoutError:
                log.warning("no_worker_yet", waited_s=self._wait_s, queue=self._store.keys.queue)
        self._feed.detect()
        log.info("detection_allowed", has_worker=self._worker_is_there.is_set())

    def _count_open(self) -> int:
        """How many captures are open; many when nobody can say, for then signals must not wait."""
        try:
            return self._store.pending.size()
        except redis.RedisError:
            return 1

    def _a_worker_consumes(self) -> bool:
        try:
            workers = self._store.workers()
        except redis.RedisError:
            return False
        return any(worker.consumes(self._store.keys.queue) and worker.is_fresh(at_ms=wall_ms()) for worker in workers)
