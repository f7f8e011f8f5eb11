"""Quotes of a book around its mid: spread, sizes, and sometimes one or both sides missing."""

from random import Random

from simulator.book import Book, Touch
from simulator.listing import MarketListing
from simulator.numerals import numeral

HOLE_CHANCE = 0.001
HOLES = ((True, False), (False, True), (True, False), (False, True), (True, True))
TYPICAL_NOTIONAL_USD = 3_000.0


class Quoter:
    """Quotes one market; its spread is the typical one, or a tick more or less."""

    def __init__(self, listing: MarketListing, *, spread_ticks: int, rng: Random) -> None:
        self.spread_ticks = spread_ticks
        self.hole_until_ms = 0.0
        self._hole = (False, False)
        self._typical_sz = TYPICAL_NOTIONAL_USD / listing.oracle_px
        self._sz_decimals = listing.sz_decimals
        self._rng = rng

    def quote(self, mid_ticks: float) -> Book:
        """A two-sided book around the mid, at most a tick away from it."""
        spread = max(1, self.spread_ticks + self._rng.choice((-1, 0, 0, 0, 1)))
        bid = max(1, round(mid_ticks - spread / 2))
        return Book(self._touch(bid), self._touch(bid + spread))

    def with_hole(self, book: Book, *, at_ms: float, may_open: bool) -> Book:
        """The book without the sides that are missing at this instant. `may_open` lets a new hole begin."""
        if may_open and self._rng.random() < HOLE_CHANCE:
            self._hole = self._rng.choice(HOLES)
            self.hole_until_ms = at_ms + self._rng.uniform(1_000, 6_000)
        if at_ms >= self.hole_until_ms:
            return book
        no_bid, no_ask = self._hole
        return Book(None if no_bid else book.bid, None if no_ask else book.ask)

    def _touch(self, ticks: int) -> Touch:
        least = 10.0**-self._sz_decimals
        sz = max(least, self._typical_sz * self._rng.lognormvariate(0.0, 1.2))
        return Touch(ticks, numeral(sz, self._sz_decimals), 1 + int(self._rng.expovariate(0.7)))
