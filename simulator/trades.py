"""Trades of the simulated markets: one trade, and the last ones of each coin as the venue writes them."""

from collections import defaultdict, deque
from collections.abc import Iterator
from itertools import count
from typing import Any, NamedTuple

MAX_KEPT = 200
TRADERS = tuple(f"0x{number:040x}" for number in range(0x7A5E0001, 0x7A5E000D))
"""Addresses of the simulated traders; each trade has two of them."""
FIRST_TID = 717_978_735_161_105


class SimulatedTrade(NamedTuple):
    """A trade at the touch; `side` is the aggressor's, B buys and A sells."""

    side: str
    px: str
    sz: str


class TradeHistory:
    """The last trades of each coin since the venue's start, oldest first."""

    def __init__(self) -> None:
        self._by_coin: defaultdict[str, deque[dict[str, Any]]] = defaultdict(lambda: deque(maxlen=MAX_KEPT))
        self._tids = count(FIRST_TID)

    def add(self, coin: str, trade: SimulatedTrade, *, time_ms: int) -> dict[str, Any]:
        """Keep a trade, and return it as the venue writes it."""
        tid = next(self._tids)
        buyer, seller = TRADERS[tid % len(TRADERS)], TRADERS[(tid * 5 + 1) % len(TRADERS)]
        row = {
            "coin": coin,
            "side": trade.side,
            "px": trade.px,
            "sz": trade.sz,
            "time": time_ms,
            "hash": f"0x{tid * 0x9E3779B97F4A7C15:064x}",
            "tid": tid,
            "users": [buyer, seller],
        }
        self._by_coin[coin].append(row)
        return row

    def last(self, coin: str, limit: int) -> list[dict[str, Any]]:
        """The newest trades of a coin, oldest first."""
        return list(self._by_coin[coin])[-limit:] if coin in self._by_coin else []

    def all(self) -> Iterator[dict[str, Any]]:
        """Every trade that is kept, coin by coin."""
        for rows in self._by_coin.values():
            yield from rows
