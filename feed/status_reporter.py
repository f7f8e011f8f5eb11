"""What a feed does beside hearing the market: report on itself, trim the tape, delete old days, drain at the end."""

import asyncio
import os

import redis
import structlog

from feed.feed import Feed
from feed.followed_log import WatchNotes
from feed.signal_publisher import Dispatcher
from hip3_tasks.clock import FeedClock, wall_ms
from hip3_tasks.files.retention import delete_old_days, disk_problem
from hip3_tasks.health import LASTING_MS, lags, note, waiting_for_disk
from hip3_tasks.settings import Settings
from hip3_tasks.store.feed_status import FeedStatus
from hip3_tasks.store.keys import is_cancelled
from hip3_tasks.store.market_facts import FeedMarkets, MarketFacts
from hip3_tasks.store.store import Store
from hip3_tasks.store.tape_writer import TapeWriter
from hip3_tasks.venue import is_simulated

log = structlog.get_logger()

REPORT_EVERY_S = 1.0
START_REPORT_EVERY_S, START_MS = 0.1, 15_000
"""At first, until detection has begun and a worker is there: whoever starts the system waits for both."""
TRIM_EVERY_S = 10.0
KEEP_DAYS_EVERY_S = 3_600.0
TAPE_MARGIN_MS = 60_000
TAPE_CAP = 4
"""However long a capture is open, the tape is kept for at most this many times its retention."""
DRAIN_MARGIN_S = 10.0
DRAIN_POLL_S = 0.05
HASTEN_EVERY_S = 3.0
NO_MARKET_RED_MS = 10_000


class House:
    """The chores of one feed."""

    def __init__(
        self,
        settings: Settings,
        *,
        feed: Feed,
        dispatcher: Dispatcher,
        store: Store,
        writer: TapeWriter,
        clock: FeedClock,
    ) -> None:
        self._settings, self._feed, self._dispatcher = settings, feed, dispatcher
        self._store, self._writer, self._clock = store, writer, clock
        self._started_at_ms = clock.now_ms()
        self._redis_away_since_ms: int | None = None
        self._watched = WatchNotes(settings.data_dir)

    async def report(self) -> None:
        """Every second, say how it goes."""
        disk_warned = False
        while True:
            oldest_ms, away = await self._ask_redis()
            disk = await self._dispatcher.on_disk_thread(self._disk_problem)
            if disk and not disk_warned:
                log.warning("disk_problem", problem=disk)
            disk_warned = disk is not None
            status = self._status([*away, *self._problems(oldest_ms), *([disk] if disk else [])])
            await self._dispatcher.on_disk_thread(self._note, status, list(self._feed.states))
            try:
                await self._dispatcher.on_redis_thread(self._store.write_feed_status, status)
                await self._dispatcher.on_redis_thread(self._store.write_feed_markets, self._markets())
            except redis.RedisError as error:
                log.debug("status_not_written", error=str(error))
            await asyncio.sleep(START_REPORT_EVERY_S if self._is_starting else REPORT_EVERY_S)

    async def _ask_redis(self) -> tuple[int | None, list[str]]:
        """When the oldest open capture was due, and what is wrong with Redis if that has lasted."""
        asked_at_ms = self._clock.now_ms()
        try:
            oldest_ms = await self._dispatcher.on_redis_thread(self._store.pending.oldest_due_at_ms)
        except redis.RedisError as error:
            self._redis_away_since_ms = since_ms = self._redis_away_since_ms or asked_at_ms
            has_lasted = self._clock.now_ms() - since_ms >= LASTING_MS
            return None, [f"Redis: {error}"] if has_lasted else []
        self._redis_away_since_ms = None
        return oldest_ms, []

    @property
    def _is_starting(self) -> bool:
        is_complete = self._feed.has_worker and self._feed.detection_began_at_ms is not None
        return not is_complete and self._clock.now_ms() - self._started_at_ms < START_MS

    async def trim(self) -> None:
        """Drop what is older than the retention, but nothing an open capture may need, within a cap."""
        retention_ms = self._settings.retention_s * 1000
        while not is_cancelled():
            await asyncio.sleep(TRIM_EVERY_S)
            try:
                oldest_ms = await self._dispatcher.on_redis_thread(self._store.pending.oldest_due_at_ms)
                now_ms = self._clock.now_ms()
                needed_ms = now_ms if oldest_ms is None else oldest_ms - TAPE_MARGIN_MS
                before_ms = max(now_ms - TAPE_CAP * retention_ms, min(now_ms - retention_ms, needed_ms))
                await self._writer.trim(sorted(await self._writer.coins()), before_ms=before_ms)
            except redis.RedisError as error:
                log.warning("trim_failed", error=str(error))

    async def keep_days(self) -> None:
        """Delete the files of days that are over HIP3_KEEP_DAYS old."""
        while self._settings.keep_days is not None:
            await self._dispatcher.on_disk_thread(self._delete_old_days, self._settings.keep_days)
            await asyncio.sleep(KEEP_DAYS_EVERY_S)

    async def drain(self) -> int:
        """Detect no more; wait until nothing is open, at most the longest offset + 10 s. Return what is left."""
        self._feed.detect_no_more()
        log.info("feed_draining")
        loop = asyncio.get_running_loop()
        until_s = loop.time() + max(self._settings.offsets_ms) / 1000 + DRAIN_MARGIN_S
        left, hastened_s = -1, 0.0
        while loop.time() < until_s:
            if self._dispatcher.is_idle:
                try:
                    left = await self._dispatcher.on_redis_thread(self._store.pending.size)
                    if left and loop.time() - hastened_s > HASTEN_EVERY_S:
                        hastened_s = loop.time()
                        await self._dispatcher.hasten()
                except redis.RedisError as error:
                    log.warning("drain_waits", error=str(error))
                if left == 0:
                    return 0
            await asyncio.sleep(DRAIN_POLL_S)
        return left

    def _disk_problem(self) -> str | None:
        return disk_problem(self._settings.data_dir, min_free_mb=self._settings.min_free_mb)

    def _note(self, status: FeedStatus, coins: list[str]) -> None:
        if self._settings.health_dir:
            note(self._settings.health_dir / "feed", status.problems)
        self._watched.note(coins, at_ms=status.at_ms)

    def _delete_old_days(self, keep_days: int) -> None:
        try:
            delete_old_days(self._settings.data_dir, keep_days=keep_days, at_ms=wall_ms())
        except OSError as error:
            log.error("old_days_not_deleted", error=str(error))

    def _problems(self, oldest_ms: int | None) -> list[str]:
        found = lags(
            at_ms=self._clock.now_ms(),
            # Before its first flush a feed has none, or that of the one before it.
            watermark_ms=max(self._feed.pipeline.watermark_ms, self._started_at_ms),
            oldest_due_at_ms=oldest_ms,
            clock_behind_wall_ms=self._clock.behind_wall_ms(),
        )
        if not self._feed.is_live and self._clock.now_ms() - self._started_at_ms > NO_MARKET_RED_MS:
            found.append(f"no market is live: {self._feed.trouble}")
        oldest_at_ms, unwritten = self._dispatcher.oldest_unwritten_at_ms, self._dispatcher.unwritten
        return found + waiting_for_disk(unwritten, oldest_at_ms=oldest_at_ms, at_ms=self._clock.now_ms())

    def _markets(self) -> FeedMarkets:
        rules, states = self._settings.rules, self._feed.states
        facts = {
            coin: MarketFacts(
                rules.threshold_bps(coin, state.taker_fee_bps), state.taker_fee_bps, state.ctx_at_ms or None
            )
            for coin, state in states.items()
        }
        return FeedMarkets(markets=facts, delisted=self._feed.delisted)

    def _status(self, problems: list[str]) -> FeedStatus:
        feed, dispatcher = self._feed, self._dispatcher
        return FeedStatus(
            at_ms=self._clock.now_ms(),
            started_at_ms=self._started_at_ms,
            pid=os.getpid(),
            detecting=feed.detecting,
            markets_followed=len(feed.states),
            markets_live=sum(state.market is not None for state in feed.states.values()),
            sockets=sum(connection.last_data_at_ms is not None for connection in feed.connections),
            reconnects=sum(max(0, connection.connects - 1) for connection in feed.connections),
            frames=dict(feed.frames),
            tape_entries=feed.pipeline.entries,
            signals=dispatcher.signals,
            signals_dropped=feed.signals_dropped,
            signals_unwritten=dispatcher.unwritten,
            signals_unpublished=dispatcher.unpublished,
            swept=dispatcher.swept,
            watermark_ms=feed.pipeline.watermark_ms,
            clock_behind_wall_ms=self._clock.behind_wall_ms(),
            problems=problems,
            detection_began_at_ms=feed.detection_began_at_ms,
            first_worker_at_ms=feed.first_worker_at_ms,
            notices=feed.notices.sentences,
            is_simulated=is_simulated(self._settings),
        )
