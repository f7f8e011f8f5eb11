"""One market in virtual time: an oracle that steps, and a book that follows it, leads it or keeps an offset."""

import math
from random import Random
from typing import NamedTuple

from simulator.book import Book, SignalSide
from simulator.listing import MarketListing
from simulator.quoter import Quoter

# A calm book stays within this share of the threshold, so that only planned dislocations become signals.
CALM_SHARE = 0.7
BOOK_NOISE_BPS = 0.6
ORACLE_NOISE_BPS = 1.2
BOOK_CONVERGES_CHANCE = 0.6
ORACLE_RETURN_CHANCE = 0.75
# A converging book is requoted faster than a calm one.
CONVERGING_GAP_MS = 350.0
MAX_DRIFT = 0.02


class Convergence(NamedTuple):
    """Linear movement of the book from an old mid to its fair value."""

    from_ticks: float
    since_ms: float
    duration_ms: float


class SimulatedMarket:
    """Prices are in ticks. At most one dislocation is open: the book converges, or waits for the oracle."""

    def __init__(self, listing: MarketListing, *, rng: Random) -> None:
        self.listing = listing
        self.oracle_ticks = listing.oracle_ticks
        self.book = Book(None, None)
        self.standing_offset_bps = 0.0
        self.next_bbo_ms = math.inf
        self._rng = rng
        self._home_ticks = self.oracle_ticks
        self._mid_ticks = float(self.oracle_ticks)
        self._convergence: Convergence | None = None
        self._awaits_oracle = False
        self._quoter = Quoter(listing, spread_ticks=1, rng=rng)
        if listing.bid_px is not None and listing.ask_px is not None:
            self._open(listing.bid_px, listing.ask_px)

    def edge_bps(self, side: SignalSide) -> float | None:
        return self.book.edge_bps(side, oracle_ticks=self.oracle_ticks)

    def return_side(self) -> SignalSide | None:
        """The side whose oracle jump leads back to the starting price; None while the price is close to it."""
        drift = self.oracle_ticks / self._home_ticks - 1
        if abs(drift) < MAX_DRIFT:
            return None
        return SignalSide.SELL if drift > 0 else SignalSide.BUY

    def move_book(self, at_ms: float) -> bool:
        """Requote at this instant; False when the book did not change."""
        self._mid_ticks = self._next_mid(at_ms)
        is_calm = self._convergence is None and not self._awaits_oracle
        book = self._quoter.with_hole(self._quoter.quote(self._mid_ticks), at_ms=at_ms, may_open=is_calm)
        self.next_bbo_ms = at_ms + self._gap_ms()
        if at_ms < self._quoter.hole_until_ms:
            self.next_bbo_ms = min(self.next_bbo_ms, self._quoter.hole_until_ms)
        is_new, self.book = book != self.book, book
        return is_new

    def drift_oracle(self, *, change_chance: float) -> bool:
        """Make an oracle update without news; False when the price does not change, which is frequent."""
        fair = self._mid_ticks / (1 + self.standing_offset_bps / 1e4)
        if self._awaits_oracle:
            if self._rng.random() > ORACLE_RETURN_CHANCE:
                return False
            self._awaits_oracle = False
            return self._set_oracle(fair)
        if self._convergence is not None or self._rng.random() > change_chance:
            return False
        noise = self._noise(ORACLE_NOISE_BPS)
        return self._set_oracle(self._calm_oracle((self.oracle_ticks + fair) / 2 + noise))

    def jump_oracle(self, side: SignalSide, edge_bps: float, *, at_ms: float) -> None:
        """Make an oracle update that gives the touch this edge. Most books then follow it, the others wait."""
        assert self.book.bid is not None
        assert self.book.ask is not None
        if side is SignalSide.BUY:
            oracle = math.ceil(self.book.ask.ticks / (1 - edge_bps / 1e4))
        else:
            oracle = math.floor(self.book.bid.ticks / (1 + edge_bps / 1e4))
        self.oracle_ticks = oracle + side if oracle == self.oracle_ticks else oracle
        self._dislocate(at_ms, book_converges=self._rng.random() < BOOK_CONVERGES_CHANCE)

    def jump_book(self, side: SignalSide, edge_bps: float, *, at_ms: float) -> None:
        """Move the book so that its next requote has this edge. Mostly the oracle then follows the book."""
        through = self.oracle_ticks * (1 - side * edge_bps / 1e4)
        # Rounding may quote the touch up to a tick and a half closer to the oracle than its mid implies.
        self._mid_ticks = through - side * (self._quoter.spread_ticks / 2 + 1.5)
        self.next_bbo_ms = at_ms
        self._dislocate(at_ms, book_converges=self._rng.random() > BOOK_CONVERGES_CHANCE)

    def start_standoff(self, side: SignalSide, edge_bps: float, *, at_ms: float) -> None:
        """Let the book move to a standing offset from the oracle, with this edge."""
        half_spread_bps = self._quoter.spread_ticks / 2 / self.oracle_ticks * 1e4
        self.standing_offset_bps = -side * (edge_bps + half_spread_bps)
        self._converge(at_ms)

    def end_standoff(self, *, at_ms: float) -> None:
        """Let the book return to the oracle."""
        self.standing_offset_bps = 0.0
        self._converge(at_ms)

    def _open(self, bid_px: float, ask_px: float) -> None:
        ticks_per_px = 10.0**self.listing.px_decimals
        self._mid_ticks = (bid_px + ask_px) / 2 * ticks_per_px
        self._quoter.spread_ticks = max(1, round((ask_px - bid_px) * ticks_per_px))
        self.book = self._quoter.quote(self._mid_ticks)
        if any((self.edge_bps(side) or 0.0) > CALM_SHARE * self.listing.threshold_bps for side in SignalSide):
            self.standing_offset_bps = (self._mid_ticks / self.oracle_ticks - 1) * 1e4
        self.next_bbo_ms = self._gap_ms()

    def _dislocate(self, at_ms: float, *, book_converges: bool) -> None:
        self._awaits_oracle = not book_converges
        self._convergence = None
        if book_converges:
            self._converge(at_ms)

    def _converge(self, at_ms: float) -> None:
        self._awaits_oracle = False
        self._convergence = Convergence(self._mid_ticks, at_ms + 200, self._rng.uniform(300, 4_800))
        self.next_bbo_ms = min(self.next_bbo_ms, at_ms + self._gap_ms())

    def _next_mid(self, at_ms: float) -> float:
        fair = self.oracle_ticks * (1 + self.standing_offset_bps / 1e4)
        noise = self._noise(BOOK_NOISE_BPS)
        if self._awaits_oracle:
            return self._mid_ticks + noise / 5
        if self._convergence is None:
            return self._calm_mid(self._mid_ticks + 0.3 * (fair - self._mid_ticks) + noise)
        convergence = self._convergence
        progress = (at_ms - convergence.since_ms) / convergence.duration_ms
        if progress >= 1:
            self._convergence = None
            return fair
        return convergence.from_ticks + (fair - convergence.from_ticks) * max(0.0, progress)

    def _calm_mid(self, ticks: float) -> float:
        if self.standing_offset_bps:
            return ticks
        room = self._calm_share() * self.oracle_ticks + self._quoter.spread_ticks / 2
        return min(max(ticks, self.oracle_ticks - room), self.oracle_ticks + room)

    def _calm_oracle(self, ticks: float) -> float:
        """The nearest oracle price at which the current book is no signal."""
        if self.standing_offset_bps:
            return ticks
        highest = math.inf if self.book.ask is None else self.book.ask.ticks / (1 - self._calm_share())
        lowest = 0.0 if self.book.bid is None else self.book.bid.ticks / (1 + self._calm_share())
        return min(max(ticks, lowest), highest)

    def _calm_share(self) -> float:
        return CALM_SHARE * self.listing.threshold_bps / 1e4

    def _noise(self, bps: float) -> float:
        return self._rng.gauss(0.0, bps) * self.oracle_ticks / 1e4

    def _set_oracle(self, ticks: float) -> bool:
        before, self.oracle_ticks = self.oracle_ticks, max(1, round(ticks))
        return self.oracle_ticks != before

    def _gap_ms(self) -> float:
        mean_ms = 1_000 / self.listing.bbo_per_s
        if self._convergence is not None:
            mean_ms = min(mean_ms, CONVERGING_GAP_MS)
        return self._rng.expovariate(1 / mean_ms)
