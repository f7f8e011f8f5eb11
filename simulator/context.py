"""The `activeAssetCtx` of one market, filled as on the real venue."""

from random import Random
from typing import Any

from simulator.book import Book, Touch
from simulator.listing import MarketListing
from simulator.numerals import numeral
from simulator.trades import SimulatedTrade
from simulator.wire import asset_ctx

TRADE_CHANCE = 0.3


class Context:
    """When the market has changed, volumes grow and the mark price follows; otherwise the last context repeats."""

    def __init__(self, listing: MarketListing, *, rng: Random) -> None:
        self._decimals = listing.px_decimals
        self._mark_px = listing.mark_px
        self._prev_day_px = listing.oracle_px * (1 + rng.gauss(0.0, 0.01))
        self._base_volume = 2e6 * rng.lognormvariate(0.0, 1.5) / listing.oracle_px
        self._open_interest = self._base_volume * rng.uniform(0.5, 2.0)
        self._rng = rng
        # Of its own, so that sides of trades leave the sequence of all other random numbers as it was.
        self._sides = Random(listing.coin)  # nosec B311  # no secret, a market
        self._sz_decimals = listing.sz_decimals
        self.trade: SimulatedTrade | None = None
        """The trade of the last context, if there was one."""
        self._shown: tuple[int, Book] | None = None
        self._ctx: dict[str, Any] = {}

    def ctx(self, *, oracle_ticks: int, book: Book) -> dict[str, Any]:
        """The context of this state; the same object while the state does not change."""
        self.trade = None
        if self._shown != (oracle_ticks, book):
            oracle_px = oracle_ticks / 10.0**self._decimals
            if self._shown is not None:
                self._trade(book)
                self._mark_px += 0.5 * (self._mid_px(book, oracle_px) - self._mark_px)
            self._shown = (oracle_ticks, book)
            self._ctx = self._fill(oracle_px, book)
        return self._ctx

    @classmethod
    def frozen(cls, listing: MarketListing, *, rng: Random) -> dict[str, Any]:
        """The context of a delisted market: its last oracle price, without a book."""
        return cls(listing, rng=rng).ctx(oracle_ticks=listing.oracle_ticks, book=Book(None, None))

    def _fill(self, oracle_px: float, book: Book) -> dict[str, Any]:
        ctx = asset_ctx(oracle_px=numeral(oracle_px, self._decimals), mark_px=numeral(self._mark_px, self._decimals))
        ctx["openInterest"] = numeral(self._open_interest, 4)
        ctx["prevDayPx"] = numeral(self._prev_day_px, self._decimals)
        ctx["dayNtlVlm"] = numeral(self._base_volume * oracle_px, 10)
        ctx["dayBaseVlm"] = numeral(self._base_volume, 4)
        if book.bid is not None and book.ask is not None:
            low, high = self._impact_pxs(book.bid, book.ask)
            ctx["midPx"] = numeral(self._mid_px(book, oracle_px), self._decimals + 1)
            ctx["impactPxs"] = [numeral(low, self._decimals + 1), numeral(high, self._decimals + 1)]
            ctx["premium"] = numeral(((low + high) / 2 - oracle_px) / oracle_px, 10)
        return ctx

    def _impact_pxs(self, bid: Touch, ask: Touch) -> tuple[float, float]:
        """Prices of a larger order (sell, buy): up to a few ticks worse than the touch."""
        depth_ticks = self._rng.choice((0.0, 0.3, 0.8, 1.9))
        ticks_per_px = 10.0**self._decimals
        return (bid.ticks - depth_ticks) / ticks_per_px, (ask.ticks + depth_ticks) / ticks_per_px

    def _mid_px(self, book: Book, oracle_px: float) -> float:
        if book.bid is None or book.ask is None:
            return oracle_px
        return (book.bid.ticks + book.ask.ticks) / 2 / 10.0**self._decimals

    def _trade(self, book: Book) -> None:
        if self._rng.random() < TRADE_CHANCE:
            traded = self._base_volume * self._rng.expovariate(1e5)
            self._base_volume += traded
            self._open_interest = max(0.0, self._open_interest + self._rng.choice((-0.5, 0.5)) * traded)
            self.trade = self._print(traded, book)

    def _print(self, traded: float, book: Book) -> SimulatedTrade | None:
        """The trade at the touch; None where that side is empty, or where the size is less than the smallest."""
        side = "B" if self._sides.random() < 0.5 else "A"
        touch = book.ask if side == "B" else book.bid
        if touch is None or round(traded, self._sz_decimals) <= 0:
            return None
        px = numeral(touch.ticks / 10.0**self._decimals, self._decimals)
        return SimulatedTrade(side, px, numeral(traded, self._sz_decimals))
