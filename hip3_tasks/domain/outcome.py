"""Was a signal right? The outcome of its edge at a horizon, in one word."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Self

from hip3_tasks.domain.edge import Side, book_came, convergence_bps, shrank

MOVES = ("edge_change_bps", "market_moved_bps", "oracle_moved_bps")


class Outcome(StrEnum):
    """The outcome of one follow-up."""

    BOOK_CAME = "book_came"
    """The edge shrank, mostly because the book came to the oracle: the signal was right."""
    ORACLE_CAME = "oracle_came"
    """The edge shrank, mostly because the oracle came to the book: the market led."""
    WIDENED = "widened"
    UNMOVED = "unmoved"

    @classmethod
    def from_moves(
        cls, side: Side, *, edge_change_bps: float, market_moved_bps: float, oracle_moved_bps: float
    ) -> Self:
        """Classify a follow-up by the fields of its line."""
        if not shrank(edge_change_bps):
            return cls.WIDENED if edge_change_bps else cls.UNMOVED
        market_part_bps, oracle_part_bps = convergence_bps(
            side.sign, market_moved_bps=market_moved_bps, oracle_moved_bps=oracle_moved_bps
        )
        is_right = book_came(edge_change_bps, market_part_bps=market_part_bps, oracle_part_bps=oracle_part_bps)
        return cls.BOOK_CAME if is_right else cls.ORACLE_CAME

    @classmethod
    def from_line(cls, followup: Mapping[str, Any]) -> Self:
        """Classify a decoded line. Raises ValueError, TypeError or KeyError if it is no follow-up."""
        return cls.from_moves(Side(followup["side"]), **{name: float(followup[name]) for name in MOVES})
