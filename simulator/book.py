"""Best bid and ask of one market, in whole ticks, so that the bid is always below the ask."""

from enum import IntEnum
from typing import NamedTuple


class SignalSide(IntEnum):
    """Side that a signal trades; the value is the sign of its edge."""

    BUY = 1
    SELL = -1


class Touch(NamedTuple):
    ticks: int
    sz: str
    n: int


class Book(NamedTuple):
    """The two touches of a market; a side without quotes is None."""

    bid: Touch | None
    ask: Touch | None

    def edge_bps(self, side: SignalSide, *, oracle_ticks: int) -> float | None:
        """Edge of the touch against the oracle; None unless both sides are quoted."""
        if self.bid is None or self.ask is None:
            return None
        touch = self.ask if side is SignalSide.BUY else self.bid
        return side * (oracle_ticks - touch.ticks) / oracle_ticks * 1e4
