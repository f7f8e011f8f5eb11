"""From a signal to its line on disk, its captures and their tasks; and again, for whatever is overdue.

On the event loop there is only the waiting: one thread writes to disk, another talks to Redis.
"""

import asyncio
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import redis
import structlog

from hip3_tasks.capture import Capture, utc_day
from hip3_tasks.clock import FeedClock
from hip3_tasks.errors import BadCapture, JournalError
from hip3_tasks.journal import Journal
from hip3_tasks.messages import task_message
from hip3_tasks.pending import FIRST_TRY_MS, Pending, Wanted
from hip3_tasks.records import Signal
from hip3_tasks.settings import Settings, environment
from hip3_tasks.signals import SignalWriter, signals_since
from hip3_tasks.store import Keys

log = structlog.get_logger()

T = TypeVar("T")

RETRY_EVERY_S = 0.25
SWEEP_EVERY_S = 1.0
SWEEP_MOST = 500
QUEUE_MOST = 2_000
AGAIN_MIN_MS = 2_000
AGAIN_MAX_MS = 60_000
HELD_MOST = 20_000
BURST_MOST = 500


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
        self._submitted, self._written, self._rebuild = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.signals = 0
        self.swept = 0

    @property
    def unwritten(self) -> int:
        return len(self._unwritten)

    @property
    def unpublished(self) -> int:
        return len(self._unpublished)

    def submit(self, signal: Signal) -> None:
        """Take a signal; never blocks."""
        self.signals += 1
        self._unwritten.append(signal)
        self._submitted.set()

    async def write_signals(self) -> None:
        """Make each signal durable at once; until then nothing of it is published."""
        while True:
            await self._submitted.wait()
            self._submitted.clear()
            while self._unwritten:
                day = utc_day(self._unwritten[0].timestamp_ms)
                batch = [s for s in self._unwritten[:BURST_MOST] if utc_day(s.timestamp_ms) == day]
                try:
                    await self.on_disk_thread(self._writer.append, batch)
                except JournalError as error:
                    log.error("signals_not_written", waiting=len(self._unwritten), error=str(error))
                    await asyncio.sleep(RETRY_EVERY_S)
                    continue
                del self._unwritten[: len(batch)]
                self._unpublished += batch
                self._written.set()

    async def publish_signals(self) -> None:
        """Add signals, captures and tasks, a burst in one atomic call; again until Redis has taken it."""
        while True:
            await self._written.wait()
            self._written.clear()
            while batch := self._unpublished[:BURST_MOST]:
                try:
                    captures = [capture for signal in batch for capture in signal.captures()]
                    await self.on_redis_thread(self._add, batch, captures, self._clock.now_ms())
                except redis.RedisError as error:
                    log.error("signals_not_published", waiting=len(self._unpublished), error=str(error))
                    if len(self._unpublished) > HELD_MOST:
                        del self._unpublished[:-HELD_MOST]
                        self.rebuild_soon()  # the files know the others
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

    def rebuild_soon(self) -> None:
        """The pending set may lack what the files say is open: at the start, or when Redis lost it."""
        self._rebuild.set()

    async def rebuild_when_needed(self) -> None:
        while True:
            await self._rebuild.wait()
            self._rebuild.clear()
            await self._rebuild_now()

    async def _rebuild_now(self) -> None:
        """The tape's window first and at once, then the older days in a process of their own."""
        journal = Journal(self._settings.data_dir, window_ms=self._settings.retention_s * 1000)
        while True:
            try:
                restored = await self.on_redis_thread(self._rebuild_window, journal, self._clock.now_ms())
                break
            except (redis.RedisError, JournalError) as error:
                log.error("rebuild_failed", error=str(error))
                await asyncio.sleep(1.0)
        log.info("pending_rebuilt", captures=restored)
        older = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "hip3_tasks.cli", "recapture", "--open"),
            env=environment(self._settings),
            stdout=asyncio.subprocess.DEVNULL,
        )
        try:
            log.info("older_days_checked", exit_status=await older.wait())
        finally:
            if older.returncode is None:
                older.kill()

    async def hasten(self) -> None:
        """Try everything overdue once more, now."""
        at_ms = self._clock.now_ms()
        await self.on_redis_thread(lambda: self._pending.hasten(at_ms=at_ms, most=QUEUE_MOST))

    async def on_disk_thread(self, work: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._disk, work, *args)

    async def on_redis_thread(self, work: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._redis, work, *args)

    def close(self) -> None:
        self._disk.shutdown()
        self._redis.shutdown()
        self._writer.close()

    def _add(self, signals: Sequence[Signal], captures: Iterable[Capture], at_ms: int) -> int:
        # Workers wait by the wall clock; the due time itself stays on the feed's.
        behind_ms = self._clock.behind_wall_ms()
        return self._pending.add(
            signals,
            [Wanted(capture, self._message(capture, at_ms, behind_ms)) for capture in captures],
        )

    def _message(self, capture: Capture, at_ms: int, behind_ms: int) -> bytes | None:
        if capture.due_at_ms + FIRST_TRY_MS < at_ms:
            return None  # the sweeper's pace is kinder than a burst of what is late anyway
        return task_message(capture, queue=self._queue, eta_ms=capture.due_at_ms + behind_ms)

    def _sweep_once(self, at_ms: int) -> None:
        queued, members = self._pending.overdue(at_ms=at_ms, most=SWEEP_MOST)
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

    def _rebuild_window(self, journal: Journal, at_ms: int) -> int:
        since_ms = at_ms - self._settings.retention_s * 1000
        signals = signals_since(self._settings.data_dir, since_ms, until_ms=at_ms)
        restored = 0
        for first in range(0, len(signals), BURST_MOST):
            some = signals[first : first + BURST_MOST]
            open_captures = journal.open_among([capture for signal in some for capture in signal.captures()])
            owed = {capture.signal_id for capture in open_captures}
            if owed:
                again = [signal for signal in some if signal.signal_id in owed]
                restored += self._add(again, open_captures, at_ms)
        journal.close()
        self._pending.hasten(at_ms=at_ms, most=QUEUE_MOST)
        return restored
