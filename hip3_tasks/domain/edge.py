"""The sign convention and the formulas that depend on it. No other module of hip3_tasks signs a price, edge or move.

Everything is in basis points (1 bps = 1e-4). A positive edge means that the touch is priced through the oracle
in the taker's favour: a buyer pays less than the oracle, a seller gets more.
"""

from enum import StrEnum
from typing import Any

BPS = 1e4
Bps = Any
"""A float, a numpy array or a polars expression: one formula serves a record and a column of records."""


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


def reaches(side: Side, *, touch_px: Any, oracle_px: Any, threshold_bps: Bps) -> Any:
    """Whether a buy has ask <= oracle * (1 - t), a sell bid >= oracle * (1 + t)."""
    share = threshold_bps / BPS
    return touch_px <= oracle_px * (1 - share) if side is Side.BUY else touch_px >= oracle_px * (1 + share)


def moved_bps(*, from_px: Any, to_px: Any) -> Any:
    """The unadjusted move from one price to another; not signed by side."""
    return (to_px - from_px) / from_px * BPS


def mid_px(bid_px: float | None, ask_px: float | None) -> float | None:
    """The middle of the book, or None when a side is empty."""
    return None if bid_px is None or ask_px is None else (bid_px + ask_px) / 2


def spread_bps(bid_px: Any, ask_px: Any) -> Any:
    """The spread of a two-sided book, as a share of its mid."""
    return (ask_px - bid_px) / ((bid_px + ask_px) / 2) * BPS


def markout_bps(side: Side, *, mid_t0_px: float | None, mid_t_px: float | None) -> float | None:
    """The side-signed move of the mid since T0; None when either book was one-sided."""
    if mid_t0_px is None or mid_t_px is None:
        return None
    moved: float = moved_bps(from_px=mid_t0_px, to_px=mid_t_px)
    return side.sign * moved


def taken_bps(side: Side, *, entry_px: float, mid_px: float, fee_bps: float) -> float:
    """The result of a taker who entered at a touch and marks his position at the mid: one fee, no slippage."""
    moved: float = moved_bps(from_px=entry_px, to_px=mid_px)
    return side.sign * moved - fee_bps


def round_trip_bps(side: Side, *, entry_px: float, exit_px: float, fee_bps: float, slippage_bps: float) -> float:
    """The result of a taker who entered at a touch and left at the other one: two fees, slippage once."""
    moved: float = moved_bps(from_px=entry_px, to_px=exit_px)
    cost_bps: float = round_trip_cost_bps(fee_bps, slippage_bps)
    return side.sign * moved - cost_bps


def round_trip_cost_bps(fee_bps: Bps, slippage_bps: Bps) -> Bps:
    return 2 * fee_bps + slippage_bps


def mid_move_bps(*, touch_move_bps: Bps, exit_move_bps: Bps) -> Bps:
    """The move from a touch to a later mid, given those to the later touch and to the other side of its book."""
    return (touch_move_bps + exit_move_bps) / 2


def had(touch_move_bps: Bps) -> Any:
    """Whether an order at the touch of T0 is filled later, given the touch's move since T0, signed by side: the touch
    stands there or better."""
    return touch_move_bps <= 0


def trip_move_bps(sign: Bps, *, entry_move_bps: Bps, exit_move_bps: Bps) -> Bps:
    """The move from an entry to an exit, signed by side, given the moves from the touch of T0 to both, signed alike."""
    return (exit_move_bps - entry_move_bps) / (1 + sign * entry_move_bps / BPS)


def change_bps(*, t0_edge_bps: Bps, edge_bps: Bps) -> Bps:
    """The change of an edge since T0; 0 only where both are equal, since a difference of floats never rounds to 0."""
    return edge_bps - t0_edge_bps


def convergence_bps(sign: Bps, *, market_moved_bps: Bps, oracle_moved_bps: Bps) -> tuple[Bps, Bps]:
    """How far the touch came to the oracle, and the oracle to the touch; to first order their sum is the shrinking."""
    return sign * market_moved_bps, -sign * oracle_moved_bps


def shrank(edge_change_bps: Bps) -> Any:
    """Whether the edge is smaller than at T0: the published metric `valid`."""
    return edge_change_bps < 0


def book_came(edge_change_bps: Bps, *, market_part_bps: Bps, oracle_part_bps: Bps) -> Any:
    """Whether the edge shrank and the touch did at least half of it, given both parts of `convergence_bps`."""
    return shrank(edge_change_bps) & (market_part_bps >= oracle_part_bps)
