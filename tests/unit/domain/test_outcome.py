"""Was a signal right, by who moved."""

import pytest

from hip3_tasks.domain.edge import Side
from hip3_tasks.domain.outcome import Verdict, verdict


@pytest.mark.parametrize(
    ("side", "change", "market", "oracle", "expected"),
    [
        (Side.BUY, -8.0, 6.0, -2.0, Verdict.BOOK_CAME),  # the ask rose towards the oracle
        (Side.BUY, -8.0, 2.0, -6.0, Verdict.ORACLE_CAME),  # the oracle fell towards the ask
        (Side.SELL, -8.0, -6.0, 2.0, Verdict.BOOK_CAME),
        (Side.SELL, -8.0, -2.0, 6.0, Verdict.ORACLE_CAME),
        (Side.BUY, -8.0, 4.0, -4.0, Verdict.BOOK_CAME),  # half each: the signal is given the credit
        (Side.BUY, -1.0, -5.0, -6.0, Verdict.ORACLE_CAME),
        (Side.BUY, 3.0, -3.0, 0.0, Verdict.WIDENED),
        (Side.SELL, 0.0, 0.0, 0.0, Verdict.UNMOVED),
    ],
)
def test_an_edge_shrinks_by_whoever_came_farther(
    side: Side, change: float, market: float, oracle: float, expected: Verdict
) -> None:
    assert verdict(side, edge_change_bps=change, market_moved_bps=market, oracle_moved_bps=oracle) is expected
