"""The feed: it receives the venue's frames, writes the tape, detects signals and hands them to the publisher."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import structlog

from feed.connection import SILENCE_TIMEOUT_S, Connection
from feed.followed_markets import FollowedMarkets
from feed.market_state import MarketState
from feed.notices import Notices
from feed.past import Past
from feed.signal_publisher import SignalPublisher
from feed.tape_buffer import TapeBuffer
from feed.universe import InfoClient, UniverseError
from feed.wire import Bbo, Ctx
from hip3_tasks.clock import FeedClock
from hip3_tasks.domain.conditions import Conditions
from hip3_tasks.domain.market import Gap
from hip3_tasks.errors import MalformedFrame
from hip3_tasks.settings import Settings
from hip3_tasks.store.tape_writer import TapeWriter

log = structlog.get_logger()

CHECK_INTERVAL_S = 0.5
UNIVERSE_RETRY_S = 2.0
MAX_MALFORMED_LOGGED = 10
"""Malformed frames that are logged per minute; all are counted."""


class Feed:
    """One feed on one event loop; the listener of its connections."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: FeedClock,
        writer: TapeWriter,
        publisher: SignalPublisher,
        past: Past,
    ) -> None:
        self._settings, self._clock = settings, clock
        self._publisher, self._detector, self._past = publisher, past.detector, past
        self._group = asyncio.TaskGroup()
        self.tape = TapeBuffer(
            writer,
            clock=clock,
            covered_until_ms=self._covered_until_ms,
            signals=publisher,
            memory=self._detector.memory,
        )
        self.markets = FollowedMarkets(
            settings,
            clock=clock,
            tape=self.tape,
            listener=self,
            tape_ends=past.tape_ends,
            last_signals=past.last_signals,
            group=self._group,
        )
        self.detection_began_at_ms: int | None = None
        self.first_worker_at_ms: int | None = None
        """When the first worker consumed the queue; None if one already did when the feed started."""
        self.has_worker = False
        """Whether a worker has consumed the queue since the feed started."""
        self._may_detect = self._is_draining = False
        self.frames: Counter[str] = Counter()
        self.delisted: list[str] = []
        """The coins that the venue still lists, but no longer trades."""
        self.notices = Notices(settings)
        self._malformed_logged = 0
        self.trouble = "the venue has not answered yet"
        """The last reason that kept markets from being live."""

    @property
    def detecting(self) -> bool:
        return self._may_detect and not self._is_draining

    def start_detecting(self) -> None:
        """Detect signals from now on, or as soon as a market is live."""
        self._may_detect = True
        if self.markets.live:
            self.detection_began_at_ms = self._clock.now_ms()

    def stop_detecting(self) -> None:
        self._is_draining = True

    def on_worker(self, *, was_waited_for: bool) -> None:
        """A worker consumes the queue, from the start or from now on."""
        self.has_worker = True
        if was_waited_for:
            self.first_worker_at_ms = self._clock.now_ms()

    @property
    def signals_dropped(self) -> int:
        return self._detector.dropped_same_ms

    def start(self) -> None:
        """Begin a gap after the last watermark for every market that has a tape, followed or not."""
        self.tape.start(self._past.watermark_ms)
        for coin, end in self._past.tape_ends.items():
            self.tape.append(coin, max(self._past.watermark_ms, end.at_ms) + 1, Gap("the feed was away"))
        self._publisher.submit(self._past.signals_not_on_file)
        self._publisher.rebuilder.request()

    async def run(self, info: InfoClient) -> None:
        """Run all parts of the feed until cancelled; an error in one of them ends all."""
        publisher = self._publisher
        async with self._group as group:
            for work in (
                self.tape.run(),
                self.tape.write_keyframes(),
                publisher.write_signals(),
                publisher.publish_signals(),
                publisher.rebuilder.restore_recent(),
                publisher.rebuilder.restore_older(),
                self._follow_universe(info),
                self._check_connections(),
            ):
                group.create_task(work)

    def on_data(self, frame: Bbo | Ctx, at_ms: int) -> None:
        """Write the market's state to the tape if it changed; a signal waits until the state is sealed."""
        self.frames["bbo" if isinstance(frame, Bbo) else "ctx"] += 1
        state = self.markets.states.get(frame.coin)
        if state is None:
            self.frames["not_followed"] += 1
            return
        market = state.apply(frame, at_ms)
        if market is None:
            return
        if self.detecting and self.detection_began_at_ms is None:
            self.detection_began_at_ms = at_ms
        entry = self.tape.append(state.coin, at_ms, market, self._conditions(state, at_ms, is_news=True))
        signal = self._detector.observe(state.coin, entry)
        if signal is not None:
            self._publisher.hold(signal)

    def on_frame(self, kind: str) -> None:
        self.frames[kind] += 1

    def on_malformed(self, error: MalformedFrame) -> None:
        self.frames[error.kind] += 1
        self._malformed_logged += 1
        if self._malformed_logged <= MAX_MALFORMED_LOGGED:
            log.warning("malformed_frame", kind=error.kind, frame=str(error.frame)[:200])

    def on_stall(self, coins: Sequence[str], *, last_data_at_ms: int, at_ms: int) -> None:
        """Write a gap for a connection's silence that was too long for quiet markets, now that it has data again.

        The same socket loses no frame, so the last state of each market holds again from `at_ms` on.
        """
        log.warning("connection_stalled", silent_ms=at_ms - last_data_at_ms)
        for coin in coins:
            state = self.markets.states.get(coin)
            if state is not None and state.market is not None:
                cause = f"stalled: no data for {at_ms - last_data_at_ms} ms"
                self.tape.append(coin, self.markets.silence_end_ms(last_data_at_ms) + 1, Gap(cause))
                self.tape.append(coin, at_ms, state.market, self._conditions(state, at_ms, is_news=False))

    def on_loss(self, coins: Sequence[str], *, last_data_at_ms: int, cause: str) -> None:
        for coin in coins:
            self.markets.begin_gap(coin, cause, last_data_at_ms=last_data_at_ms)

    def on_trouble(self, trouble: str) -> None:
        self.trouble = trouble

    def on_rejected(self, coin: str) -> None:
        self.markets.reject(coin)

    def _conditions(self, state: MarketState, at_ms: int, *, is_news: bool) -> Conditions:
        return Conditions(
            is_news=is_news,
            is_judged=self.detecting,
            ctx_age_ms=max(0, at_ms - state.ctx_at_ms),
            taker_fee_bps=state.taker_fee_bps,
            threshold_bps=self._detector.rules.threshold_bps(state.coin, state.taker_fee_bps),
        )

    async def _follow_universe(self, info: InfoClient) -> None:
        """Read the list of markets at intervals, and follow those that are live."""
        while True:
            try:
                live = await info.live_markets(dexes=self._settings.dexes, coins=self._settings.coins)
            except UniverseError as error:
                self.trouble = str(error)
                log.error("universe_unknown", error=self.trouble)
                await asyncio.sleep(UNIVERSE_RETRY_S)
                continue
            if not live:
                self.trouble = "the venue has no live market that HIP3_DEXES and HIP3_COINS let through"
                log.error("no_market", why=self.trouble)
            self.markets.follow(live)
            self.delisted = info.delisted
            self.notices.update(info.universe)
            await asyncio.sleep(self._settings.universe_refresh_s)

    async def _check_connections(self) -> None:
        """Detect markets and sockets that are silent while others have data."""
        since_minute_s = 0.0
        while True:
            await asyncio.sleep(CHECK_INTERVAL_S)
            now_ms = self._clock.now_ms()
            for connection in self.markets.connections:
                self._check(connection, now_ms)
            since_minute_s += CHECK_INTERVAL_S
            if since_minute_s >= 60:
                since_minute_s, self._malformed_logged = 0.0, 0

    def _covered_until_ms(self) -> int | None:
        return self.markets.covered_until_ms()

    def _check(self, connection: Connection, now_ms: int) -> None:
        if connection.last_data_at_ms is None:
            return
        live = [state for state in self.markets.live if state.coin in connection.coins]
        silent = [state for state in live if now_ms - state.ctx_at_ms > SILENCE_TIMEOUT_S * 1000]
        if 2 * len(silent) > len(live):
            connection.abort(f"half-dead: {len(silent)} of {len(live)} markets silent for {SILENCE_TIMEOUT_S:g} s")
            return
        for state in silent:
            if now_ms - state.ctx_at_ms > self._settings.ctx_max_age_ms:
                log.warning("market_silent", coin=state.coin)
                self.markets.begin_gap(state.coin, "no data of this market", last_data_at_ms=connection.last_data_at_ms)
                connection.resubscribe(state.coin)
