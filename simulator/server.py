"""The venue's protocol without a model: the owner of a `VenueServer` decides what it publishes and how it fails."""

import asyncio
import time
from collections import Counter, defaultdict
from typing import Any

from aiohttp import web

from simulator.client import Client
from simulator.faults.active import ActiveFaults
from simulator.faults.fault import FaultSwitch
from simulator.faults.spec import switch_from
from simulator.info_endpoint import InfoEndpoint
from simulator.limits import Limits, Usage
from simulator.listing import Universe
from simulator.push_clock import push_snapshots
from simulator.snapshots import snapshot
from simulator.socket_endpoint import SocketEndpoint
from simulator.subscription import Subscription
from simulator.trades import SimulatedTrade
from simulator.venue_data import VenueData
from simulator.venue_state import VenueState
from simulator.wire import AnyLevel, bbo_data, ctx_frame, frame

SHUTDOWN_TIMEOUT_S = 1.0


class VenueServer:
    """Serves `BASE/info` and `BASE/ws` on one event loop; only start and stop wait.

    Public counters: `violations` by limit, `connections_opened`, `clients_dropped` (too slow) and
    `info_requests` by type. Each socket is closed as `Expired` at the age `expire_after_s`. `ack_delay_s` delays every
    acknowledgement and the start of its subscription. The info endpoint lists the coins in `unknown`, but a
    subscription to one of them ends its connection.
    """

    def __init__(
        self,
        universe: Universe,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        limits: Limits | None = None,
        idle_close_s: float = 60.0,
        expire_after_s: float | None = None,
        outbox_limit: int = 4096,
    ) -> None:
        self.ack_delay_s = 0.0
        self.unknown: set[str] = set()
        self.violations: Counter[str] = Counter()
        self.faults = ActiveFaults(self._elapsed_s)
        self._began_at_s: float | None = None
        self._host, self._port = host, port
        self._data = VenueData(universe)
        self._state = VenueState(self._data)
        usage = defaultdict[str, Usage](lambda: Usage(limits or Limits()))
        self._info = InfoEndpoint(self._data, self.faults, usage=usage, violations=self.violations)
        self._sockets = SocketEndpoint(
            self._state,
            usage,
            venue=self,
            outbox_limit=outbox_limit,
            idle_close_s=idle_close_s,
            expire_after_s=expire_after_s,
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen. Raises OSError when the port is in use."""
        app = web.Application()
        app.router.add_post("/info", self._info.on_request)
        app.router.add_get("/ws", self._sockets.on_request)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_TIMEOUT_S)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError:
            await self._runner.cleanup()
            raise
        # Keep the port, so that clients find the venue again after a restart.
        self._port = self._runner.addresses[0][1]
        self._began_at_s = asyncio.get_running_loop().time()
        clocks = (self._sockets.close_idle(), push_snapshots(self, self._state), self.faults.play_outages(self))
        self._tasks = [asyncio.create_task(clock) for clock in clocks]

    async def stop(self) -> None:
        """Abort all sockets and free the port."""
        self.drop_connections()
        for task in self._tasks:
            task.cancel()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def base_url(self) -> str:
        return f"http://{self._host}:{self._port}"

    def publish_bbo(self, coin: str, bid: AnyLevel | None, ask: AnyLevel | None, *, time_ms: int) -> None:
        """Send a book to its subscribers and store it for later ones. Raises ValueError for an unlisted coin."""
        data = bbo_data(coin, bid, ask, time_ms=time_ms)
        shown = self.faults.bbo(data) if self.faults.switches else data
        if shown is not None:
            self._publish(Subscription("bbo", coin), frame("bbo", shown))
        self._data.books[coin] = (bid, ask)
        if time_ms > self._data.last_block_ms:
            self._data.last_block_ms = time_ms

    def publish_ctx(self, coin: str, ctx: dict[str, Any]) -> None:
        """Send and store a context (of a delisted coin: store only). Raises ValueError for an unlisted coin."""
        shown = self.faults.ctx(coin, ctx) if self.faults.switches else ctx
        if shown is not None:
            self._publish(Subscription("activeAssetCtx", coin), ctx_frame(coin, shown))
        self._data.ctxs[coin] = ctx

    def publish_trade(self, coin: str, trade: SimulatedTrade, *, time_ms: int) -> None:
        """Send a trade, and the candles that it changes, to their subscribers."""
        self._data.trades.add(coin, trade, time_ms=time_ms)
        self._data.candles.add(coin, px=trade.px, sz=trade.sz, time_ms=time_ms)
        for client in self._state.subscribers(Subscription("trades", coin)):
            self.send(client, frame("trades", self._data.trades.last(coin, 1)))
        for subscription in self._state.subscribed("candle"):
            if subscription.coin == coin:
                self.send_snapshot(subscription)

    def send_raw(self, text: str) -> None:
        """Send a text unchanged to every open socket."""
        for client in tuple(self._sockets.clients):
            self.send(client, text.encode())

    def set_universe(self, universe: Universe) -> None:
        """Replace the universe; subscribers of markets that were delisted or removed get no more frames."""
        self._data.relist(universe)
        self._state.forget_dead_markets()

    def switch_on(self, text: str) -> FaultSwitch:
        """Switch on a fault, `NAME[:COIN|DEX][@START[-END]]`; seconds since the start. Raises FaultSpecError."""
        switch = switch_from(text, universe=self._data.universe)
        self.faults.switches.append(switch)
        return switch

    def switch_off(self, switch: FaultSwitch) -> None:
        """End a fault now; an outage ends within 50 ms."""
        switch.end_s = self._elapsed_s()

    def drop_connections(self) -> None:
        """Abort every socket; the clients see 1006."""
        for client in tuple(self._sockets.clients):
            client.abort()

    def expire_connections(self) -> None:
        """Close every socket with 1000 `Expired` now, whatever its age."""
        for client in tuple(self._sockets.clients):
            client.close("Expired")

    def stall(self, stalled: bool) -> None:
        """Keep sockets open but send nothing, not even pongs; the frames of that time are lost."""
        self._sockets.stall(stalled)

    def refuse(self, refusing: bool) -> None:
        """Answer new websocket connections with 503; open ones and the info endpoint are not affected."""
        self._sockets.is_refusing = refusing

    @property
    def info_requests(self) -> Counter[str]:
        """Number of info requests by type."""
        return self._info.requests

    @property
    def connections_opened(self) -> int:
        return self._sockets.opened

    @property
    def clients_dropped(self) -> int:
        return self._sockets.dropped

    @property
    def connection_count(self) -> int:
        """Number of open websocket connections."""
        return len(self._sockets.clients)

    def subscriptions_by_coin(self) -> Counter[str]:
        """Number of acknowledged subscriptions of open connections, all types together."""
        return self._state.subscriptions_by_coin()

    def send(self, client: Client, frame: bytes) -> None:
        """Send a frame to one client, unless the venue stalls."""
        self._sockets.send(client, frame)

    def snapshot(self, subscription: Subscription) -> bytes | None:
        """The current frame of a channel whose frames are computed when they are wanted; else None."""
        time_ms = self._data.state_time_ms(time.time_ns() // 1_000_000)
        return snapshot(subscription, self._data, time_ms=self.faults.block_time_ms(subscription.coin, time_ms))

    def send_snapshot(self, subscription: Subscription) -> None:
        """Send the current frame of such a channel to its subscribers."""
        if text := self.snapshot(subscription):
            for client in self._state.subscribers(subscription):
                self.send(client, text)

    def _publish(self, subscription: Subscription, frame: bytes) -> None:
        for client in self._state.post(subscription, frame):
            self._sockets.send(client, frame)

    def _elapsed_s(self) -> float:
        """Seconds since the venue's start; 0 before it."""
        return 0.0 if self._began_at_s is None else asyncio.get_running_loop().time() - self._began_at_s
