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


class KeptTrade(NamedTuple):
    """A trade with its coin, the time of its block and its number; it is written out when a client asks."""

    coin: str
    trade: SimulatedTrade
    time_ms: int
    tid: int

    def as_json(self) -> dict[str, Any]:
        buyer, seller = TRADERS[self.tid % len(TRADERS)], TRADERS[(self.tid * 5 + 1) % len(TRADERS)]
        return {
            "coin": self.coin,
            "side": self.trade.side,
            "px": self.trade.px,
            "sz": self.trade.sz,
            "time": self.time_ms,
            "hash": f"0x{self.tid * 0x9E3779B97F4A7C15:064x}",
            "tid": self.tid,
            "users": [buyer, seller],
        }


class TradeHistory:
    """The last trades of each coin since the venue's start, oldest first."""

    def __init__(self) -> None:
        self._by_coin: defaultdict[str, deque[KeptTrade]] = defaultdict(lambda: deque(maxlen=MAX_KEPT))
        self._tids = count(FIRST_TID)

    def add(self, coin: str, trade: SimulatedTrade, *, time_ms: int) -> None:
        self._by_coin[coin].append(KeptTrade(coin, trade, time_ms, next(self._tids)))

    def last(self, coin: str, limit: int) -> list[dict[str, Any]]:
        """The newest trades of a coin as the venue writes them, oldest first."""
        trades = list(self._by_coin[coin])[-limit:] if coin in self._by_coin else []
        return [trade.as_json() for trade in trades]

    def all(self) -> Iterator[dict[str, Any]]:
        """Every trade that is kept as the venue writes it, coin by coin."""
        for trades in self._by_coin.values():
            yield from (trade.as_json() for trade in trades)
