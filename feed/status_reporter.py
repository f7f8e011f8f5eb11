"""Reports the feed's status once a second: to Redis, to its health file and to the log of followed markets."""

import asyncio
import os

import redis
import structlog

from feed.feed import Feed
from feed.followed_log import FollowedLog
from feed.lag import Lag, lag_notice, lag_problem
from feed.notices import dark_notices, dark_problem
from feed.signal_publisher import SignalPublisher
from feed.sweeper import Sweeper
from feed.threads import Threads
from hip3_tasks.clock import FeedClock
from hip3_tasks.domain.records import Dark
from hip3_tasks.files.retention import disk_problem
from hip3_tasks.health import GRACE_MS, lags, waiting_for_disk, write_health_file
from hip3_tasks.settings import Settings
from hip3_tasks.store.feed_status import FeedStatus
from hip3_tasks.store.market_facts import FeedMarkets, MarketFacts
from hip3_tasks.store.store import Store
from hip3_tasks.terminal_text import counted
from hip3_tasks.venue import is_simulated

log = structlog.get_logger()

INTERVAL_S = 1.0
START_INTERVAL_S, START_MS = 0.1, 15_000
"""The interval until detection has begun and a worker consumes the queue, since `hip3 up` waits for both."""
NO_MARKET_RED_MS = 10_000


class StatusReporter:
    """The status reporter of one feed."""

    def __init__(
        self,
        settings: Settings,
        *,
        feed: Feed,
        publisher: SignalPublisher,
        sweeper: Sweeper,
        store: Store,
        threads: Threads,
        clock: FeedClock,
    ) -> None:
        self._settings, self._feed, self._publisher, self._sweeper = settings, feed, publisher, sweeper
        self._store, self._threads, self._clock = store, threads, clock
        self._started_at_ms = clock.now_ms()
        self._redis_failing_since_ms: int | None = None
        self._followed = FollowedLog(settings.data_dir)

    async def report(self) -> None:
        """Report until cancelled."""
        disk_warned = False
        while True:
            oldest_ms, redis_problems = await self._read_oldest()
            disk = await self._threads.on_disk(self._disk_problem)
            if disk and not disk_warned:
                log.warning("disk_problem", problem=disk)
            disk_warned = disk is not None
            markets = self._feed.markets
            dark, lag = markets.dark(), self._feed.lags.lag(self._clock.now_ms())
            problems = [*redis_problems, *self._problems(oldest_ms, dark, lag), *([disk] if disk else [])]
            status = self._status(problems, dark, lag)
            heard = [state.coin for state in markets.live]
            await self._threads.on_disk(self._write_files, status, markets.coins, heard, dark)
            try:
                await self._threads.on_redis(self._store.write_feed_status, status)
                await self._threads.on_redis(self._store.write_feed_markets, self._markets(dark))
            except redis.RedisError as error:
                log.debug("status_not_written", error=str(error))
            await asyncio.sleep(START_INTERVAL_S if self._is_starting else INTERVAL_S)

    async def _read_oldest(self) -> tuple[int | None, list[str]]:
        """Return the earliest due time of open captures, and the problem of Redis once it has lasted."""
        asked_at_ms = self._clock.now_ms()
        try:
            oldest_ms = await self._threads.on_redis(self._store.pending.oldest_due_at_ms)
        except redis.RedisError as error:
            self._redis_failing_since_ms = since_ms = self._redis_failing_since_ms or asked_at_ms
            has_lasted = self._clock.now_ms() - since_ms >= GRACE_MS
            return None, [f"Redis: {error}"] if has_lasted else []
        self._redis_failing_since_ms = None
        return oldest_ms, []

    @property
    def _is_starting(self) -> bool:
        is_complete = self._feed.has_worker and self._feed.detection_began_at_ms is not None
        return not is_complete and self._clock.now_ms() - self._started_at_ms < START_MS

    def _disk_problem(self) -> str | None:
        return disk_problem(self._settings.data_dir, min_free_mb=self._settings.min_free_mb)

    def _write_files(self, status: FeedStatus, coins: list[str], heard: list[str], dark: list[Dark]) -> None:
        if self._settings.health_dir:
            write_health_file(self._settings.health_dir / "feed", status.problems)
        by_coin = {market.coin: market for market in dark}
        self._followed.update(coins, heard=heard, dark=by_coin, at_ms=status.at_ms)

    def _problems(self, oldest_ms: int | None, dark: list[Dark], lag: Lag | None) -> list[str]:
        problems = lags(
            at_ms=self._clock.now_ms(),
            # Before the first flush the watermark is missing or that of the feed before.
            watermark_ms=max(self._feed.tape.watermark_ms, self._started_at_ms),
            oldest_due_at_ms=oldest_ms,
            clock_behind_wall_ms=self._clock.behind_wall_ms(),
        )
        now_ms = self._clock.now_ms()
        problems += self._market_problems(dark, now_ms)
        problems += self._feed.notices.problems
        problems += self._feed.liveness.problems(now_ms)
        if late := lag_problem(lag, max_lag_ms=self._settings.max_lag_ms):
            problems.append(late)
        oldest_at_ms, unwritten = self._publisher.oldest_unwritten_at_ms, self._publisher.unwritten
        return problems + waiting_for_disk(unwritten, oldest_at_ms=oldest_at_ms, at_ms=self._clock.now_ms())

    def _market_problems(self, dark: list[Dark], at_ms: int) -> list[str]:
        if at_ms - self._started_at_ms <= NO_MARKET_RED_MS:
            return []
        markets = self._feed.markets
        if not markets.coins:
            return [f"no market is live: {self._feed.trouble}"]
        problem = dark_problem(dark, wanted=len(markets.coins), at_ms=at_ms)
        return [problem] if problem else []

    def _markets(self, dark: list[Dark]) -> FeedMarkets:
        markets = self._feed.markets
        facts = {
            coin: MarketFacts(state.threshold_bps, state.taker_fee_bps, markets.heard(coin).ctx_at_ms or None)
            for coin, state in markets.states.items()
        }
        return FeedMarkets(markets=facts, delisted=self._feed.delisted, dark=dark)

    def _raw_notices(self) -> list[str]:
        raw = self._feed.raw
        if raw is None or not raw.dropped:
            return []
        return [f"{counted(raw.dropped, 'raw frame')} dropped, because the disk fell behind"]

    def _status(self, problems: list[str], dark: list[Dark], lag: Lag | None) -> FeedStatus:
        feed, markets, publisher = self._feed, self._feed.markets, self._publisher
        at_ms = self._clock.now_ms()
        late = lag_notice(lag, max_lag_ms=self._settings.max_lag_ms)
        notices = [*feed.notices.sentences, *dark_notices(dark, at_ms=at_ms), *([late] if late else [])]
        return FeedStatus(
            at_ms=at_ms,
            started_at_ms=self._started_at_ms,
            pid=os.getpid(),
            detecting=feed.detecting,
            markets_followed=len(markets.states),
            markets_live=len(markets.live),
            sockets=sum(connection.last_data_at_ms is not None for connection in markets.connections),
            reconnects=sum(max(0, connection.connects - 1) for connection in markets.connections),
            frames=dict(feed.frames),
            tape_entries=feed.tape.entries,
            signals=publisher.signals,
            signals_dropped=feed.signals_dropped,
            signals_unwritten=publisher.unwritten,
            signals_unpublished=publisher.unpublished,
            swept=self._sweeper.swept,
            watermark_ms=feed.tape.watermark_ms,
            clock_behind_wall_ms=self._clock.behind_wall_ms(),
            problems=problems,
            detection_began_at_ms=feed.detection_began_at_ms,
            first_worker_at_ms=feed.first_worker_at_ms,
            notices=[*notices, *self._raw_notices()],
            is_simulated=is_simulated(self._settings),
            lag_p50_ms=lag and lag.p50_ms,
            lag_p99_ms=lag and lag.p99_ms,
            limits_ms=markets.limits_ms(),
            raw_dropped=None if feed.raw is None else feed.raw.dropped,
        )
