"""Coins that wait to join the sockets of others: new listings, and coins whose subscription ended a socket.

A venue may list a coin before its websocket knows it; subscribing it then ends the whole socket. So such coins are
tried on a socket of their own. A batch that does not end it joins the others, and the next batch is twice as large.
A coin that ends it alone is tried again after a minute, doubling to an hour.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence

from feed.backoff import Backoff
from hip3_tasks.domain.records import Dark
from hip3_tasks.terminal_text import utc_time

FIRST_PAUSE_MS, MAX_PAUSE_MS = 60_000, 3_600_000


class FreshCoins:
    """The waiting coins, and when each is tried."""

    def __init__(self) -> None:
        self._waiting: dict[str, int] = {}
        """The coins that are on no socket, each with the instant since when."""
        self._banned: dict[str, Backoff] = {}
        """The coins that ended a socket, also after they joined the others."""
        self._batch_size = 1

    def __contains__(self, coin: str) -> bool:
        return coin in self._waiting

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[str]:
        return iter(self._waiting)

    def add(self, coins: Iterable[str], *, at_ms: int) -> None:
        for coin in coins:
            self._waiting.setdefault(coin, at_ms)

    def keep_only(self, listed: Collection[str]) -> None:
        """Forget coins that are no longer listed."""
        for coin in (self._waiting.keys() | self._banned.keys()) - {*listed}:
            self._waiting.pop(coin, None)
            self._banned.pop(coin, None)

    def ban(self, coin: str, *, at_ms: int) -> int:
        """Let a coin that ended a socket wait; return for how many ms."""
        self._waiting.setdefault(coin, at_ms)
        return self._banned.setdefault(coin, Backoff(FIRST_PAUSE_MS, MAX_PAUSE_MS)).postpone(at_ms)

    def batch(self, at_ms: int) -> list[str]:
        """The coins to try now on one socket. A coin that ended one before is tried alone, after the others."""
        new = [coin for coin in self._waiting if coin not in self._banned]
        due = [coin for coin in self._waiting if coin in self._banned and self._banned[coin].next_at_ms <= at_ms]
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
                if coin not in self._banned
                else f"closes the socket when subscribed: next try at {utc_time(self._banned[coin].next_at_ms)}",
                since_ms=since_ms,
            )
            for coin, since_ms in self._waiting.items()
        ]
