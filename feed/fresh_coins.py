"""Coins that wait to join the sockets of others: new listings, and coins whose subscription ended a socket.

A venue may list a coin before its websocket knows it; subscribing it then ends the whole socket. So such coins are
tried on a socket of their own. A batch that does not end it joins the others, and the next batch is twice as large.
A coin that ends it alone is tried again after a minute, doubling to an hour.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from hip3_tasks.domain.records import Dark
from hip3_tasks.terminal_text import utc_time

FIRST_PAUSE_MS, MAX_PAUSE_MS = 60_000, 3_600_000


@dataclass(slots=True)
class WaitingCoin:
    """A coin that is on no socket."""

    since_ms: int
    next_try_ms: int
    pause_ms: int | None = None
    """The last pause; None for a coin that ended no socket."""


class FreshCoins:
    """The waiting coins, and when each is tried."""

    def __init__(self) -> None:
        self._waiting: dict[str, WaitingCoin] = {}
        self._pauses_ms: dict[str, int] = {}
        """The last pause of each coin that ended a socket, also after it joined the others."""
        self._batch_size = 1

    def __contains__(self, coin: str) -> bool:
        return coin in self._waiting

    def __iter__(self) -> Iterator[str]:
        return iter(self._waiting)

    def add(self, coins: Iterable[str], *, at_ms: int) -> None:
        for coin in coins:
            self._waiting.setdefault(coin, WaitingCoin(at_ms, at_ms))

    def keep_only(self, listed: Collection[str]) -> None:
        """Forget coins that are no longer listed."""
        for coins in (self._waiting, self._pauses_ms):
            for coin in coins.keys() - {*listed}:
                del coins[coin]

    def ban(self, coin: str, *, at_ms: int) -> int:
        """Let a coin that ended a socket wait; return for how many ms."""
        last_ms = self._pauses_ms.get(coin)
        pause_ms = FIRST_PAUSE_MS if last_ms is None else min(2 * last_ms, MAX_PAUSE_MS)
        since_ms = self._waiting[coin].since_ms if coin in self._waiting else at_ms
        self._pauses_ms[coin] = pause_ms
        self._waiting[coin] = WaitingCoin(since_ms, at_ms + pause_ms, pause_ms)
        return pause_ms

    def batch(self, at_ms: int) -> list[str]:
        """The coins to try now on one socket. A coin that ended one before is tried alone, after the others."""
        due = [coin for coin, waiting in self._waiting.items() if waiting.next_try_ms <= at_ms]
        new = [coin for coin in due if self._waiting[coin].pause_ms is None]
        return new[: self._batch_size] or due[:1]

    def passed(self, batch: Sequence[str]) -> list[str]:
        """Take a batch that did not end its socket; return its coins that are still wanted."""
        self._batch_size *= 2
        return [coin for coin in batch if self._waiting.pop(coin, None) is not None]

    def ended_socket(self, batch: Sequence[str], *, at_ms: int) -> int | None:
        """Take a batch that ended its socket; return the ms that its only coin waits, None for several coins."""
        self._batch_size = 1
        (coin, *others) = batch
        return None if others or coin not in self._waiting else self.ban(coin, at_ms=at_ms)

    def dark(self) -> list[Dark]:
        return [
            Dark(
                coin=coin,
                cause="new listing: tried on a socket of its own"
                if waiting.pause_ms is None
                else f"closes the socket when subscribed: next try at {utc_time(waiting.next_try_ms)}",
                since_ms=waiting.since_ms,
            )
            for coin, waiting in self._waiting.items()
        ]
