"""One plain websocket of the probe: it subscribes, pings, notes each frame with its time, and connects again.

A feed's connection gives up a silent socket and hides what it repairs; the probe notes what happens instead.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from feed.probe.socket_notes import SocketNotes
from feed.rate_limits import RateLimit
from feed.refusal import in_words
from hip3_tasks.clock import FeedClock
from hip3_tasks.errors import Unavailable

CHANNELS = ("bbo", "activeAssetCtx")
OPEN_TIMEOUT_S, ANSWER_TIMEOUT_S = 10.0, 1.0
ANSWER_POLL_S = 0.005
PING_INTERVAL_S = 20.0
FIRST_PAUSE_S, MAX_PAUSE_S = 1.0, 30.0


class ProbeLimits:
    """The connections and messages of both sockets in a minute: small beside those of a feed on the same IP."""

    def __init__(self) -> None:
        self.connects = RateLimit(6)
        self.messages = RateLimit(500)


class ProbeSocket:
    """Keeps coins subscribed until it is cancelled."""

    def __init__(
        self,
        url: str,
        coins: Sequence[str],
        *,
        notes: SocketNotes,
        clock: FeedClock,
        limits: ProbeLimits,
        proxy: str | None = None,
    ) -> None:
        self.notes = notes
        self._url, self._coins, self._clock, self._limits, self._proxy = url, coins, clock, limits, proxy
        self._waits_for: tuple[str, str] | None = None

    async def run(self) -> None:
        """Stay connected. Raises Unavailable when the first connection cannot be made."""
        pause_s = FIRST_PAUSE_S
        while True:
            await self._limits.connects.take()
            try:
                async with connect(
                    self._url, ping_interval=None, open_timeout=OPEN_TIMEOUT_S, close_timeout=0.5, proxy=self._proxy
                ) as ws:
                    await self._serve(ws)
            except (OSError, InvalidHandshake, TimeoutError) as error:
                if not self.notes.connects:
                    why = in_words(error, within_s=OPEN_TIMEOUT_S, proxy=self._proxy)
                    raise Unavailable(f"{self._url}: {why}") from None
                self.notes.failed_connects += 1
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, MAX_PAUSE_S)

    async def _serve(self, ws: ClientConnection) -> None:
        self.notes.open(self._clock.now_ms())
        self._waits_for = None
        helpers = [asyncio.create_task(work(ws)) for work in (self._subscribe, self._ping)]
        cause = "stopped"
        try:
            async for raw in ws:
                self.notes.hear(raw, self._clock.now_ms())
            cause = f"closed by the venue: {ws.close_code} {ws.close_reason}".strip()
        except ConnectionClosed as error:
            cause = f"closed by the venue: {error}"
            if error.rcvd is None and self._waits_for is not None and self._waits_for in self.notes.unanswered:
                self.notes.closed_by.append(self._waits_for[1])
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            if cause != "stopped":
                self.notes.lose(self._clock.now_ms(), cause)

    async def _subscribe(self, ws: ClientConnection) -> None:
        """Subscribe, each time after the answer to the one before: an unknown coin ends the connection unanswered."""
        for coin in self._coins:
            for channel in CHANNELS:
                if coin not in self.notes.closed_by:
                    await self._limits.messages.take()
                    self._waits_for = channel, coin
                    self.notes.ask(channel, coin, self._clock.now_ms())
                    await _send(ws, {"method": "subscribe", "subscription": {"type": channel, "coin": coin}})
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._answer(), ANSWER_TIMEOUT_S)
        self._waits_for = None

    async def _answer(self) -> None:
        while self._waits_for in self.notes.unanswered:
            await asyncio.sleep(ANSWER_POLL_S)

    async def _ping(self, ws: ClientConnection) -> None:
        while True:
            await asyncio.sleep(PING_INTERVAL_S)
            await self._limits.messages.take()
            self.notes.pings += 1
            await _send(ws, {"method": "ping"})


async def _send(ws: ClientConnection, message: dict[str, Any]) -> None:
    with suppress(ConnectionClosed):  # the reading loop notes it
        await ws.send(orjson.dumps(message).decode())
