"""`BASE/ws`: the open websockets, their limits, and the ways in which they end."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from aiohttp import WSMsgType, web

from simulator.client import Client
from simulator.conversation import Conversation, Venue
from simulator.limits import Usage
from simulator.venue_state import VenueState
from simulator.wire import GREETING


class SocketEndpoint:
    """Accepts connections and sends to them; `opened` counts them, and `dropped` those that read too slowly."""

    def __init__(
        self,
        state: VenueState,
        usage: Mapping[str, Usage],
        *,
        venue: Venue,
        outbox_limit: int,
        idle_close_s: float,
        expire_after_s: float | None,
    ) -> None:
        self.clients: set[Client] = set()
        self.opened = 0
        self.dropped = 0
        self.is_refusing = False
        self._is_stalled = False
        self._state = state
        self._usage = usage
        self._venue = venue
        self._outbox_limit = outbox_limit
        self._idle_close_s = idle_close_s
        self._expire_after_s = expire_after_s

    def send(self, client: Client, frame: bytes) -> None:
        """Send a frame to one client, unless the venue stalls."""
        if not self._is_stalled and not client.send(frame):
            self.dropped += 1

    def stall(self, stalled: bool) -> None:
        """Send nothing, not even pongs; the frames of that time are lost."""
        self._is_stalled = stalled
        for client in self.clients:
            client.restart_idle_timer()

    async def on_request(self, request: web.Request) -> web.StreamResponse:
        if self.is_refusing:
            raise web.HTTPServiceUnavailable
        usage = self._usage[request.remote or ""]
        if exceeded := usage.take_connection(at_s=asyncio.get_running_loop().time()):
            self._venue.violations[exceeded] += 1
            raise web.HTTPTooManyRequests(text=f"Limit exceeded: {exceeded}")
        try:
            return await self._serve(request, usage)
        finally:
            usage.release(connections=1)

    async def close_idle(self) -> None:
        """Close connections to which nothing was sent for too long; frames from the client do not count."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._idle_close_s / 20)
            for client in tuple(self.clients):
                if not self._is_stalled and loop.time() - client.sent_at_s > self._idle_close_s:
                    client.close("Inactive")

    async def _serve(self, request: web.Request, usage: Usage) -> web.WebSocketResponse:
        # Compression would cost more than everything else. autoping off: a stalled venue must not answer pings.
        socket = web.WebSocketResponse(autoping=False, compress=False)
        await socket.prepare(request)
        if request.transport is None:
            raise ConnectionResetError("connection lost during the handshake")
        client = Client(socket, request.transport, usage=usage, outbox_limit=self._outbox_limit)
        conversation = Conversation(client, self._state, venue=self._venue)
        writer = asyncio.create_task(client.write_out())
        self.clients.add(client)
        self.opened += 1
        expiry = self._schedule_expiry(client)
        try:
            self.send(client, GREETING)
            await self._listen(client, conversation)
        finally:
            if expiry is not None:
                expiry.cancel()
            self.clients.discard(client)
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
            elif message.type is WSMsgType.PING and not self._is_stalled:
                with suppress(ConnectionError):
                    await client.socket.pong(message.data)
