"""The planted effects of markets, by kind.

- `real`: the touch of T0 is there after 1 s as often as not; then the book moves to the oracle, by the edge less a
  constant. Round trips pay above a break-even edge.
- `structural`: a standing offset, always on one side. The edge stays about the same; the mid moves either way alike.
- `led`: the oracle moves to the book: the edge shrinks, and the mid does not move in the taker's favour.
- `costly`: the mid moves in the taker's favour by more than a fee, but by 5 bps too little for a round trip, whatever
  the edge: the fee is high, or the book wide.
- `fleeting`: a round trip from T0 would pay; after 1 s the book has moved, is seldom had, and then moves back.
- `even`: a round trip pays 0, whatever the edge; else like noise.
- `noise`: the mid moves either way alike, far, and together with the other markets.

At T+1 s the oracle has not ticked again, so only the book changes an edge. Whether the touch of T0 is had then depends
neither on the edge nor on the book's moves after it: so the expected round trip of an order that is had is known.
"""

from dataclasses import dataclass
from enum import StrEnum

GONE_PATH = 0.4, 0.8, 1.0
"""Share of the edges gone at T+5 s that are gone at each offset."""
MOVED_PATH = 0.0, 0.6, 1.0
"""Share of the move from T+1 s to T+5 s that the book has made at each offset."""


class MarketKind(StrEnum):
    REAL = "real"
    STRUCTURAL = "structural"
    LED = "led"
    COSTLY = "costly"
    FLEETING = "fleeting"
    EVEN = "even"
    NOISE = "noise"


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """The planted behaviour that the markets of a kind share."""

    gone: float
    """Share of events whose edge is gone at T+5 s."""
    shock: float
    """Scale of the random moves after T+1 s, over the raw edge."""
    first_shock: float
    """Scale of the touch's move until T+1 s, over the raw edge."""
    had_share: float = 0.5
    """Share of orders that are had at T+1 s."""
    slope: float = 0.0
    """Slope of the book's expected move from T+1 s to T+5 s over the raw edge."""
    trip_bps: float | None = None
    """The expected round trip when had, whatever the edge; None if it differs between markets."""


EFFECTS = {
    MarketKind.REAL: Effect(gone=0.9, shock=0.6, first_shock=0.28, slope=1.0),
    MarketKind.STRUCTURAL: Effect(gone=0.0, shock=0.5, first_shock=0.23),
    MarketKind.LED: Effect(gone=0.8, shock=0.4, first_shock=0.18),
    MarketKind.COSTLY: Effect(gone=0.9, shock=0.6, first_shock=0.28, trip_bps=-5.0),
    MarketKind.FLEETING: Effect(gone=0.9, shock=0.6, first_shock=0.85, had_share=0.15, slope=-0.15),
    MarketKind.EVEN: Effect(gone=0.3, shock=1.0, first_shock=0.46, trip_bps=0.0),
    MarketKind.NOISE: Effect(gone=0.3, shock=1.0, first_shock=0.46),
}
