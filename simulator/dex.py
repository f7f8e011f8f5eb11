"""The markets of one dex: one oracle moves them together, and the dex chooses which are dislocated, and when."""

from collections.abc import Iterator
from random import Random

from simulator.book import SignalSide
from simulator.budget import SignalBudget
from simulator.listing import MarketListing
from simulator.live import LiveMarket
from simulator.pushes import CtxPush

UPDATE_GAP_MS = 3_350.0
UPDATE_GAP_SPREAD_MS = 350.0
MIN_UPDATE_GAP_MS = 2_500.0
CHANGE_CHANCE = 0.6
# News moves most markets of a dex the same way.
SAME_WAY_CHANCE = 0.8
MAX_BURST_SHARE = 0.85
MEAN_EXCESS_BPS = 3.5
MAX_EXCESS_BPS = 40.0
STANDING_SHARE = 0.06
STANDING_EDGE_BPS = (8.0, 20.0)
STANDING_MS = (120_000.0, 480_000.0)


class Dex:
    """The live markets of a dex; one without live markets makes no events after its opening."""

    def __init__(self, listings: list[MarketListing], *, rate_per_s: float, rng: Random) -> None:
        self._rng = rng
        self._budget = SignalBudget(rate_per_s=rate_per_s, rng=rng)
        self.markets = [LiveMarket(listing, budget=self._budget, rng=rng) for listing in listings]
        self._standing = [live for live in self.markets if live.market.standing_offset_bps]
        for live in self._standing:
            live.standoff_until_ms = rng.uniform(*STANDING_MS)

    def gap_to_update_ms(self) -> float:
        return max(MIN_UPDATE_GAP_MS, self._rng.gauss(UPDATE_GAP_MS, UPDATE_GAP_SPREAD_MS))

    def gap_to_book_jump_ms(self) -> float:
        return self._budget.gap_between_updates_ms()

    def update_oracle(self, at_ms: int) -> Iterator[CtxPush]:
        """Make one oracle update: a few oracles jump away from their books, many drift, the rest do not move."""
        self._change_standing(at_ms)
        can_jump = [live for live in self.markets if live.can_jump()]
        count = self._budget.for_oracle_update(at_ms, limit=int(MAX_BURST_SHARE * len(can_jump)))
        jumping = set(self._rng.sample(can_jump, count))
        news_side = self._rng.choice((SignalSide.BUY, SignalSide.SELL))
        for live in self.markets:
            if live in jumping:
                live.market.jump_oracle(self._side(live, news_side), self._edge_bps(live), at_ms=at_ms)
            elif not live.market.drift_oracle(change_chance=self._change_chance(live)):
                continue
            yield live.ctx_push(at_ms)

    def jump_a_book(self, at_ms: int) -> None:
        """Move one book away from its oracle between two updates; its next requote shows the move."""
        side = self._rng.choice((SignalSide.BUY, SignalSide.SELL))
        ready = [live for live in self.markets if live.can_fire(side)]
        if ready:
            live = self._rng.choice(ready)
            live.market.jump_book(side, self._edge_bps(live), at_ms=at_ms)

    def _edge_bps(self, live: LiveMarket) -> float:
        excess_bps = min(self._rng.expovariate(1 / MEAN_EXCESS_BPS), MAX_EXCESS_BPS)
        return live.listing.threshold_bps + 0.2 + excess_bps

    def _side(self, live: LiveMarket, news_side: SignalSide) -> SignalSide:
        if side := live.market.return_side():
            return side
        return news_side if self._rng.random() < SAME_WAY_CHANCE else SignalSide(-news_side)

    def _change_chance(self, live: LiveMarket) -> float:
        if not live.market.standing_offset_bps:
            return CHANGE_CHANCE
        return self._budget.standing_change_chance(standing=len(self._standing), update_s=UPDATE_GAP_MS / 1e3)

    def _change_standing(self, at_ms: int) -> None:
        """End the standing offsets that have lasted long enough, and start others."""
        for live in self._standing:
            if at_ms >= live.standoff_until_ms:
                live.market.end_standoff(at_ms=at_ms)
        self._standing = [live for live in self._standing if live.market.standing_offset_bps]
        wanted = round(STANDING_SHARE * len(self.markets))
        candidates = [live for live in self.markets if live.can_jump()]
        for live in self._rng.sample(candidates, max(0, min(wanted - len(self._standing), len(candidates)))):
            side = self._rng.choice((SignalSide.BUY, SignalSide.SELL))
            live.market.start_standoff(side, self._rng.uniform(*STANDING_EDGE_BPS), at_ms=at_ms)
            live.standoff_until_ms = at_ms + self._rng.uniform(*STANDING_MS)
            self._standing.append(live)
