"""The truth of the venue, whatever its faults show: listed markets, contexts, books, trades and candles."""

from copy import copy
from typing import Any

from simulator.candles import CandleHistory
from simulator.depth import ShownBook
from simulator.listing import Universe
from simulator.trades import TradeHistory
from simulator.wire import AnyLevel, BookLevel

STATE_AGE_MS = 300
"""More than a block's age on arrival, so that the next block is never earlier than the answer."""


class VenueData:
    """Markets are known by their coin; the dexes and their markets keep the order of the universe."""

    def __init__(self, universe: Universe) -> None:
        self.ctxs: dict[str, dict[str, Any]] = {}
        self.books: dict[str, tuple[AnyLevel | None, AnyLevel | None]] = {}
        self.trades = TradeHistory()
        self.candles = CandleHistory()
        self.last_block_ms = 0
        self.relist(universe)

    def relist(self, universe: Universe) -> None:
        """Replace the listed markets."""
        self.universe = universe
        self._markets = {market["name"]: market for listed in universe.values() for market in listed}
        self._live = {coin for coin, market in self._markets.items() if not market.get("isDelisted")}

    def shown_as(self, universe: Universe) -> "VenueData":
        """The same data with other listed markets."""
        shown = copy(self)
        shown.relist(universe)
        return shown

    def has(self, coin: str) -> bool:
        return coin in self._markets

    def is_live(self, coin: str) -> bool:
        return coin in self._live

    def sz_decimals(self, coin: str) -> int:
        return int(self._markets[coin].get("szDecimals", 0))

    def book(self, coin: str) -> ShownBook | None:
        """The last book of a live market."""
        if coin not in self.books or not self.is_live(coin):
            return None
        return ShownBook(*(None if level is None else BookLevel(*level) for level in self.books[coin]))

    def state_time_ms(self, wall_ms: int) -> int:
        """Time of the state that a computed answer shows: no block before it is later, and none after it is earlier."""
        return max(wall_ms - STATE_AGE_MS, self.last_block_ms)

    def mids(self, dex: str) -> dict[str, str]:
        """The mid prices of the dex's markets that have one, in the order of the universe."""
        ctxs = ((market["name"], self.ctxs.get(market["name"])) for market in self.universe.get(dex, []))
        return {coin: ctx["midPx"] for coin, ctx in ctxs if ctx and ctx.get("midPx") is not None}
