"""The scripted venue: a few markets, and sockets that it can stall or close. It speaks the simulated venue's frames."""

import asyncio
from collections.abc import Callable
from typing import Any

from websockets.exceptions import ConnectionClosedError
from websockets.frames import Close

from simulator.subscription import read_request
from simulator.wire import ack_frame, asset_ctx, bbo_frame, ctx_frame
from tests.universe.loop import VirtualLoop

HALF_SPREAD = 0.01
OLDER_MS = 60_000


class Market:
    """A market whose book follows its oracle, unless it is told otherwise."""

    def __init__(self, coin: str, mid: float) -> None:
        self.coin = coin
        self.mid = self.oracle = mid
        self.frozen: tuple[float, int] | None = None
        """Mid and block time of a book that is sent although the market has left it."""

    def ctx(self) -> bytes:
        impact = f"{self.mid - 2 * HALF_SPREAD:.4f}", f"{self.mid + 2 * HALF_SPREAD:.4f}"
        return ctx_frame(
            self.coin, asset_ctx(oracle_px=f"{self.oracle:.4f}", mid_px=f"{self.mid:.4f}", impact_pxs=impact)
        )

    def bbo(self, *, time_ms: int) -> bytes:
        mid, time_ms = self.frozen or (self.mid, time_ms)
        bid, ask = (f"{mid - HALF_SPREAD:.4f}", "3.5"), (f"{mid + HALF_SPREAD:.4f}", "2.25")
        return bbo_frame(self.coin, bid, ask, time_ms=time_ms)


class Socket:
    """One end of a websocket, as far as the feed's connection uses one."""

    close_code, close_reason = None, ""

    def __init__(self, venue: "Venue") -> None:
        self._venue = venue
        self._frames: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._held: list[bytes] = []
        self.subscriptions: set[tuple[str, str]] = set()
        self.is_open = True
        self.is_stalled = False
        self.transport = self

    def put(self, frame: bytes) -> None:
        if self.is_stalled:
            self._held.append(frame)
        elif self.is_open:
            self._frames.put_nowait(frame)

    def resume(self) -> None:
        self.is_stalled = False
        for frame in self._held:
            self.put(frame)
        self._held.clear()

    def abort(self) -> None:
        """Close the socket, from either end."""
        if self.is_open:
            self.is_open = False
            self._frames.put_nowait(None)

    async def send(self, text: str) -> None:
        if not self.is_open:
            raise _closed()
        self._venue.answer(self, text)

    def __aiter__(self) -> "Socket":
        return self

    async def __anext__(self) -> str:
        frame = await self._frames.get()
        if frame is None:
            raise _closed()
        return frame.decode()


class Venue:
    """All markets, and all sockets that are open."""

    def __init__(self, loop: VirtualLoop, coins: tuple[str, ...]) -> None:
        self._loop = loop
        self.markets = {coin: Market(coin, 100.0 + 10 * number) for number, coin in enumerate(coins)}
        self.sockets: list[Socket] = []
        self.accepts = True
        self.opened = 0
        """Sockets that were opened so far."""

    def freeze(self, market: Market) -> None:
        """Let a book stand still from now on, while the market moves on."""
        market.frozen = market.mid, self._loop.true_ms()
        market.mid *= 1.003

    def thaw(self, market: Market) -> None:
        market.frozen = None
        self.publish(market, "bbo")

    def send_unusable(self, market: Market, kind: str) -> None:
        """Send a frame of a market that cannot be used."""
        frame = market.ctx() if kind == "ctx" else market.bbo(time_ms=self._loop.true_ms())
        self._send(market, kind, frame.replace(b"Px", b"px").replace(b'"px"', b'"p"'))

    def send_older(self, market: Market) -> None:
        """Send a book of an older block, as a node does that lags behind."""
        self._send(market, "bbo", market.bbo(time_ms=self._loop.true_ms() - OLDER_MS))

    def publish(self, market: Market, kind: str) -> None:
        """Send the state of a market, on one channel, to every subscriber; a book that stands still is not sent."""
        if kind == "ctx" or market.frozen is None:
            self._send(market, kind, self._frame(market, "activeAssetCtx" if kind == "ctx" else "bbo"))

    def _send(self, market: Market, kind: str, frame: bytes) -> None:
        channel = "activeAssetCtx" if kind == "ctx" else "bbo"
        for socket in self.sockets:
            if (channel, market.coin) in socket.subscriptions:
                socket.put(frame)

    def publish_contexts(self) -> None:
        """Send every market's context, changed or not."""
        for market in self.markets.values():
            self.publish(market, "ctx")

    def answer(self, socket: Socket, text: str) -> None:
        request = read_request(text)
        subscription = request.subscription
        if subscription is None:
            return
        key = (subscription.type, subscription.coin)
        socket.put(ack_frame(request.method, subscription.as_json()))
        if request.method == "unsubscribe":
            socket.subscriptions.discard(key)
        else:
            socket.subscriptions.add(key)
            socket.put(self._frame(self.markets[subscription.coin], subscription.type))

    def connect(self, url: str, **options: Any) -> "_Connect":
        """Stand in for `websockets.connect`."""
        return _Connect(self, url, options)

    def open_socket(self) -> Socket:
        self.sockets = [socket for socket in self.sockets if socket.is_open]
        self.sockets.append(Socket(self))
        self.opened += 1
        return self.sockets[-1]

    def close_sockets(self) -> None:
        for socket in self.sockets:
            socket.abort()

    def _frame(self, market: Market, channel: str) -> bytes:
        return market.ctx() if channel == "activeAssetCtx" else market.bbo(time_ms=self._loop.true_ms())


class _Connect:
    """Connects again and again, as the library's iterator does."""

    def __init__(self, venue: Venue, url: str, options: dict[str, Any]) -> None:
        self._venue, self._url = venue, url
        self._delays: Callable[[], Any] = options["reconnect_delays"]
        self._on_error: Callable[[Exception], Exception | None] = options["process_exception"]

    def __aiter__(self) -> "_Connect":
        return self

    async def __anext__(self) -> Socket:
        delays = self._delays()
        while True:
            await asyncio.sleep(0.005)
            if self._venue.accepts:
                return self._venue.open_socket()
            self._on_error(ConnectionRefusedError(111, "Connection refused"))
            await asyncio.sleep(next(delays))


def _closed() -> ConnectionClosedError:
    return ConnectionClosedError(Close(1001, "the venue hangs up"), None)
