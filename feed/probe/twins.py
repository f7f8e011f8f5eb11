"""Two sockets that are subscribed to the same markets: whether both bring the same books, and when.

A book of one socket is compared only while the other one is known to listen: later than the book which answered its
subscription, and with no loss of the connection since.
"""

from collections import defaultdict, deque
from typing import Any, NamedTuple

from feed.probe.samples import Samples
from feed.wire import Bbo, Level

STRAY_MS = 5_000
"""A book that the other socket has not brought after this time is a stray."""


class _Book(NamedTuple):
    time_ms: int
    bid: Level | None
    ask: Level | None


class Twins:
    """Matches the books of two sockets, numbered 0 and 1, in the order in which they came."""

    def __init__(self) -> None:
        self.skew_ms = Samples()
        """Time between the two arrivals of a book."""
        self.first = [0, 0]
        """Books that each socket brought earlier than the other."""
        self.strays = [0, 0]
        """Books that each socket alone brought."""
        self.disordered = 0
        """Books that one socket brought before, and the other after another book of the market."""
        self._from_ms: dict[str, int] = {}
        """The block after which both sockets listen, by coin."""
        self._last_ms: tuple[dict[str, int], dict[str, int]] = ({}, {})
        self._waiting: tuple[dict[str, deque[tuple[_Book, int]]], ...] = (defaultdict(deque), defaultdict(deque))

    def hear(self, socket: int, bbo: Bbo, at_ms: int, *, is_first: bool) -> None:
        """Take a book; the first one after a subscription is the state before the comparison begins."""
        coin, last_ms = bbo.coin, self._last_ms
        last_ms[socket][coin] = bbo.time_ms
        if is_first and coin in last_ms[1 - socket]:
            self._from_ms[coin] = max(bbo.time_ms, last_ms[1 - socket][coin])
        elif bbo.time_ms > self._from_ms.get(coin, bbo.time_ms):
            self._match(socket, coin, _Book(bbo.time_ms, bbo.bid, bbo.ask), at_ms)

    def lose(self, socket: int) -> None:
        """Forget what waits: a socket was lost, so its books of that time cannot be compared."""
        self._last_ms[socket].clear()
        self._from_ms.clear()
        for waiting in self._waiting:
            waiting.clear()

    def finish(self, at_ms: int) -> None:
        """Count the books that have waited for too long."""
        for socket in (0, 1):
            for waiting in self._waiting[socket].values():
                self._expire(socket, waiting, at_ms)

    def summary(self) -> dict[str, Any]:
        strays = {"strays": self.strays, "disordered": self.disordered}
        return {"compared": len(self.skew_ms), "skew_ms": self.skew_ms.summary(), "first": self.first, **strays}

    def _match(self, socket: int, coin: str, book: _Book, at_ms: int) -> None:
        waiting = self._waiting[1 - socket][coin]
        self._expire(1 - socket, waiting, at_ms)
        for position, (earlier, heard_at_ms) in enumerate(waiting):
            if earlier == book:
                self.skew_ms.add(at_ms - heard_at_ms)
                self.first[1 - socket] += 1
                self.disordered += position > 0
                del waiting[position]
                return
        mine = self._waiting[socket][coin]
        self._expire(socket, mine, at_ms)
        mine.append((book, at_ms))

    def _expire(self, socket: int, waiting: deque[tuple[_Book, int]], at_ms: int) -> None:
        while waiting and at_ms - waiting[0][1] > STRAY_MS:
            waiting.popleft()
            self.strays[socket] += 1
