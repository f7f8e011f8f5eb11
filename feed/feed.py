"""The feed: it hears the venue and keeps tape, signals and captures of every market it follows."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import structlog

from feed.connection import CHANNELS, SILENCE_S, Connection
from feed.market_state import MarketState
from feed.notices import Notices
from feed.rate_limits import MAX_SOCKETS, MAX_SUBSCRIPTIONS, VenueBudgets
from feed.signal_publisher import Dispatcher
from feed.tape_buffer import Pipeline
from feed.universe import InfoClient, Listing, UniverseError
from feed.wire import Bbo, Ctx
from hip3_tasks.clock import FeedClock
from hip3_tasks.domain.detector import Detector
from hip3_tasks.domain.market import Gap
from hip3_tasks.errors import MalformedFrame
from hip3_tasks.settings import Settings
from hip3_tasks.store.tape_writer import TapeEnd, TapeWriter

log = structlog.get_logger()

HOUSEKEEPING_S = 0.5
UNIVERSE_RETRY_S = 2.0
REFUSED_FOR_MS = 3_600_000
MALFORMED_LOGGED_A_MINUTE = 10


class Feed:
    """One feed on one event loop; `tape_ends` has the end of each market's tape when it started."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: FeedClock,
        writer: TapeWriter,
        dispatcher: Dispatcher,
        detector: Detector,
        tape_ends: dict[str, TapeEnd],
    ) -> None:
        self._settings, self._clock = settings, clock
        self._dispatcher, self._detector, self._tape_ends = dispatcher, detector, tape_ends
        self.pipeline = Pipeline(writer, clock=clock, hold_ms=self._hold_ms, on_lost_data=dispatcher.rebuilder.soon)
        self.detection_began_at_ms: int | None = None
        self.first_worker_at_ms: int | None = None
        """When the first worker came, where none was there from the start."""
        self.has_worker = False
        """Whether any was there yet."""
        self._may_detect = self._is_draining = False
        self.frames: Counter[str] = Counter()
        self.states: dict[str, MarketState] = {}
        self.delisted: list[str] = []
        """What the venue still lists, but nobody trades."""
        self.notices = Notices(settings)
        self.connections: list[Connection] = []
        self._home: dict[str, Connection] = {}
        self._budgets = VenueBudgets()
        self._refused_at_ms: dict[str, int] = {}
        self._malformed_logged = 0
        self.trouble = "the venue has not answered yet"
        """What last kept markets from being live."""
        self._group = asyncio.TaskGroup()

    @property
    def detecting(self) -> bool:
        return self._may_detect and not self._is_draining

    @property
    def is_live(self) -> bool:
        """Whether the state of any market is known."""
        return any(state.market is not None for state in self.states.values())

    def detect(self) -> None:
        """Detect signals from now on, or as soon as a market is live."""
        self._may_detect = True
        if self.is_live:
            self.detection_began_at_ms = self._clock.now_ms()

    def detect_no_more(self) -> None:
        self._is_draining = True

    @property
    def signals_dropped(self) -> int:
        return self._detector.dropped_same_ms

    def start(self, watermark_ms: int) -> None:
        """Of every market on the tape, followed or not, nothing is known since the last watermark."""
        self.pipeline.start(watermark_ms)
        for coin, end in self._tape_ends.items():
            self.pipeline.append(coin, max(watermark_ms, end.at_ms) + 1, Gap("the feed was away"))
        self._dispatcher.rebuilder.soon()

    async def run(self, info: InfoClient) -> None:
        """Everything a feed does, until cancelled; an error in any part ends the whole."""
        dispatcher = self._dispatcher
        async with self._group as group:
            for work in (
                self.pipeline.run(),
                self.pipeline.write_keyframes(),
                dispatcher.write_signals(),
                dispatcher.publish_signals(),
                dispatcher.rebuilder.young(),
                dispatcher.rebuilder.older(),
                dispatcher.sweep(),
                self._follow_universe(info),
                self._keep_house(),
            ):
                group.create_task(work)

    def heard(self, frame: Bbo | Ctx, at_ms: int) -> None:
        """A frame of a market: keep its state if it changed, and see whether that is a signal."""
        self.frames["bbo" if isinstance(frame, Bbo) else "ctx"] += 1
        state = self.states.get(frame.coin)
        if state is None:
            self.frames["not_followed"] += 1
            return
        market = state.hear(frame, at_ms)
        if market is None:
            return
        self.pipeline.append(state.coin, at_ms, market)
        if self.detecting:
            if self.detection_began_at_ms is None:
                self.detection_began_at_ms = at_ms
            signal = self._detector.observe(
                state.coin, market, taker_fee_bps=state.taker_fee_bps, ctx_at_ms=state.ctx_at_ms, at_ms=at_ms
            )
            if signal is not None:
                self._dispatcher.submit(signal)

    def counted(self, kind: str) -> None:
        self.frames[kind] += 1

    def malformed(self, error: MalformedFrame) -> None:
        self.frames[error.kind] += 1
        self._malformed_logged += 1
        if self._malformed_logged <= MALFORMED_LOGGED_A_MINUTE:
            log.warning("malformed_frame", kind=error.kind, frame=str(error.frame)[:200])

    def stalled(self, coins: Sequence[str], *, last_data_at_ms: int, at_ms: int) -> None:
        """A connection speaks again after a silence too long for a quiet market: what held meanwhile is not known.

        The same socket loses nothing, so what it said last holds again from now on.
        """
        log.warning("connection_stalled", silent_ms=at_ms - last_data_at_ms)
        for coin in coins:
            state = self.states.get(coin)
            if state is not None and state.market is not None:
                cause = f"stalled: the connection said nothing for {at_ms - last_data_at_ms} ms"
                self.pipeline.append(coin, self._grace_ms(last_data_at_ms) + 1, Gap(cause))
                self.pipeline.append(coin, at_ms, state.market)

    def lost(self, coins: Sequence[str], *, last_data_at_ms: int, cause: str) -> None:
        """A connection is gone: of its markets nothing is known from where the watermark stood for it."""
        at_ms = self._vouched_ms(last_data_at_ms) + 1
        for coin in coins:
            self._gap(coin, at_ms, cause)

    def troubled(self, trouble: str) -> None:
        self.trouble = trouble

    def refused(self, coin: str) -> None:
        self._refused_at_ms[coin] = self._clock.now_ms()
        self._drop(coin, "refused by the venue")

    async def _follow_universe(self, info: InfoClient) -> None:
        """Read the markets again and again; take on the new, let go of the gone."""
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
            self._follow(live)
            self.delisted = info.delisted
            self.notices.update(info.universe)
            await asyncio.sleep(self._settings.universe_refresh_s)

    async def _keep_house(self) -> None:
        """Notice markets and sockets that fell silent while others go on."""
        since_minute_s = 0.0
        while True:
            await asyncio.sleep(HOUSEKEEPING_S)
            now_ms = self._clock.now_ms()
            for connection in self.connections:
                self._check(connection, now_ms)
            since_minute_s += HOUSEKEEPING_S
            if since_minute_s >= 60:
                since_minute_s, self._malformed_logged = 0.0, 0

    def _hold_ms(self) -> int | None:
        heard = [c.last_data_at_ms for c in self.connections if c.coins and c.last_data_at_ms is not None]
        return self._grace_ms(min(heard)) if heard else None

    def _grace_ms(self, last_data_at_ms: int) -> int:
        return last_data_at_ms + self._settings.stall_grace_ms

    def _vouched_ms(self, last_data_at_ms: int) -> int:
        """Up to when a connection's silence still means a quiet market."""
        return min(self._clock.now_ms() - 1, self._grace_ms(last_data_at_ms))

    def _gap(self, coin: str, at_ms: int, cause: str) -> None:
        state = self.states.get(coin)
        if state is not None:
            if state.market is not None:
                self.pipeline.append(coin, at_ms, Gap(cause))
            state.lose()

    def _check(self, connection: Connection, now_ms: int) -> None:
        if connection.last_data_at_ms is None:
            return
        known = [self.states[c] for c in connection.coins if c in self.states and self.states[c].market is not None]
        silent = [state for state in known if now_ms - state.ctx_at_ms > SILENCE_S * 1000]
        if 2 * len(silent) > len(known):
            connection.abort(f"half-dead: {len(silent)} of {len(known)} markets silent for {SILENCE_S:g} s")
            return
        at_ms = self._vouched_ms(connection.last_data_at_ms) + 1
        for state in silent:
            if now_ms - state.ctx_at_ms > self._settings.ctx_max_age_ms:
                log.warning("market_silent", coin=state.coin)
                self._gap(state.coin, at_ms, "the market fell silent")
                connection.renew(state.coin)

    def _follow(self, live: dict[str, Listing]) -> None:
        now_ms = self._clock.now_ms()
        for coin, refused_at_ms in list(self._refused_at_ms.items()):
            if now_ms - refused_at_ms > REFUSED_FOR_MS:
                del self._refused_at_ms[coin]
            else:
                live.pop(coin, None)
        for coin in self.states.keys() - live.keys():
            self._drop(coin, "no longer followed")
        for coin, state in self.states.items():
            state.taker_fee_bps = live[coin].taker_fee_bps
        fresh = [listing for coin, listing in live.items() if coin not in self.states]
        room = MAX_SUBSCRIPTIONS // len(CHANNELS) - len(self.states)
        if len(fresh) > room:
            log.error(
                "too_many_markets", live=len(live), left_out=len(fresh) - room, limit="1,000 subscriptions per IP"
            )
        for listing in fresh[:room]:
            self._take_on(listing, now_ms)
        for coin in self._tape_ends.keys() - self.states.keys():
            self.pipeline.forget(coin)
        if fresh:
            log.info("markets_followed", new=len(fresh), all=len(self.states), sockets=len(self.connections))

    def _take_on(self, listing: Listing, now_ms: int) -> None:
        state = MarketState(listing.coin, listing.taker_fee_bps)
        self.pipeline.append(listing.coin, now_ms, Gap("not heard of yet"))
        end = self._tape_ends.pop(listing.coin, None)
        if end is not None and end.market is not None:
            state.resume(end.market)
        self.states[listing.coin] = state
        connection = self._roomy_connection()
        self._home[listing.coin] = connection
        connection.follow([listing.coin])

    def _drop(self, coin: str, cause: str) -> None:
        if coin not in self.states:
            return
        connection = self._home.pop(coin)
        last = connection.last_data_at_ms
        at_ms = self._clock.now_ms() if last is None else self._vouched_ms(last) + 1
        self._gap(coin, at_ms, cause)
        self.pipeline.forget(coin)
        connection.unfollow(coin)
        del self.states[coin]
        log.info("market_dropped", coin=coin, cause=cause)

    def _roomy_connection(self) -> Connection:
        most = self._settings.subscriptions_per_socket // len(CHANNELS)
        for connection in self.connections:
            if len(connection.coins) < most:
                return connection
        if len(self.connections) >= MAX_SOCKETS:
            return min(self.connections, key=lambda connection: len(connection.coins))
        url = "ws" + self._settings.base_url.removeprefix("http") + "/ws"
        connection = Connection(
            url,
            clock=self._clock,
            budgets=self._budgets,
            listener=self,
            stall_grace_ms=self._settings.stall_grace_ms,
        )
        self.connections.append(connection)
        self._group.create_task(connection.run())
        return connection
