"""Was a signal right? What became of its edge by a horizon, in one word."""

from enum import StrEnum

from hip3_tasks.domain.edge import Side


class Verdict(StrEnum):
    """How a follow-up found the edge."""

    BOOK_CAME = "book_came"
    """It shrank, mostly because the book came to the oracle: the signal was right."""
    ORACLE_CAME = "oracle_came"
    """It shrank, mostly because the oracle came to the book: the market led."""
    WIDENED = "widened"
    UNMOVED = "unmoved"


def verdict(side: Side, *, edge_change_bps: float, market_moved_bps: float, oracle_moved_bps: float) -> Verdict:
    """By the two moves, taken with the side's sign: each part is positive when it shrinks the edge."""
    if edge_change_bps >= 0:
        return Verdict.WIDENED if edge_change_bps else Verdict.UNMOVED
    market_part_bps, oracle_part_bps = side.sign * market_moved_bps, -side.sign * oracle_moved_bps
    return Verdict.BOOK_CAME if market_part_bps >= oracle_part_bps else Verdict.ORACLE_CAME
