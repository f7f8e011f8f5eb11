"""One websocket connection to the venue: its subscriptions and its bounded outbox."""

import asyncio

from aiohttp import WSMsgType, web

from simulator.limits import Usage
from simulator.subscription import Subscription

CLOSE_TIMEOUT_S = 1.0


class Client:
    """Frames wait in the outbox and are sent in order; a client whose outbox is full is dropped.

    A slow reader therefore costs at most `outbox_limit` references to frames that other clients share.
    """

    def __init__(
        self, socket: web.WebSocketResponse, transport: asyncio.Transport, *, usage: Usage, outbox_limit: int
    ) -> None:
        self.socket = socket
        self.usage = usage
        self.subscriptions: set[Subscription] = set()
        self.is_closing = False
        self._transport = transport
        self._outbox: asyncio.Queue[bytes | None] = asyncio.Queue(outbox_limit)
        """None ends it; an empty frame is a frame."""
        self._close_reason = b""
        self.restart_idle_timer()

    def send(self, frame: bytes | None) -> bool:
        """Queue a frame, or None after the last one; False when the outbox is full and the client was dropped."""
        try:
            self._outbox.put_nowait(frame)
        except asyncio.QueueFull:
            self.abort()
            return False
        return True

    def restart_idle_timer(self) -> None:
        """Restart the time after which an idle connection is closed."""
        self.sent_at_s = asyncio.get_running_loop().time()

    def close(self, reason: str) -> None:
        """Close cleanly (1000 and the reason), after the frames that already wait."""
        self.is_closing = True
        self._close_reason = reason.encode()
        self.send(None)

    def abort(self) -> None:
        """Close the transport at once; the peer sees 1006, without a close frame."""
        self._transport.abort()

    async def write_out(self) -> None:
        """Send the frames of the outbox until the connection ends."""
        try:
            while (frame := await self._outbox.get()) is not None:
                await self.socket.send_frame(frame, WSMsgType.TEXT)
                self.restart_idle_timer()
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self.socket.close(message=self._close_reason)
        except (ConnectionError, TimeoutError):
            self.abort()
