"""The markets that the feed follows: their states, their connections, and the gaps in what is known of them."""

import asyncio
from collections.abc import Mapping

import structlog

from feed.connection import Connection, Listener
from feed.market_state import NO_DATA, MarketState
from feed.proxy import proxy_of
from feed.rate_limits import MAX_SOCKETS, MAX_SUBSCRIPTIONS, VenueLimits
from feed.subscriptions import CHANNELS
from feed.tape_buffer import TapeBuffer
from feed.witness import SocketWitness
from hip3_tasks.clock import FeedClock
from hip3_tasks.domain.market import Gap
from hip3_tasks.domain.records import Signal
from hip3_tasks.settings import Settings
from hip3_tasks.store.tape_writer import TapeEnd

log = structlog.get_logger()

REJECTED_FOR_MS = 3_600_000


class FollowedMarkets:
    """Subscribes each market on one connection.

    `tape_ends` has the end of each tape, `last_signals` the last signal of each market, when the feed started.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: FeedClock,
        tape: TapeBuffer,
        listener: Listener,
        tape_ends: dict[str, TapeEnd],
        last_signals: Mapping[str, Signal],
        group: asyncio.TaskGroup,
    ) -> None:
        self._settings, self._clock, self._tape, self._listener = settings, clock, tape, listener
        self._tape_ends, self._last_signals, self._group = tape_ends, last_signals, group
        self.states: dict[str, MarketState] = {}
        self.connections: list[Connection] = []
        self._connection_of: dict[str, Connection] = {}
        self._limits = VenueLimits()
        self._rejected_at_ms: dict[str, int] = {}

    @property
    def live(self) -> list[MarketState]:
        """The markets whose state is known."""
        return [state for state in self.states.values() if state.market is not None]

    def follow(self, live: dict[str, float]) -> None:
        """Follow these markets and no others, at these fees, except those that the venue rejected within the hour."""
        now_ms = self._clock.now_ms()
        for coin, rejected_at_ms in list(self._rejected_at_ms.items()):
            if now_ms - rejected_at_ms > REJECTED_FOR_MS:
                del self._rejected_at_ms[coin]
            else:
                live.pop(coin, None)
        for coin in self.states.keys() - live.keys():
            self._drop(coin, "no longer followed")
        for coin, state in self.states.items():
            state.taker_fee_bps = live[coin]
        new = [coin for coin in live if coin not in self.states]
        room = MAX_SUBSCRIPTIONS // len(CHANNELS) - len(self.states)
        if len(new) > room:
            log.error("too_many_markets", live=len(live), left_out=len(new) - room, limit="1,000 subscriptions per IP")
        for coin in new[:room]:
            self._add(coin, live[coin], now_ms)
        for coin in self._tape_ends.keys() - self.states.keys():
            self._tape.forget(coin)
        if new:
            log.info("markets_followed", new=len(new), all=len(self.states), sockets=len(self.connections))

    def reject(self, coin: str) -> None:
        """Drop a market whose subscription the venue rejects, for an hour."""
        self._rejected_at_ms[coin] = self._clock.now_ms()
        self._drop(coin, "refused by the venue")

    def begin_gap(self, coin: str, cause: str, *, last_data_at_ms: int | None) -> None:
        """Make a market's state unknown from now on, or from the end of the silence that its connection allows."""
        state = self.states.get(coin)
        if state is not None:
            if state.market is not None:
                now_ms = self._clock.now_ms()
                witness = self._connection_of[coin].witness
                at_ms = now_ms if last_data_at_ms is None else min(now_ms, last_data_at_ms + witness.grace_ms + 1)
                self._tape.append(coin, at_ms, Gap(cause))
            state.lose(cause, self._clock.now_ms())

    def witness(self, coin: str) -> SocketWitness:
        """The witness of the socket of a followed market."""
        return self._connection_of[coin].witness

    def covered_until_ms(self) -> int | None:
        """The instant up to which all live connections cover their markets; None without a live connection."""
        ends_ms = [
            connection.last_data_at_ms + connection.witness.grace_ms
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

    def _add(self, coin: str, taker_fee_bps: float, now_ms: int) -> None:
        state = MarketState(coin, taker_fee_bps)
        self._tape.append(coin, now_ms, Gap(NO_DATA))
        end = self._tape_ends.pop(coin, None)
        state.resume(end.market if end is not None else None, self._last_signals.get(coin))
        self.states[coin] = state
        connection = self._connection_of[coin] = self._connection_with_room()
        connection.witness.follow(coin, block_ms=0 if end is None or end.market is None else end.market.bbo_time_ms)
        connection.follow([coin])

    def _drop(self, coin: str, cause: str) -> None:
        if coin not in self.states:
            return
        connection = self._connection_of[coin]
        self.begin_gap(coin, cause, last_data_at_ms=connection.last_data_at_ms)
        del self._connection_of[coin]
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
        if len(self.connections) >= MAX_SOCKETS:
            return min(self.connections, key=lambda connection: len(connection.coins))
        connection = Connection(
            "ws" + self._settings.base_url.removeprefix("http") + "/ws",
            clock=self._clock,
            limits=self._limits,
            listener=self._listener,
            witness=SocketWitness(
                stall_grace_ms=self._settings.stall_grace_ms, ctx_max_age_ms=self._settings.ctx_max_age_ms
            ),
            proxy=proxy_of(self._settings),
        )
        self.connections.append(connection)
        self._group.create_task(connection.run())
        return connection
