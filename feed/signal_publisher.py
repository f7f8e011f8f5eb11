"""From a signal to its line on disk, its captures and their tasks; and again, for whatever is overdue.

On the event loop there is only the waiting: one thread writes to disk, another talks to Redis.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import redis
import structlog

from feed.pending_rebuild import Rebuilder
from hip3_tasks.clock import FeedClock
from hip3_tasks.domain.capture import Capture, utc_day
from hip3_tasks.domain.records import Signal
from hip3_tasks.errors import BadCapture, JournalError
from hip3_tasks.files.signal_files import SignalWriter
from hip3_tasks.settings import Settings
from hip3_tasks.store.keys import Keys
from hip3_tasks.store.pending import FIRST_TRY_MS, Pending, PendingCapture
from hip3_tasks.store.task_message import task_message

log = structlog.get_logger()

T = TypeVar("T")

RETRY_EVERY_S = 0.25
COMPLAIN_EVERY_S = 5.0
SWEEP_EVERY_S = 1.0
SWEEP_MOST = 500
QUEUE_MOST = 2_000
AGAIN_MIN_MS = 2_000
AGAIN_MAX_MS = 60_000
HELD_MOST = 20_000
LULL_S = 0.002
LULLS_MOST = 10
BURST_MOST = 500
"""What one sync makes durable."""
ADD_MOST = 50
"""What one atomic call publishes: it holds the server up for 3 ms, less than the tape waits between two flushes."""


def next_try_at_ms(capture: Capture, *, at_ms: int) -> int:
    """When an overdue capture is published again if this time fails too: later and later, at most a minute."""
    return at_ms + max(AGAIN_MIN_MS, min(AGAIN_MAX_MS, at_ms - capture.due_at_ms))


class Dispatcher:
    """Owns the signals files and the sweeper of one feed."""

    def __init__(self, settings: Settings, *, pending: Pending, clock: FeedClock) -> None:
        self._settings, self._pending, self._clock = settings, pending, clock
        self._queue = Keys(settings.feed_name).queue
        self._writer = SignalWriter(settings.data_dir)
        self._disk = ThreadPoolExecutor(1, "disk")
        self._redis = ThreadPoolExecutor(1, "redis")
        self._unwritten: list[Signal] = []
        self._unpublished: list[Signal] = []
        self._submitted, self._written = asyncio.Event(), asyncio.Event()
        self.rebuilder = Rebuilder(settings, pending=pending, clock=clock, add=self.add)
        self._complained_at_s = 0.0
        self.signals = 0
        self.swept = 0

    @property
    def unwritten(self) -> int:
        return len(self._unwritten)

    @property
    def oldest_unwritten_at_ms(self) -> int | None:
        """The time of the signal that has waited longest for the disk; None when none waits."""
        return self._unwritten[0].timestamp_ms if self._unwritten else None

    @property
    def unpublished(self) -> int:
        return len(self._unpublished)

    @property
    def is_idle(self) -> bool:
        """Whether every signal's captures are in the pending set, or were."""
        return not self._unwritten and not self._unpublished and self.rebuilder.is_done

    def submit(self, signal: Signal) -> None:
        """Take a signal; never blocks."""
        self.signals += 1
        self._unwritten.append(signal)
        self._submitted.set()

    async def write_signals(self) -> None:
        """Make each signal durable at once; until then nothing of it is published."""
        try:
            await self.on_disk_thread(self._writer.repair_tails)
        except JournalError as error:
            log.warning("signals_not_mended", error=str(error))
        while True:
            await self._submitted.wait()
            await self._lull()
            self._submitted.clear()
            while self._unwritten:
                day = utc_day(self._unwritten[0].timestamp_ms)
                batch = [s for s in self._unwritten[:BURST_MOST] if utc_day(s.timestamp_ms) == day]
                try:
                    await self.on_disk_thread(self._writer.append, batch)
                except JournalError as error:
                    self._complain("signals_not_written", len(self._unwritten), error)
                    await asyncio.sleep(RETRY_EVERY_S)
                    continue
                del self._unwritten[: len(batch)]
                self._unpublished += batch
                self._written.set()

    async def _lull(self) -> None:
        """Wait while signals keep coming, a moment at most, so that no thread competes with the frames that make them.

        A frame that is stamped late is late for ever; a task has until T+N.
        """
        for _ in range(LULLS_MOST):
            signals = self.signals
            await asyncio.sleep(LULL_S)
            if self.signals == signals:
                return

    async def publish_signals(self) -> None:
        """Add signals, captures and tasks, in atomic calls; each again until Redis has taken it."""
        while True:
            await self._written.wait()
            self._written.clear()
            while batch := self._unpublished[:ADD_MOST]:
                try:
                    await self.on_redis_thread(self._publish, batch, self._clock.now_ms())
                except redis.RedisError as error:
                    self._complain("signals_not_published", len(self._unpublished), error)
                    if len(self._unpublished) > HELD_MOST:
                        del self._unpublished[:-HELD_MOST]
                        self.rebuilder.soon()  # the files know the others
                    await asyncio.sleep(RETRY_EVERY_S)
                    continue
                del self._unpublished[: len(batch)]

    async def sweep(self) -> None:
        """Publish again, every second, what is overdue: whatever lost it, it is one case."""
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            try:
                await self.on_redis_thread(self._sweep_once, self._clock.now_ms())
            except redis.RedisError as error:
                log.warning("sweep_failed", error=str(error))

    async def hasten(self) -> None:
        """Try everything overdue once more, now."""
        at_ms = self._clock.now_ms()
        await self.on_redis_thread(lambda: self._pending.hasten(at_ms=at_ms, limit=QUEUE_MOST))

    async def on_disk_thread(self, work: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._disk, work, *args)

    async def on_redis_thread(self, work: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._redis, work, *args)

    def close(self, *, at_once: bool) -> None:
        """Let the threads end, or leave them to what they wait for."""
        for thread in (self._disk, self._redis):
            thread.shutdown(wait=not at_once, cancel_futures=at_once)
        self.rebuilder.close(at_once=at_once)

    def _complain(self, event: str, waiting: int, error: Exception) -> None:
        """Say it once a while: it is tried again much more often."""
        at_s = asyncio.get_running_loop().time()
        if at_s - self._complained_at_s > COMPLAIN_EVERY_S:
            self._complained_at_s = at_s
            log.error(event, waiting=waiting, error=str(error))

    def add(self, signals: Sequence[Signal], captures: Sequence[Capture], at_ms: int) -> int:
        """Add signals and captures to the pending set with their tasks; how many captures were new. Any thread."""
        # Workers wait by the wall clock; the due time itself stays on the feed's.
        behind_ms = self._clock.behind_wall_ms()
        return self._pending.add(
            signals,
            [PendingCapture(capture, self._message(capture, at_ms, behind_ms)) for capture in captures],
        )

    def _publish(self, signals: Sequence[Signal], at_ms: int) -> None:
        self.add(signals, [capture for signal in signals for capture in signal.captures()], at_ms)

    def _message(self, capture: Capture, at_ms: int, behind_ms: int) -> bytes | None:
        if capture.due_at_ms + FIRST_TRY_MS < at_ms:
            return None  # the sweeper's pace is kinder than a burst of what is late anyway
        return task_message(capture, queue=self._queue, eta_ms=capture.due_at_ms + behind_ms)

    def _sweep_once(self, at_ms: int) -> None:
        queued, members = self._pending.overdue(at_ms=at_ms, limit=SWEEP_MOST)
        if queued > QUEUE_MOST:
            return
        retries, nonsense = [], []
        for member in members:
            try:
                capture = Capture.from_member(member)
            except BadCapture:
                nonsense.append(member)
                continue
            message = task_message(capture, queue=self._queue)
            retries.append((capture, next_try_at_ms(capture, at_ms=at_ms), message))
        if nonsense:
            log.error("pending_members_dropped", members=nonsense[:5], dropped=len(nonsense))
            self._pending.remove(nonsense)
        self.swept += self._pending.publish_again(retries)
