"""The detector's signal rule, with which the model counts the signals that it causes."""

import math

from simulator.book import SignalSide
from simulator.market import SimulatedMarket

COOLDOWN_MS = 500.0


class Rule:
    """A side fires at the threshold: once per oracle change, and not twice within the cooldown."""

    def __init__(self, market: SimulatedMarket) -> None:
        self._market = market
        self._oracle_ticks = market.oracle_ticks
        self._fired: set[SignalSide] = set()
        self._fired_at_ms = dict.fromkeys(SignalSide, -math.inf)

    def count(self, at_ms: float) -> int:
        """Number of new signals that the market's state at this instant gives."""
        if self._market.oracle_ticks != self._oracle_ticks:
            self._oracle_ticks = self._market.oracle_ticks
            self._fired.clear()
        return sum(self._fires(side, at_ms) for side in SignalSide)

    def has_fired(self, side: SignalSide) -> bool:
        """Whether the side has fired since the last oracle change; it then waits for the next one."""
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
