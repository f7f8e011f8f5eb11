"""The markets that the feed follows: their states, their connections, and the gaps in what is known of them."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Protocol

import structlog

from feed.connection import CLOSES, Connection, Listener
from feed.fresh_coins import FreshCoins
from feed.market_state import MarketState
from feed.proxy import proxy_of
from feed.rate_limits import MAX_SOCKETS, MAX_SUBSCRIPTIONS, VenueLimits
from feed.raw_frames import RawFrames
from feed.subscriptions import CHANNELS
from feed.trial_socket import ends_socket
from feed.witness import MarketWitness, SocketWitness
from hip3_tasks.clock import FeedClock
from hip3_tasks.domain.market import NO_DATA, Gap, dex_of
from hip3_tasks.domain.records import Dark, Signal
from hip3_tasks.settings import Settings
from hip3_tasks.store.tape_writer import TapeEnd

log = structlog.get_logger()

MAX_REGULAR_SOCKETS = MAX_SOCKETS - 1
"""One is left for coins that are tried on a socket of their own."""
FRESH_INTERVAL_S = 0.25
NO_ROOM = f"left out: the venue grants {MAX_SUBSCRIPTIONS:,} subscriptions"
TRIAL_PAUSE_S = 4.0
"""The pause after coins were tried without success: reconnects share the limit of new connections."""


class GapTape(Protocol):
    """The place of the gaps."""

    def append(self, coin: str, at_ms: int, value: Gap, /) -> object: ...
    def forget(self, coin: str) -> None: ...


class FollowedMarkets:
    """Subscribes each market on one connection.

    `tape_ends` has the end of each tape, `last_signals` the last signal of each market, when the feed started.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: FeedClock,
        tape: GapTape,
        listener: Listener,
        tape_ends: dict[str, TapeEnd],
        last_signals: Mapping[str, Signal],
        group: asyncio.TaskGroup,
        raw: RawFrames | None = None,
    ) -> None:
        self._settings, self._clock, self._tape, self._listener = settings, clock, tape, listener
        self._tape_ends, self._last_signals, self._group = tape_ends, last_signals, group
        self._raw = raw
        self.states: dict[str, MarketState] = {}
        self.connections: list[Connection] = []
        self.connection_of: dict[str, Connection] = {}
        """The connection of each followed market."""
        self._limits = VenueLimits()
        self._url = "ws" + settings.base_url.removeprefix("http") + "/ws"
        self._proxy = proxy_of(settings)
        self._fresh = FreshCoins()
        self._left_out_since_ms: dict[str, int] = {}
        """The markets for which the venue grants no subscriptions."""
        self._listed: dict[str, float] = {}
        """Taker fees in bps of the markets to be followed, by the last list."""
        self._unread: set[str] | None = None
        """The dexes whose markets were not read since the start; None before the first list."""

    @property
    def live(self) -> list[MarketState]:
        """The markets whose state is known."""
        return [state for state in self.states.values() if state.market is not None]

    @property
    def coins(self) -> list[str]:
        """The markets to be followed, subscribed or not yet."""
        return [*self.states, *self._fresh, *self._left_out_since_ms]

    def dark(self) -> list[Dark]:
        """The wanted markets that are not live."""
        dark = [
            Dark(coin=coin, cause=self._cause(state), since_ms=state.unknown_since_ms)
            for coin, state in self.states.items()
            if state.market is None
        ]
        left_out = [
            Dark(coin=coin, cause=NO_ROOM, since_ms=since_ms) for coin, since_ms in self._left_out_since_ms.items()
        ]
        return dark + self._fresh.dark() + left_out

    def missing(self, coin: str) -> list[str]:
        """The parts of a market whose first frame has not come since it was subscribed; empty before that."""
        connection = self.connection_of.get(coin)
        if connection is None or connection.subscriptions.acknowledged_at_ms(coin) is None:
            return []
        heard = connection.witness.markets[coin]
        parts = (("bbo", "book", heard.bbo), ("activeAssetCtx", "context", heard.ctx))
        return [name for channel, name, frame in parts if frame is None and channel not in heard.unusable]

    async def try_fresh_coins(self) -> None:
        """Try new listings, and coins that ended a socket, on sockets of their own until cancelled."""
        while True:
            await asyncio.sleep(FRESH_INTERVAL_S)
            batch = self._fresh.batch(self._clock.now_ms())
            if not batch:
                continue
            has_ended = await ends_socket(batch, url=self._url, proxy=self._proxy, limits=self._limits)
            if has_ended is False:
                self._follow_all(self._fresh.passed(batch))
                continue
            if has_ended:
                pause_ms = self._fresh.ended_socket(batch, at_ms=self._clock.now_ms())
                if pause_ms is not None:
                    log.error("coin_refused", coin=batch[0], why=CLOSES, next_try_s=pause_ms // 1000)
            await asyncio.sleep(TRIAL_PAUSE_S)

    def follow(self, live: dict[str, float], *, unread: Collection[str] = ()) -> None:
        """Follow these markets and no others, at these fees; the markets of the dexes in `unread` are not known yet.

        Those of the first list of a dex are subscribed at once, if the dex was there at the start. Those that are
        listed later are tried on a socket of their own first.
        """
        now_ms, self._listed = self._clock.now_ms(), dict(live)
        self._fresh.keep_only(live)
        for coin in self.states.keys() - live.keys():
            self._drop(coin, "no longer followed")
        for coin, state in self.states.items():
            state.taker_fee_bps = live[coin]
        new = [coin for coin in live if coin not in self.states and coin not in self._fresh]
        room = max(0, MAX_SUBSCRIPTIONS // len(CHANNELS) - len(self.states) - len(self._fresh))
        self._left_out_since_ms = {coin: self._left_out_since_ms.get(coin, now_ms) for coin in new[room:]}
        if self._left_out_since_ms:
            log.error("too_many_markets", live=len(live), left_out=len(self._left_out_since_ms), why=NO_ROOM)
        first = [coin for coin in new[:room] if self._unread is None or dex_of(coin) in self._unread]
        self._follow_all(first)
        self._fresh.add([coin for coin in new[:room] if coin not in self.states], at_ms=now_ms)
        self._unread = {*unread} if self._unread is None else self._unread.intersection(unread)
        for coin in self._tape_ends.keys() - self.states.keys():
            self._tape.forget(coin)

    def reject(self, coin: str) -> None:
        """Drop a market whose subscription ends the socket of others, until it is tried alone."""
        self._fresh.ban(coin, at_ms=self._clock.now_ms())
        self._drop(coin, "refused by the venue")

    def begin_gap(self, coin: str, cause: str, *, last_data_at_ms: int | None) -> None:
        """Make a market's state unknown from now on, or from the end of the silence that its connection allows."""
        state = self.states.get(coin)
        if state is not None:
            if state.market is not None:
                now_ms = self._clock.now_ms()
                silence_end_ms = self.connection_of[coin].witness.silence_end_ms
                at_ms = now_ms if last_data_at_ms is None else min(now_ms, silence_end_ms(last_data_at_ms) + 1)
                self._tape.append(coin, at_ms, Gap(cause))
            state.lose(cause, self._clock.now_ms())

    def heard(self, coin: str) -> MarketWitness:
        """The frames that the socket of a followed market has brought of it."""
        return self.connection_of[coin].witness.markets[coin]

    def covered_until_ms(self) -> int | None:
        """The instant up to which all live connections cover their markets; None without a live connection."""
        ends_ms = [
            connection.witness.silence_end_ms(connection.last_data_at_ms)
            for connection in self.connections
            if connection.coins and connection.last_data_at_ms is not None
        ]
        return min(ends_ms, default=None)

    def limits_ms(self) -> dict[str, int]:
        """The limits of silence in force: the longest of any connection for a dex, and those of each websocket."""
        limits: dict[str, int] = {}
        for number, connection in enumerate(self.connections, 1):
            for name, ms in connection.witness.limits_ms().items():
                limits[name] = max(ms, limits.get(name, 0))
            limits[f"websocket {number} stall"] = connection.witness.grace_ms
            limits[f"websocket {number} silence"] = connection.witness.silence_ms
        return limits

    def _cause(self, state: MarketState) -> str:
        """The reason why a followed market is not live."""
        connection = self.connection_of[state.coin]
        if not connection.is_open:
            return f"socket not connected: {connection.trouble}"
        if (trouble := connection.subscriptions.trouble(state.coin)) is not None:
            return trouble
        if parts := self.missing(state.coin):
            return f"no first frame of the {' and the '.join(parts)}"
        return f"gap: {state.cause}"

    def _follow_all(self, coins: Sequence[str]) -> None:
        for coin in coins:
            self._add(coin, self._listed[coin], self._clock.now_ms())
        if coins:
            log.info("markets_followed", new=len(coins), all=len(self.states), sockets=len(self.connections))

    def _add(self, coin: str, taker_fee_bps: float, now_ms: int) -> None:
        state = MarketState(coin, taker_fee_bps, self._settings.rules, unknown_since_ms=now_ms)
        self._tape.append(coin, now_ms, Gap(NO_DATA))
        end = self._tape_ends.pop(coin, None)
        state.resume(end.market if end is not None else None, self._last_signals.get(coin))
        self.states[coin] = state
        connection = self.connection_of[coin] = self._connection_with_room()
        block_ms = 0 if end is None or end.market is None else end.market.bbo_time_ms
        connection.witness.follow(coin, block_ms=block_ms, at_ms=now_ms)
        connection.follow([coin])

    def _drop(self, coin: str, cause: str) -> None:
        if coin not in self.states:
            return
        connection = self.connection_of[coin]
        self.begin_gap(coin, cause, last_data_at_ms=connection.last_data_at_ms)
        del self.connection_of[coin]
        self._tape.forget(coin)
        connection.unfollow(coin)
        connection.witness.unfollow(coin)
        del self.states[coin]
        log.info("market_dropped", coin=coin, cause=cause)

    def _connection_with_room(self) -> Connection:
        max_coins = self._settings.subscriptions_per_socket // len(CHANNELS)
        for connection in self.connections:
            if len(connection.coins) < max_coins:
                return connection
        if len(self.connections) >= MAX_REGULAR_SOCKETS:
            return min(self.connections, key=lambda connection: len(connection.coins))
        connection = Connection(
            self._url,
            clock=self._clock,
            limits=self._limits,
            listener=self._listener,
            witness=SocketWitness(
                stall_grace_ms=self._settings.stall_grace_ms, ctx_max_age_ms=self._settings.ctx_max_age_ms
            ),
            proxy=self._proxy,
            on_raw=None if self._raw is None else partial(self._raw.put, len(self.connections)),
        )
        self.connections.append(connection)
        self._group.create_task(connection.run())
        return connection
