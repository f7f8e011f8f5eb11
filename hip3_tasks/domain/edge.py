"""The sign convention and the four formulas of this project, written once and nowhere else.

Everything is in basis points (1 bps = 1e-4). A positive edge means that the touch is priced through the
oracle in the taker's favour: a buyer pays less than the oracle, a seller gets more.
"""

from enum import StrEnum

BPS = 1e4


class Side(StrEnum):
    """The side a taker would trade: a buy takes the ask, a sell hits the bid."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1


def edge_bps(side: Side, *, touch_px: float, oracle_px: float) -> float:
    """How far the touch is priced through the oracle; negative when it is not."""
    return side.sign * (oracle_px - touch_px) / oracle_px * BPS


def reaches(side: Side, *, touch_px: float, oracle_px: float, threshold_bps: float) -> bool:
    """Whether a buy has ask <= oracle * (1 - t), a sell bid >= oracle * (1 + t)."""
    limit_px = oracle_px * (1 - side.sign * threshold_bps / BPS)
    return touch_px <= limit_px if side is Side.BUY else touch_px >= limit_px


def moved_bps(*, from_px: float, to_px: float) -> float:
    """The unadjusted move from one price to another; not signed by side."""
    return (to_px - from_px) / from_px * BPS


def mid_px(bid_px: float | None, ask_px: float | None) -> float | None:
    """The middle of the book, or None when a side is empty."""
    return None if bid_px is None or ask_px is None else (bid_px + ask_px) / 2


def markout_bps(side: Side, *, mid_t0_px: float | None, mid_t_px: float | None) -> float | None:
    """The side-signed move of the mid since T0; None when either book was one-sided."""
    if mid_t0_px is None or mid_t_px is None:
        return None
    return side.sign * moved_bps(from_px=mid_t0_px, to_px=mid_t_px)
