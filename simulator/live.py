"""A live market with its context, its signal rule and the budget of its dex."""

from random import Random

from simulator.book import SignalSide, Touch
from simulator.budget import SignalBudget
from simulator.context import Context
from simulator.listing import MarketListing
from simulator.market import SimulatedMarket
from simulator.numerals import numeral
from simulator.pushes import BboPush, CtxPush
from simulator.rule import Rule
from simulator.wire import BookLevel


class LiveMarket:
    """Turns the market's state into pushes; each signal that a push causes is subtracted from the budget."""

    def __init__(self, listing: MarketListing, *, budget: SignalBudget, rng: Random) -> None:
        self.listing = listing
        self.market = SimulatedMarket(listing, rng=rng)
        self.standoff_until_ms = 0.0
        self._budget = budget
        self._context = Context(listing, rng=rng)
        self._rule = Rule(self.market)

    def bbo_push(self, at_ms: int, *, age_ms: int) -> BboPush:
        self._budget.spend(self._rule.count(at_ms))
        bid, ask = map(self._level, self.market.book)
        return BboPush(at_ms=at_ms, coin=self.listing.coin, bid=bid, ask=ask, age_ms=age_ms)

    def ctx_push(self, at_ms: int) -> CtxPush:
        self._budget.spend(self._rule.count(at_ms))
        ctx = self._context.ctx(oracle_ticks=self.market.oracle_ticks, book=self.market.book)
        return CtxPush(at_ms=at_ms, coin=self.listing.coin, ctx=ctx, trade=self._context.trade)

    def can_jump(self) -> bool:
        """Whether the market may be dislocated: it is quoted on both sides and has no standing offset."""
        return not self.market.standing_offset_bps and None not in self.market.book

    def can_fire(self, side: SignalSide) -> bool:
        """Whether an edge on that side would be a new signal."""
        return self.can_jump() and not self._rule.has_fired(side)

    def _level(self, touch: Touch | None) -> BookLevel | None:
        if touch is None:
            return None
        decimals = self.listing.px_decimals
        return BookLevel(numeral(touch.ticks / 10.0**decimals, decimals), touch.sz, touch.n)
