"""The signal rule as a detector would apply it, by which the model counts what it sets off."""

from __future__ import annotations

import math

from simulator.book import SignalSide
from simulator.market import SimulatedMarket

COOLDOWN_MS = 500.0


class Rule:
    """A side of the market fires at the threshold: once per oracle change, not twice within the cooldown."""

    def __init__(self, market: SimulatedMarket) -> None:
        self._market = market
        self._oracle_ticks = market.oracle_ticks
        self._fired: set[SignalSide] = set()
        self._fired_at_ms = dict.fromkeys(SignalSide, -math.inf)

    def count(self, at_ms: float) -> int:
        """Signals of the market's state at this instant."""
        if self._market.oracle_ticks != self._oracle_ticks:
            self._oracle_ticks = self._market.oracle_ticks
            self._fired.clear()
        return sum(self._fires(side, at_ms) for side in SignalSide)

    def has_fired(self, side: SignalSide) -> bool:
        """Whether the side has to wait for the oracle's next change."""
        return side in self._fired

    def _fires(self, side: SignalSide, at_ms: float) -> bool:
        edge_bps = self._market.edge_bps(side)
        if edge_bps is None or edge_bps < self._market.listing.threshold_bps or side in self._fired:
            return False
        if at_ms - self._fired_at_ms[side] < COOLDOWN_MS:
            return False
        self._fired.add(side)
        self._fired_at_ms[side] = at_ms
        return True
