"""One websocket to the venue: it subscribes, listens, notices when it has died, and comes back."""

import asyncio
import random
from collections.abc import Generator, Iterable, Sequence
from contextlib import suppress
from typing import Any, Protocol

import orjson
import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from feed.bad_subscriptions import Suspects
from feed.rate_limits import VenueBudgets
from feed.refusal import in_words
from feed.wire import Ack, Bbo, Ctx, Frame, Other, Refusal, parse_frame
from hip3_tasks.clock import FeedClock
from hip3_tasks.errors import MalformedFrame

log = structlog.get_logger()

CHANNELS = ("bbo", "activeAssetCtx")
PING_EVERY_S = 20.0
SILENCE_S = 4.0
"""Each coin's ctx comes every second, so a socket that says nothing for this long is dead."""
ACK_PATIENCE_S = 10.0
LIVED_S = 30.0
MAX_PAUSE_S = 3.0


class Listener(Protocol):
    """What a connection tells the feed."""

    def heard(self, frame: Bbo | Ctx, at_ms: int) -> None: ...
    def counted(self, kind: str) -> None: ...
    def malformed(self, error: MalformedFrame) -> None: ...
    def stalled(self, coins: Sequence[str], *, last_data_at_ms: int, at_ms: int) -> None: ...
    def lost(self, coins: Sequence[str], *, last_data_at_ms: int, cause: str) -> None: ...
    def refused(self, coin: str) -> None: ...
    def troubled(self, trouble: str) -> None: ...


def pauses(budgets: VenueBudgets) -> Generator[float]:
    """How long to wait before each further attempt: jittered, never so long that a venue that is back waits 5 s."""
    base_s = 0.25
    while True:
        yield max(random.uniform(base_s / 2, base_s), budgets.connects.reserve())  # nosec B311  # no secret, a pause
        base_s = min(2 * base_s, MAX_PAUSE_S)


class Connection:
    """Keeps the subscriptions of some coins alive over one socket at a time."""

    def __init__(
        self, url: str, *, clock: FeedClock, budgets: VenueBudgets, listener: Listener, stall_grace_ms: int
    ) -> None:
        self._url, self._clock, self._budgets, self._listener = url, clock, budgets, listener
        self._stall_grace_ms = stall_grace_ms
        self.coins: dict[str, None] = {}
        self.connects = 0
        self.last_data_at_ms: int | None = None
        """When the last bbo or ctx came over the present socket; None until the first."""
        self._ws: ClientConnection | None = None
        self._suspects = Suspects()
        self._unanswered: dict[tuple[str, str], None] = {}
        self._answered = asyncio.Event()
        self._orders: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self._heard_at_s = 0.0
        self._verdict: str | None = None

    def follow(self, coins: Iterable[str]) -> None:
        if not self.coins:
            self._heard_at_s = asyncio.get_running_loop().time()
        for coin in coins:
            if coin not in self.coins:
                self.coins[coin] = None
                self._order("subscribe", coin)

    def unfollow(self, coin: str) -> None:
        if coin in self.coins:
            del self.coins[coin]
            self._suspects.clear([coin])
            self._order("unsubscribe", coin)
        if not self.coins:
            self.last_data_at_ms = None  # nobody's state hangs on its silence

    def renew(self, coin: str) -> None:
        """Ask again for a coin that fell silent; the answer brings its present state."""
        self._order("unsubscribe", coin)
        self._order("subscribe", coin)

    def abort(self, verdict: str) -> None:
        """Give the present socket up for dead."""
        if self._ws is not None and self._verdict is None:
            self._verdict = verdict
            self._ws.transport.abort()

    async def run(self) -> None:
        """Stay connected until cancelled."""
        loop = asyncio.get_running_loop()
        await self._budgets.connects.take()
        attempts = pauses(self._budgets)
        async for ws in connect(
            self._url,
            ping_interval=None,  # the venue answers JSON pings only
            open_timeout=SILENCE_S,
            close_timeout=0.5,
            max_queue=1024,
            reconnect_delays=lambda: pauses(self._budgets),
            process_exception=self._note_failure,
        ):
            began_s = loop.time()
            await self._serve(ws)
            if loop.time() - began_s > LIVED_S:
                attempts = pauses(self._budgets)
            # The library's own back-off starts anew after every handshake, also with a venue that hangs up at once.
            await asyncio.sleep(next(attempts))

    async def _serve(self, ws: ClientConnection) -> None:
        self._ws, self._verdict = ws, None
        self._heard_at_s = asyncio.get_running_loop().time()
        self._orders = asyncio.Queue()
        self._unanswered.clear()
        self.connects += 1
        helpers = [asyncio.create_task(work(ws)) for work in (self._subscribe, self._ping, self._watch)]
        cause = "stopped"
        try:
            async for raw in ws:
                self._take(raw)
            cause = f"closed by the venue: {ws.close_code} {ws.close_reason}".strip()
        except ConnectionClosed as error:
            cause = f"closed by the venue: {error}"
            if self._verdict is None and error.rcvd is None:
                self._accuse()
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            self._ws = None
            self._report_loss(self._verdict or cause)

    def _report_loss(self, cause: str) -> None:
        (log.info if cause == "stopped" else log.warning)("connection_lost", cause=cause, coins=len(self.coins))
        self._listener.troubled(f"{self._url}: {cause}")
        last_data_at_ms, self.last_data_at_ms = self.last_data_at_ms, None
        if last_data_at_ms is not None:
            self._listener.lost(list(self.coins), last_data_at_ms=last_data_at_ms, cause=cause)

    def _note_failure(self, error: Exception) -> None:
        """Every failure to connect is worth another try."""
        why = in_words(error, within_s=SILENCE_S)
        log.warning("connect_failed", url=self._url, error=why)
        self._listener.troubled(f"{self._url}: {why}")

    def _take(self, raw: str | bytes) -> None:
        at_ms = self._clock.now_ms()
        if self.last_data_at_ms is not None and at_ms - self.last_data_at_ms > SILENCE_S * 1000:
            # What comes now may have waited in a buffer for as long as this process stood still.
            self.abort(f"stalled: no data for {(at_ms - self.last_data_at_ms) / 1000:.1f} s")
        if self._verdict is not None:
            return
        try:
            frame = parse_frame(raw)
        except MalformedFrame as error:
            self._listener.malformed(error)
            return
        if isinstance(frame, Bbo | Ctx | Ack):
            self._heard_at_s = asyncio.get_running_loop().time()
        if isinstance(frame, Bbo | Ctx):
            last_data_at_ms, self.last_data_at_ms = self.last_data_at_ms, at_ms
            if last_data_at_ms is not None and at_ms - last_data_at_ms > self._stall_grace_ms:
                self._listener.stalled(list(self.coins), last_data_at_ms=last_data_at_ms, at_ms=at_ms)
            self._listener.heard(frame, at_ms)
        else:
            self._note(frame)

    def _note(self, frame: Frame) -> None:
        match frame:
            case Ack(kind, coin):
                self._listener.counted("ack")
                self._unanswered.pop((coin, kind), None)
                if not self._unanswered:
                    self._answered.set()
            case Refusal(text):
                self._listener.counted("error")
                log.warning("venue_error", text=text[:200])
            case Other(kind):
                self._listener.counted(kind)

    async def _subscribe(self, ws: ClientConnection) -> None:
        groups = self._suspects.groups()
        sure = [coin for coin in self.coins if coin not in self._suspects]
        await self._ask(ws, "subscribe", sure)
        for group in groups:
            await self._all_answered()
            await self._ask(ws, "subscribe", group)
            await self._all_answered()
            self._suspects.clear(group)
        while True:
            method, coin = await self._orders.get()
            await self._ask(ws, method, [coin])

    async def _ask(self, ws: ClientConnection, method: str, coins: Iterable[str]) -> None:
        for coin in coins:
            for channel in CHANNELS:
                await self._budgets.messages.take()
                if method == "subscribe":
                    self._unanswered[coin, channel] = None
                    self._answered.clear()
                await _send(ws, {"method": method, "subscription": {"type": channel, "coin": coin}})

    async def _all_answered(self) -> None:
        if self._unanswered:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._answered.wait(), ACK_PATIENCE_S)

    async def _ping(self, ws: ClientConnection) -> None:
        while True:
            await asyncio.sleep(PING_EVERY_S)
            await self._budgets.messages.take()
            await _send(ws, {"method": "ping"})

    async def _watch(self, ws: ClientConnection) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(0.25)
            if self.coins and loop.time() - self._heard_at_s > SILENCE_S:
                self.abort(f"stalled: nothing heard for {SILENCE_S:g} s")

    def _accuse(self) -> None:
        unanswered = list(dict.fromkeys(coin for coin, _ in self._unanswered))
        guilty = self._suspects.accuse([coin for coin in unanswered if coin in self.coins])
        if guilty is not None:
            del self.coins[guilty]
            log.error("coin_refused", coin=guilty, why="the venue closes the socket when it is subscribed")
            self._listener.refused(guilty)

    def _order(self, method: str, coin: str) -> None:
        if self._ws is not None:
            self._orders.put_nowait((method, coin))


async def _send(ws: ClientConnection, message: dict[str, Any]) -> None:
    with suppress(ConnectionClosed):  # the reader will notice
        await ws.send(orjson.dumps(message).decode())
