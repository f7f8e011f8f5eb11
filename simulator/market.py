"""One market in virtual time: an oracle that steps, and a book that follows it, leads it or stands off."""

from __future__ import annotations

import math
from random import Random
from typing import NamedTuple

from simulator.book import Book, Side, Touch
from simulator.listing import Listing

# A calm book keeps this share of its threshold to the oracle: only what is meant to be a signal becomes one.
CALM_SHARE = 0.7
BOOK_NOISE_BPS = 0.6
ORACLE_NOISE_BPS = 1.2
CONVERGENCE_GAP_MS = 350.0
HOLE_CHANCE = 0.001
ORACLE_RETURN_CHANCE = 0.75
BOOK_CONVERGES_CHANCE = 0.6


class Convergence(NamedTuple):
    """The book's way from an old mid to where it belongs."""

    from_ticks: float
    since_ms: float
    duration_ms: float


class Market:
    """Prices are in ticks. At most one dislocation is open: the book converges, or it waits for the oracle."""

    def __init__(self, listing: Listing, *, rng: Random) -> None:
        self.listing = listing
        self.tick_px = 10.0**-listing.px_decimals
        self.oracle_ticks = round(listing.oracle_px / self.tick_px)
        self.book = Book(None, None)
        self.next_bbo_ms = 0.0
        self.lean_bps = 0.0
        self._rng = rng
        self._home_ticks = self.oracle_ticks
        self._mid_ticks = float(self.oracle_ticks)
        self._spread_ticks = 1
        self._convergence: Convergence | None = None
        self._awaits_oracle = False
        self._hole: tuple[bool, bool] | None = None
        self._hole_until_ms = 0.0
        if listing.bid_px is not None and listing.ask_px is not None:
            self._open(listing.bid_px, listing.ask_px)

    @property
    def is_two_sided(self) -> bool:
        return self.book.bid is not None and self.book.ask is not None

    @property
    def is_calm(self) -> bool:
        return self._convergence is None and not self._awaits_oracle and not self.lean_bps

    def edge_bps(self, side: Side) -> float | None:
        return self.book.edge_bps(side, oracle_ticks=self.oracle_ticks)

    def homeward_side(self) -> Side | None:
        """The side whose oracle jump leads back to the starting price; None while the price is near it."""
        drift = self.oracle_ticks / self._home_ticks - 1
        return None if abs(drift) < 0.02 else Side.SELL if drift > 0 else Side.BUY

    def move_book(self, at_ms: float) -> bool:
        """Requote at this instant; False when the book came out as it was."""
        self._mid_ticks = self._next_mid(at_ms)
        book = self._with_hole(self._quote(), at_ms)
        self.next_bbo_ms = at_ms + self._gap_ms()
        if self._hole is not None:
            self.next_bbo_ms = min(self.next_bbo_ms, self._hole_until_ms)
        is_new, self.book = book != self.book, book
        return is_new

    def drift_oracle(self, *, change_chance: float) -> bool:
        """An oracle update without news; False when the price stays, as it often does."""
        fair = self._mid_ticks / (1 + self.lean_bps / 1e4)
        if self._awaits_oracle:
            if self._rng.random() > ORACLE_RETURN_CHANCE:
                return False
            self._awaits_oracle = False
            return self._set_oracle(fair)
        if self._convergence is not None or self._rng.random() > change_chance:
            return False
        noise = self._rng.gauss(0.0, ORACLE_NOISE_BPS) * self.oracle_ticks / 1e4
        return self._set_oracle(self._calm_oracle((self.oracle_ticks + fair) / 2 + noise))

    def jump_oracle(self, side: Side, edge_bps: float, *, at_ms: float) -> None:
        """An oracle update that leaves the touch this far behind; most books follow it, some sit it out."""
        assert self.book.bid is not None and self.book.ask is not None
        if side is Side.BUY:
            oracle = math.ceil(self.book.ask.ticks / (1 - edge_bps / 1e4))
        else:
            oracle = math.floor(self.book.bid.ticks / (1 + edge_bps / 1e4))
        self.oracle_ticks = oracle + side if oracle == self.oracle_ticks else oracle
        self._resolve(at_ms, converges=self._rng.random() < BOOK_CONVERGES_CHANCE)

    def jump_book(self, side: Side, edge_bps: float, *, at_ms: float) -> None:
        """A book that leaves the oracle by that much, at its next requote; mostly the oracle comes after it."""
        half_spread = self._spread_ticks / 2
        through = self.oracle_ticks * (1 - side * edge_bps / 1e4)
        self._mid_ticks = through - side * (half_spread + 1.5)
        self.next_bbo_ms = at_ms
        self._resolve(at_ms, converges=self._rng.random() > BOOK_CONVERGES_CHANCE)

    def stand_off(self, lean_bps: float, *, at_ms: float) -> None:
        """Let the book go and stay off the oracle by that much, or come back (0)."""
        self.lean_bps = lean_bps
        self._awaits_oracle = False
        self._convergence = Convergence(self._mid_ticks, at_ms, self._rng.uniform(2_000, 5_000))

    def half_spread_bps(self) -> float:
        return self._spread_ticks / 2 / self.oracle_ticks * 1e4

    def _open(self, bid_px: float, ask_px: float) -> None:
        self._spread_ticks = max(1, round((ask_px - bid_px) / self.tick_px))
        self._mid_ticks = (bid_px + ask_px) / 2 / self.tick_px
        self.book = self._quote()
        calm_bps = CALM_SHARE * self.listing.threshold_bps
        if any((self.edge_bps(side) or 0.0) > calm_bps for side in Side):
            self.lean_bps = (self._mid_ticks / self.oracle_ticks - 1) * 1e4
        self.next_bbo_ms = self._gap_ms()

    def _resolve(self, at_ms: float, *, converges: bool) -> None:
        self._awaits_oracle = not converges
        self._convergence = None
        if converges:
            self._convergence = Convergence(self._mid_ticks, at_ms + 200, self._rng.uniform(500, 5_000))

    def _next_mid(self, at_ms: float) -> float:
        fair = self.oracle_ticks * (1 + self.lean_bps / 1e4)
        noise = self._rng.gauss(0.0, BOOK_NOISE_BPS) * self.oracle_ticks / 1e4
        if self._awaits_oracle:
            return self._mid_ticks + noise / 5
        if self._convergence is not None:
            way = self._convergence
            progress = (at_ms - way.since_ms) / way.duration_ms
            if progress < 1:
                return way.from_ticks + (fair - way.from_ticks) * max(0.0, progress)
            self._convergence = None
            return fair
        mid = self._mid_ticks + 0.3 * (fair - self._mid_ticks) + noise
        if self.lean_bps:
            return mid
        room = CALM_SHARE * self.listing.threshold_bps / 1e4 * self.oracle_ticks + self._spread_ticks / 2
        return min(max(mid, self.oracle_ticks - room), self.oracle_ticks + room)

    def _calm_oracle(self, ticks: float) -> float:
        """The nearest oracle price that makes no signal of the book as it stands."""
        if self.lean_bps:
            return ticks
        calm = CALM_SHARE * self.listing.threshold_bps / 1e4
        highest = self.book.ask.ticks / (1 - calm) if self.book.ask is not None else math.inf
        lowest = self.book.bid.ticks / (1 + calm) if self.book.bid is not None else 0.0
        return min(max(ticks, lowest), highest)

    def _set_oracle(self, ticks: float) -> bool:
        before, self.oracle_ticks = self.oracle_ticks, max(1, round(ticks))
        return self.oracle_ticks != before

    def _quote(self) -> Book:
        spread = max(1, self._spread_ticks + self._rng.choice((-1, 0, 0, 0, 1)))
        bid = max(1, round(self._mid_ticks - spread / 2))
        return Book(self._touch(bid), self._touch(bid + spread))
