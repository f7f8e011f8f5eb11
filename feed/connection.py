"""One websocket to the venue, with its subscriptions; it detects a dead socket and reconnects."""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from typing import Protocol

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from feed.bad_subscriptions import SubscriptionBisector
from feed.rate_limits import VenueLimits
from feed.refusal import in_words
from feed.subscriptions import ACK_TIMEOUT_MS, Subscriptions
from feed.wire import Ack, Bbo, Ctx, Frame, Other, Refusal, parse_frame
from feed.witness import UNUSABLE, SocketWitness
from hip3_tasks.clock import FeedClock
from hip3_tasks.errors import MalformedFrame
from hip3_tasks.files.raw_file import RawKind

log = structlog.get_logger()

DATA = Bbo, Ctx
OnRaw = Callable[[RawKind, str | bytes, int], None]

PING, PING_INTERVAL_S = '{"method":"ping"}', 20.0
OPEN_TIMEOUT_S = 4.0
SUSPENDED_MS = 4_000
"""After this process stood still for so long, frames may have waited in a buffer."""
WATCH_INTERVAL_S = 0.25
FIRST_DATA_TIMEOUT_S = 4.0
"""A new socket without an answer or data for this long is dead; later its own pace says what is too long."""
STABLE_S = 30.0
"""The pauses between attempts start short again after a connection that lasted this long."""
MAX_PAUSE_S = 3.0
CLOSES = "the venue closes the socket when it is subscribed"
MAX_GIVEN_UP = 100


class Listener(Protocol):
    """The callbacks of a connection."""

    def on_data(self, frame: Bbo | Ctx, at_ms: int) -> None: ...
    def on_frame(self, kind: str) -> None: ...
    def on_malformed(self, error: MalformedFrame, at_ms: int) -> None: ...
    def on_refusal(self, text: str) -> None: ...
    def on_stall(self, coins: Sequence[str], *, last_data_at_ms: int, at_ms: int) -> None: ...
    def on_loss(self, coins: Sequence[str], *, last_data_at_ms: int, cause: str) -> None: ...
    def on_rejected(self, coin: str) -> None: ...
    def on_trouble(self, trouble: str) -> None: ...


def pauses(limits: VenueLimits) -> Generator[float]:
    """Seconds to wait before each further attempt, jittered; short enough to be back within 5 s of the venue."""
    base_s = 0.25
    while True:
        yield max(random.uniform(base_s / 2, base_s), limits.connects.reserve())  # nosec B311  # no secret, a pause
        base_s = min(2 * base_s, MAX_PAUSE_S)


class Connection:
    """Keeps some coins subscribed, over one socket at a time."""

    def __init__(
        self,
        url: str,
        *,
        clock: FeedClock,
        limits: VenueLimits,
        listener: Listener,
        witness: SocketWitness,
        proxy: str | None,
        on_raw: OnRaw | None = None,
    ) -> None:
        self._url, self._clock, self._limits, self._listener = url, clock, limits, listener
        self._proxy, self._on_raw = proxy, on_raw
        self.witness = witness
        self.given_up: deque[tuple[int, str]] = deque(maxlen=MAX_GIVEN_UP)
        """When and why it was closed by this side."""
        self.coins: dict[str, None] = {}
        self.connects = 0
        self._ws: ClientConnection | None = None
        self.trouble = "not connected yet"
        """The reason why there was no socket, or why the last one ended."""
        self.subscriptions = Subscriptions()
        self._suspects = SubscriptionBisector()
        self._changed = asyncio.Event()
        self._last_frame_at_s = 0.0
        self._watched_at_ms = 0
        self._abort_reason: str | None = None

    @property
    def last_data_at_ms(self) -> int | None:
        """When the present socket received its last bbo or ctx; None until the first."""
        return self.witness.last_data_at_ms

    def follow(self, coins: Iterable[str]) -> None:
        if not self.coins:
            self._last_frame_at_s = asyncio.get_running_loop().time()
        for coin in coins:
            if coin not in self.coins:
                self.coins[coin] = None
                self.subscriptions.want([coin], at_ms=self._clock.now_ms())
        self._changed.set()

    def unfollow(self, coin: str) -> None:
        if coin in self.coins:
            del self.coins[coin]
            self._suspects.accepted([coin])
            self.subscriptions.drop(coin)
            self._changed.set()
        if not self.coins:
            self.witness.disconnect()  # no market's state depends on its silence

    def resubscribe(self, coin: str) -> None:
        """Subscribe a silent coin again; its state is unknown until the answer brings the present one."""
        self.witness.renew(coin)
        self.subscriptions.renew(coin, at_ms=self._clock.now_ms())
        self._changed.set()

    @property
    def is_open(self) -> bool:
        return self._ws is not None

    def abort(self, reason: str) -> None:
        """Close the present socket, which is dead, and reconnect."""
        if self._ws is not None and self._abort_reason is None:
            self._abort_reason = reason
            self.given_up.append((self._clock.now_ms(), reason))
            self._ws.transport.abort()

    async def run(self) -> None:
        """Stay connected until cancelled."""
        loop = asyncio.get_running_loop()
        await self._limits.connects.take()
        attempts = pauses(self._limits)
        async for ws in connect(
            self._url,
            proxy=self._proxy,
            ping_interval=None,  # the venue answers JSON pings only
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=0.5,
            max_queue=1024,
            reconnect_delays=lambda: pauses(self._limits),
            process_exception=self._log_failure,
        ):
            started_s = loop.time()
            await self._serve(ws)
            if loop.time() - started_s > STABLE_S:
                attempts = pauses(self._limits)
            # The library's back-off restarts after every handshake, also when the venue closes at once.
            await asyncio.sleep(next(attempts))

    async def _serve(self, ws: ClientConnection) -> None:
        self._ws, self._abort_reason = ws, None
        self._watched_at_ms = self._clock.now_ms()
        self._last_frame_at_s = asyncio.get_running_loop().time()
        self.connects += 1
        if self._on_raw is not None:
            self._on_raw(RawKind.OPENED, b"", self._clock.now_ms())
        helpers = [asyncio.create_task(work(ws)) for work in (self._subscribe, self._ping, self._watchdog)]
        cause = "stopped"
        try:
            async for raw in ws:
                self._receive(raw)
            cause = f"closed by the venue: {ws.close_code} {ws.close_reason}".strip()
        except ConnectionClosed as error:
            cause = f"closed by the venue: {error}"
            if self._abort_reason is None and error.rcvd is None:
                self._blame_unanswered()
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            self._ws = None
            self._report_loss(self._abort_reason or cause)

    def _report_loss(self, cause: str) -> None:
        (log.info if cause == "stopped" else log.warning)("connection_lost", cause=cause, coins=len(self.coins))
        self._set_trouble(cause)
        if self._on_raw is not None:
            self._on_raw(RawKind.LOST, cause, self._clock.now_ms())
        last_data_at_ms = self.last_data_at_ms
        self.witness.disconnect()
        if last_data_at_ms is not None:
            self._listener.on_loss(list(self.coins), last_data_at_ms=last_data_at_ms, cause=cause)

    def _log_failure(self, error: Exception) -> None:
        """Log a failure to connect; returning None makes the library try again."""
        why = in_words(error, within_s=OPEN_TIMEOUT_S, proxy=self._proxy)
        log.warning("connect_failed", url=self._url, error=why)
        self._set_trouble(why)

    def _set_trouble(self, why: str) -> None:
        self.trouble = f"{self._url}: {why}"
        self._listener.on_trouble(self.trouble)

    def _receive(self, raw: str | bytes) -> None:
        at_ms, witness = self._clock.now_ms(), self.witness
        if self._on_raw is not None:
            self._on_raw(RawKind.FRAME, raw, at_ms)
        last_data_at_ms = witness.last_data_at_ms
        silent_ms = 0 if last_data_at_ms is None else at_ms - last_data_at_ms
        if silent_ms > witness.silence_ms:
            self.abort(f"stalled: no data for {silent_ms / 1000:.1f} s")
        if at_ms - self._watched_at_ms > SUSPENDED_MS:
            self._abort_suspended(at_ms)
        if self._abort_reason is not None:
            return
        try:
            frame = parse_frame(raw)
        except MalformedFrame as error:
            if error.coin in self.coins and error.channel in UNUSABLE:
                self._end_silence(at_ms, silent_ms)
                witness.refuse(error.coin, error.channel, at_ms)
            self._listener.on_malformed(error, at_ms)
            return
        if isinstance(frame, DATA):
            self._end_silence(at_ms, silent_ms)
            witness.hear(frame, at_ms)
            self._listener.on_data(frame, at_ms)
        else:
            self._count(frame)

    def _end_silence(self, at_ms: int, silent_ms: int) -> None:
        """Note that a market was heard; report the silence before if it was too long for quiet markets."""
        self._last_frame_at_s = asyncio.get_running_loop().time()
        if silent_ms > self.witness.grace_ms:
            self._listener.on_stall(list(self.coins), last_data_at_ms=at_ms - silent_ms, at_ms=at_ms)

    def _abort_suspended(self, at_ms: int) -> None:
        self.abort(f"this process stood still for {(at_ms - self._watched_at_ms) / 1000:.1f} s")

    def _count(self, frame: Frame) -> None:
        match frame:
            case Ack(channel, coin):
                self._last_frame_at_s = asyncio.get_running_loop().time()
                self._listener.on_frame("ack")
                self.subscriptions.acknowledge(coin, channel, at_ms=self._clock.now_ms())
                self._changed.set()
            case Refusal(text):
                self._listener.on_frame("error")
                self._listener.on_refusal(text)
                self.subscriptions.refuse(text, at_ms=self._clock.now_ms())
                self._changed.set()
            case Other(kind):
                self._listener.on_frame(kind)

    async def _subscribe(self, ws: ClientConnection) -> None:
        """Keep all coins subscribed; suspects follow when the others were answered, one group after the other."""
        groups = self._suspects.groups()
        safe = [coin for coin in self.coins if coin not in self._suspects]
        self.subscriptions.restart(safe, at_ms=self._clock.now_ms())
        for group in groups:
            await self._send_requests(ws, is_over=self._is_settled)
            self.subscriptions.want([coin for coin in group if coin in self.coins], at_ms=self._clock.now_ms())
            await self._send_requests(ws, is_over=self._is_settled)
            self._suspects.accepted(group)
        await self._send_requests(ws, is_over=lambda: False)

    def _is_settled(self) -> bool:
        return self.subscriptions.is_settled(self._clock.now_ms())

    async def _send_requests(self, ws: ClientConnection, *, is_over: Callable[[], bool]) -> None:
        """Send what is due, when it is due."""
        while not is_over():
            self._changed.clear()
            wait_ms = self.subscriptions.wait_ms(self._clock.now_ms())
            if wait_ms != 0:
                # Not `wait_for`: in Python 3.11 it loses a cancellation that comes together with the event.
                with suppress(TimeoutError):
                    async with asyncio.timeout(None if wait_ms is None else wait_ms / 1000):
                        await self._changed.wait()
                continue
            await self._limits.messages.take()
            request = self.subscriptions.next_request(self._clock.now_ms())
            if request is not None:
                await _send(ws, request.text)

    async def _ping(self, ws: ClientConnection) -> None:
        while True:
            await asyncio.sleep(PING_INTERVAL_S)
            await self._limits.messages.take()
            await _send(ws, PING)

    async def _watchdog(self, ws: ClientConnection) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._watched_at_ms = self._clock.now_ms()
            await asyncio.sleep(WATCH_INTERVAL_S)
            if (now_ms := self._clock.now_ms()) - self._watched_at_ms > SUSPENDED_MS:
                self._abort_suspended(now_ms)
            has_data = self.last_data_at_ms is not None
            silence_s = self.witness.silence_ms / 1000 if has_data else FIRST_DATA_TIMEOUT_S
            if self.coins and loop.time() - self._last_frame_at_s > silence_s:
                self.abort(f"stalled: no data for {silence_s:g} s")

    def _blame_unanswered(self) -> None:
        unanswered = self.subscriptions.sent_since(self._clock.now_ms() - ACK_TIMEOUT_MS)
        rejected = self._suspects.connection_died([coin for coin in unanswered if coin in self.coins])
        if rejected is not None:
            del self.coins[rejected]
            log.error("coin_refused", coin=rejected, why=CLOSES)
            self._listener.on_rejected(rejected)


async def _send(ws: ClientConnection, message: str) -> None:
    with suppress(ConnectionClosed):  # the reading loop handles it
        await ws.send(message)
