"""The outcome of a signal follows from the two moves, for a record and for columns."""

from math import nextafter
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hip3_tasks.domain.edge import Side, book_came, change_bps, convergence_bps, shrank
from hip3_tasks.domain.outcome import Outcome


@pytest.mark.parametrize(
    ("side", "change", "market", "oracle", "expected"),
    [
        (Side.BUY, -8.0, 6.0, -2.0, Outcome.BOOK_CAME),  # the ask rose towards the oracle
        (Side.BUY, -8.0, 2.0, -6.0, Outcome.ORACLE_CAME),  # the oracle fell towards the ask
        (Side.SELL, -8.0, -6.0, 2.0, Outcome.BOOK_CAME),
        (Side.SELL, -8.0, -2.0, 6.0, Outcome.ORACLE_CAME),
        (Side.BUY, -8.0, 4.0, -4.0, Outcome.BOOK_CAME),  # half each: the signal is given the credit
        (Side.BUY, -1.0, -5.0, -6.0, Outcome.ORACLE_CAME),
        (Side.BUY, 3.0, -3.0, 0.0, Outcome.WIDENED),
        (Side.SELL, 0.0, 0.0, 0.0, Outcome.UNMOVED),
    ],
)
def test_the_outcome_names_the_side_that_came_farther(
    side: Side, change: float, market: float, oracle: float, expected: Outcome
) -> None:
    outcome = Outcome.from_moves(side, edge_change_bps=change, market_moved_bps=market, oracle_moved_bps=oracle)
    assert outcome is expected


bps = st.floats(-1e9, 1e9)
near = st.sampled_from([0.0, -0.0, 5e-324, 1.0, nextafter(1.0, 2.0), -1.0, 12.5]) | bps
followups = st.tuples(st.sampled_from(Side), near, near, near, near)


@given(st.lists(followups, min_size=1))
def test_floats_arrays_and_expressions_give_the_same_outcome(
    rows: list[tuple[Side, float, float, float, float]],
) -> None:
    frame = pl.DataFrame(rows, schema=["side", "t0", "t", "market", "oracle"], orient="row")
    sign = pl.Series([side.sign for side, *_ in rows])
    columns = tuple(frame[name].to_numpy() for name in ("t0", "t", "market", "oracle"))
    expressions = tuple(pl.col(name) for name in ("t0", "t", "market", "oracle"))
    scalar = [_outcomes(side.sign, *values) for side, *values in rows]
    assert list(zip(*_outcomes(sign.to_numpy(), *columns), strict=True)) == scalar
    selected = [expr.alias(str(index)) for index, expr in enumerate(_outcomes(pl.lit(sign), *expressions))]
    assert frame.select(selected).rows() == scalar
    for (side, t0, t, market, oracle), (change, has_shrunk, came, *_) in zip(rows, scalar, strict=True):
        assert (has_shrunk, change == 0) == (t < t0, t == t0)
        outcome = Outcome.from_moves(side, edge_change_bps=change, market_moved_bps=market, oracle_moved_bps=oracle)
        assert (outcome in (Outcome.BOOK_CAME, Outcome.ORACLE_CAME), outcome is Outcome.BOOK_CAME) == (has_shrunk, came)
        assert (outcome is Outcome.UNMOVED) == (change == 0)


def _outcomes(sign: Any, t0: Any, t: Any, market: Any, oracle: Any) -> tuple[Any, ...]:
    change = change_bps(t0_edge_bps=t0, edge_bps=t)
    market_part, oracle_part = convergence_bps(sign, market_moved_bps=market, oracle_moved_bps=oracle)
    came = book_came(change, market_part_bps=market_part, oracle_part_bps=oracle_part)
    return change, shrank(change), came, market_part, oracle_part
