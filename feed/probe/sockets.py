"""The two sockets of a probe: connections as a feed has them, whose frames and troubles are noted and compared."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from feed.probe.market import MarketNotes, Samples
from feed.wire import Bbo, Ctx
from hip3_tasks.errors import MalformedFrame

MAX_EXAMPLE = 300
STRAY_MS = 5_000
"""A book that the other socket has not brought after this time is a stray."""


class Twins:
    """Matches the books of two sockets, numbered 0 and 1, that are subscribed to the same markets.

    A book of one socket is compared only while the other one is known to listen: later than the book which answered its
    subscription, and with no loss of the connection since.
    """

    def __init__(self) -> None:
        self.skew_ms = Samples()
        """Time between the two arrivals of a book."""
        self.strays = [0, 0]
        """Books that each socket alone brought."""
        self.disordered = 0
        """Books that one socket brought before, and the other after another book of the market."""
        self._from_ms: dict[str, int] = {}
        """The block after which both sockets listen, by coin."""
        self._last_ms: tuple[dict[str, int], ...] = ({}, {})
        self._waiting = defaultdict[str, dict[Bbo, int]](dict), defaultdict[str, dict[Bbo, int]](dict)

    def hear(self, socket: int, book: Bbo, at_ms: int, *, is_first: bool) -> None:
        """Take a book; the first one after a subscription is the state before the comparison begins."""
        coin, other_ms = book.coin, self._last_ms[1 - socket]
        self._last_ms[socket][coin] = book.time_ms
        if is_first and coin in other_ms:
            self._from_ms[coin] = max(book.time_ms, other_ms[coin])
        elif book.time_ms > self._from_ms.get(coin, book.time_ms):
            waiting = self._waiting[1 - socket][coin]
            if book in waiting:
                self.disordered += book != next(book for book in waiting if at_ms - waiting[book] <= STRAY_MS)
                self.skew_ms[at_ms - waiting.pop(book)] += 1
            else:
                self._waiting[socket][coin][book] = at_ms

    def lose(self, socket: int) -> None:
        """Forget what waits: a socket was lost, so its books of that time cannot be compared."""
        self._last_ms[socket].clear()
        self._from_ms.clear()
        for waiting in self._waiting:
            waiting.clear()

    def finish(self, at_ms: int) -> None:
        """Count the books that have waited for too long."""
        for socket, markets in enumerate(self._waiting):
            for waiting in markets.values():
                self.strays[socket] += sum(at_ms - heard_at_ms > STRAY_MS for heard_at_ms in waiting.values())

    def summary(self) -> dict[str, Any]:
        books = self.skew_ms.total() + sum(self.strays)
        percent = 100 * sum(self.strays) / books if books else None
        disordered = self.disordered if books else None
        skew_ms = self.skew_ms.summary()
        return {"skew_ms": skew_ms, "strays": self.strays, "strays_percent": percent, "disordered": disordered}


class SocketNotes:
    """The listener of a connection, which may be lost and made again. `number` is 0 or 1."""

    def __init__(self, number: int, twins: Twins) -> None:
        self._number, self._twins = number, twins
        self.markets: dict[str, MarketNotes] = {}
        self.frames = Counter[str]()
        self.not_understood: dict[str, str] = {}
        """The beginning of the first frame of each kind; `frames` has their number."""
        self.losses = Counter[str]()
        """Lost connections and failed attempts to connect, by cause."""
        self.unanswered: dict[str, str] = {}
        """The coins without a subscription, with the reason."""
        self.pause_ms = Samples()
        """The time between two frames of any market."""
        self._heard_at_ms = 0
        self._is_over = False

    def follow(self, coins: Sequence[str]) -> None:
        self.markets = {coin: MarketNotes() for coin in coins}

    def finish(self, at_ms: int, unanswered: Mapping[str, str]) -> None:
        """Note what is still missing, and nothing more."""
        self._is_over = True
        self.unanswered.update(unanswered)
        self._note_pause(at_ms)
        for market in self.markets.values():
            market.finish(at_ms)

    def summary(self) -> dict[str, Any]:
        notes = {name: getattr(self, name) for name in ("frames", "not_understood", "losses", "unanswered")}
        return {**notes, "pause_ms": self.pause_ms.summary()}

    def on_data(self, frame: Bbo | Ctx, at_ms: int) -> None:
        self.frames["bbo" if isinstance(frame, Bbo) else "activeAssetCtx"] += 1
        self._note_pause(at_ms)
        market = self.markets.get(frame.coin)
        if market is not None and isinstance(frame, Ctx):
            market.hear_ctx(frame, at_ms)
        elif market is not None and isinstance(frame, Bbo):
            is_first = market.hear_bbo(frame, at_ms)
            self._twins.hear(self._number, frame, at_ms, is_first=is_first)

    def on_frame(self, kind: str) -> None:
        self.frames[kind] += 1
        if kind == "unknown_channel":
            self.not_understood[kind] = "a frame of another channel"

    def on_malformed(self, error: MalformedFrame, at_ms: int) -> None:
        self._misunderstand(
            f"{error.kind} {error.coin}" if error.coin in self.markets else error.kind, str(error.frame)
        )

    def on_refusal(self, text: str) -> None:
        """Note an error frame, unless it names a subscription: then it is an answer."""
        if '"coin"' not in text:
            self._misunderstand("error", text)

    def on_stall(self, coins: Sequence[str], *, last_data_at_ms: int, at_ms: int) -> None:
        """Do nothing: the pause is noted with the frame that ends it."""

    def on_loss(self, coins: Sequence[str], *, last_data_at_ms: int, cause: str) -> None:
        self._twins.lose(self._number)
        for market in self.markets.values():
            market.reconnect()

    def on_rejected(self, coin: str) -> None:
        self.unanswered[coin] = "closes the connection"

    def on_trouble(self, trouble: str) -> None:
        if not self._is_over:
            self.losses[trouble] += 1

    def _note_pause(self, at_ms: int) -> None:
        if self._heard_at_ms:
            self.pause_ms[at_ms - self._heard_at_ms] += 1
        self._heard_at_ms = at_ms

    def _misunderstand(self, kind: str, text: str) -> None:
        self.frames[kind] += 1
        self.not_understood.setdefault(kind, text[:MAX_EXAMPLE])
