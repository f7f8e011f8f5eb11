"""The touch of one market, in whole ticks, so that a bid always stands below its ask."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class SignalSide(IntEnum):
    """What a signal on it would do; the value is the sign of the edge."""

    BUY = 1
    SELL = -1


class Touch(NamedTuple):
    ticks: int
    sz: str
    n: int


class Book(NamedTuple):
    """Either side may be missing."""

    bid: Touch | None
    ask: Touch | None

    def edge_bps(self, side: SignalSide, *, oracle_ticks: int) -> float | None:
        """How far the touch is priced through the oracle; None unless both sides are quoted."""
        if self.bid is None or self.ask is None:
            return None
        touch = self.ask if side is SignalSide.BUY else self.bid
        return side * (oracle_ticks - touch.ticks) / oracle_ticks * 1e4
