"""Starts detection once a worker consumes the queue, so that no follow-up is due before a worker can capture it."""

import asyncio

import redis
import structlog

from feed.feed import Feed
from feed.threads import Threads
from hip3_tasks.clock import wall_ms
from hip3_tasks.store.store import Store

log = structlog.get_logger()

POLL_S = 0.05


class DetectionStart:
    """Lets a feed detect signals after at most `wait_s`; before that, its tape and watermark run already."""

    def __init__(self, feed: Feed, *, store: Store, threads: Threads, wait_s: float) -> None:
        self._feed, self._store, self._threads, self._wait_s = feed, store, threads, wait_s
        self._has_worker = asyncio.Event()

    async def run(self) -> None:
        """Start detection when a worker consumes the queue or the wait is over; at once when captures are open."""
        if self._wait_s and await self._threads.on_redis(self._count_open):
            self._wait_s = 0.0
        async with asyncio.TaskGroup() as group:
            group.create_task(self._start())
            group.create_task(self._wait_for_worker())

    async def _wait_for_worker(self) -> None:
        was_waited_for = False
        while not await self._threads.on_redis(self._has_consumer):
            was_waited_for = True
            await asyncio.sleep(POLL_S)
        self._feed.on_worker(was_waited_for=was_waited_for)
        self._has_worker.set()

    async def _start(self) -> None:
        if self._wait_s:
            try:
                async with asyncio.timeout(self._wait_s):
                    await self._has_worker.wait()
            except TimeoutError:
                log.warning("no_worker_yet", waited_s=self._wait_s, queue=self._store.keys.queue)
        self._feed.start_detecting()
        log.info("detection_allowed", has_worker=self._has_worker.is_set())

    def _count_open(self) -> int:
        """The number of open captures; 1 when Redis gives no answer, since signals must not wait then."""
        try:
            return self._store.pending.size()
        except redis.RedisError:
            return 1

    def _has_consumer(self) -> bool:
        try:
            workers = self._store.workers()
        except redis.RedisError:
            return False
        queue, now_ms = self._store.keys.queue, wall_ms()
        return any(worker.consumes(queue) and worker.is_fresh(at_ms=now_ms) for worker in workers)
