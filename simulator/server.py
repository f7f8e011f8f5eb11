"""The venue's protocol without a model: the owner of a `VenueServer` decides what it publishes and how it fails."""

import asyncio
import time
from collections import Counter, defaultdict
from contextlib import suppress
from typing import Any

from aiohttp import WSMsgType, web

from simulator.client import Client
from simulator.conversation import Conversation
from simulator.info_endpoint import InfoEndpoint
from simulator.limits import Limits, Usage
from simulator.listing import Universe
from simulator.push_clock import push_snapshots
from simulator.snapshots import snapshot
from simulator.subscription import Subscription
from simulator.trades import SimulatedTrade
from simulator.venue_data import VenueData
from simulator.venue_state import VenueState
from simulator.wire import GREETING, AnyLevel, bbo_frame, ctx_frame, frame

SHUTDOWN_TIMEOUT_S = 1.0
SNAPSHOT_AGE_MS = 300


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
        self.connections_opened = 0
        self.clients_dropped = 0
        self._host, self._port = host, port
        self._idle_close_s = idle_close_s
        self._expire_after_s = expire_after_s
        self._outbox_limit = outbox_limit
        self._data = VenueData(universe)
        self._state = VenueState(self._data)
        self._clients: set[Client] = set()
        self._usage = defaultdict[str, Usage](lambda: Usage(limits or Limits()))
        self._stalled = False
        self._refusing = False
        self._info = InfoEndpoint(self._data, self._usage, self.violations)
        self._tasks: list[asyncio.Task[None]] = []
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen. Raises OSError when the port is in use."""
        app = web.Application()
        app.router.add_post("/info", self._info.on_request)
        app.router.add_get("/ws", self._websocket)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_TIMEOUT_S)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError:
            await self._runner.cleanup()
            raise
        # Keep the port, so that clients find the venue again after a restart.
        self._port = self._runner.addresses[0][1]
        self._tasks = [asyncio.create_task(self._close_idle()), asyncio.create_task(push_snapshots(self, self._state))]

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
        self._publish(Subscription("bbo", coin), bbo_frame(coin, bid, ask, time_ms=time_ms))
        self._data.books[coin] = (bid, ask)

    def publish_ctx(self, coin: str, ctx: dict[str, Any]) -> None:
        """Send and store a context (of a delisted coin: store only). Raises ValueError for an unlisted coin."""
        self._publish(Subscription("activeAssetCtx", coin), ctx_frame(coin, ctx))
        self._data.ctxs[coin] = ctx

    def publish_trade(self, coin: str, trade: SimulatedTrade, *, time_ms: int) -> None:
        """Send a trade, and the candles that it changes, to their subscribers."""
        row = self._data.trades.add(coin, trade, time_ms=time_ms)
        self._data.candles.add(coin, px=trade.px, sz=trade.sz, time_ms=time_ms)
        for client in self._state.subscribers(Subscription("trades", coin)):
            self.send(client, frame("trades", [row]))
        for subscription in self._state.subscribed("candle"):
            if subscription.coin == coin:
                self.send_snapshot(subscription)

    def send_raw(self, text: str) -> None:
        """Send a text unchanged to every open socket."""
        for client in tuple(self._clients):
            self.send(client, text.encode())

    def set_universe(self, universe: Universe) -> None:
        """Replace the universe; subscribers of markets that were delisted or removed get no more frames."""
        self._data.relist(universe)
        self._state.forget_dead_markets()

    def drop_connections(self) -> None:
        """Abort every socket; the clients see 1006."""
        for client in tuple(self._clients):
            client.abort()

    def expire_connections(self) -> None:
        """Close every socket with 1000 `Expired` now, whatever its age."""
        for client in tuple(self._clients):
            client.close("Expired")

    def stall(self, stalled: bool) -> None:
        """Keep sockets open but send nothing, not even pongs; the frames of that time are lost."""
        self._stalled = stalled
        for client in self._clients:
            client.restart_idle_timer()

    def refuse(self, refusing: bool) -> None:
        """Answer new websocket connections with 503; open ones and the info endpoint are not affected."""
        self._refusing = refusing

    @property
    def info_requests(self) -> Counter[str]:
        """Number of info requests by type."""
        return self._info.requests

    @property
    def connection_count(self) -> int:
        """Number of open websocket connections."""
        return len(self._clients)

    def subscriptions_by_coin(self) -> Counter[str]:
        """Number of acknowledged subscriptions of open connections, both types together."""
        return self._state.subscriptions_by_coin()

    def _publish(self, subscription: Subscription, frame: bytes) -> None:
        for client in self._state.post(subscription, frame):
            self.send(client, frame)

    def send(self, client: Client, frame: bytes) -> None:
        """Send a frame to one client, unless the venue stalls."""
        if not self._stalled and not client.send(frame):
            self.clients_dropped += 1

    def snapshot(self, subscription: Subscription) -> bytes | None:
        """The current frame of a channel whose frames are computed when they are wanted; else None."""
        return snapshot(subscription, self._data, time_ms=time.time_ns() // 1_000_000 - SNAPSHOT_AGE_MS)

    def send_snapshot(self, subscription: Subscription) -> None:
        """Send the current frame of such a channel to its subscribers."""
        if text := self.snapshot(subscription):
            for client in self._state.subscribers(subscription):
                self.send(client, text)

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        if self._refusing:
            raise web.HTTPServiceUnavailable
        usage = self._usage[request.remote or ""]
        if exceeded := usage.take_connection(at_s=asyncio.get_running_loop().time()):
            self.violations[exceeded] += 1
            raise web.HTTPTooManyRequests(text=f"Limit exceeded: {exceeded}")
        try:
            return await self._serve(request, usage)
        finally:
            usage.release(connections=1)

    async def _serve(self, request: web.Request, usage: Usage) -> web.WebSocketResponse:
        # Compression would cost more than everything else. autoping off: a stalled venue must not answer pings.
        socket = web.WebSocketResponse(autoping=False, compress=False)
        await socket.prepare(request)
        if request.transport is None:
            raise ConnectionResetError("connection lost during the handshake")
        client = Client(socket, request.transport, usage=usage, outbox_limit=self._outbox_limit)
        conversation = Conversation(client, self._state, venue=self)
        writer = asyncio.create_task(client.write_out())
        self._clients.add(client)
        self.connections_opened += 1
        expiry = self._schedule_expiry(client)
        try:
            self.send(client, GREETING)
            await self._listen(client, conversation)
        finally:
            if expiry is not None:
                expiry.cancel()
            self._clients.discard(client)
            conversation.end()
            if not client.is_closing:
                writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
        return socket

    def _schedule_expiry(self, client: Client) -> asyncio.TimerHandle | None:
        """Close the socket as the venue closes one that is hours old; None when sockets do not expire."""
        if self._expire_after_s is None:
            return None
        return asyncio.get_running_loop().call_later(self._expire_after_s, client.close, "Expired")

    async def _listen(self, client: Client, conversation: Conversation) -> None:
        loop = asyncio.get_running_loop()
        async for message in client.socket:
            if message.type is WSMsgType.TEXT:
                conversation.on_text(message.data, at_s=loop.time())
            elif message.type is WSMsgType.PING and not self._stalled:
                with suppress(ConnectionError):
                    await client.socket.pong(message.data)

    async def _close_idle(self) -> None:
        """Close connections to which nothing was sent for too long; frames from the client do not count."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._idle_close_s / 20)
            for client in tuple(self._clients):
                if not self._stalled and loop.time() - client.sent_at_s > self._idle_close_s:
                    client.close("Inactive")
