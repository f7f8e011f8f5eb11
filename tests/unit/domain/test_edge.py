"""The signs and formulas of the edge."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hip3_tasks.domain.edge import (
    Side,
    edge_bps,
    had,
    markout_bps,
    mid_move_bps,
    mid_px,
    moved_bps,
    reaches,
    round_trip_bps,
    taken_bps,
    trip_move_bps,
)

prices = st.floats(1e-4, 1e7)
sides = st.sampled_from(Side)


def test_a_buyer_gains_when_the_ask_is_under_the_oracle() -> None:
    assert edge_bps(Side.BUY, touch_px=249.5, oracle_px=250.0) == pytest.approx(20.0)
    assert edge_bps(Side.BUY, touch_px=250.5, oracle_px=250.0) == pytest.approx(-20.0)


def test_a_seller_gains_when_the_bid_is_over_the_oracle() -> None:
    assert edge_bps(Side.SELL, touch_px=250.5, oracle_px=250.0) == pytest.approx(20.0)
    assert edge_bps(Side.SELL, touch_px=249.5, oracle_px=250.0) == pytest.approx(-20.0)


@given(touch_px=prices, oracle_px=prices)
def test_a_buy_edge_is_the_opposite_of_a_sell_edge_on_the_same_prices(touch_px: float, oracle_px: float) -> None:
    bought = edge_bps(Side.BUY, touch_px=touch_px, oracle_px=oracle_px)
    assert bought == -edge_bps(Side.SELL, touch_px=touch_px, oracle_px=oracle_px)


@given(px=prices)
def test_an_unmoved_market_moves_zero(px: float) -> None:
    assert moved_bps(from_px=px, to_px=px) == 0.0


@given(side=sides, px=prices)
def test_a_touch_at_the_oracle_has_no_edge(side: Side, px: float) -> None:
    assert edge_bps(side, touch_px=px, oracle_px=px) == 0.0


@given(from_px=prices, to_px=prices)
def test_a_move_and_the_move_back_cancel(from_px: float, to_px: float) -> None:
    there, back = moved_bps(from_px=from_px, to_px=to_px), moved_bps(from_px=to_px, to_px=from_px)
    assert (1 + there / 1e4) * (1 + back / 1e4) == pytest.approx(1.0, abs=1e-4)


@given(side=sides, oracle_px=prices, edge=st.floats(-500, 500), threshold=st.floats(0, 500))
def test_a_threshold_is_reached_exactly_when_the_edge_is_at_least_as_large(
    side: Side, oracle_px: float, edge: float, threshold: float
) -> None:
    touch_px = oracle_px * (1 - side.sign * edge / 1e4)
    is_reached = reaches(side, touch_px=touch_px, oracle_px=oracle_px, threshold_bps=threshold)
    if abs(edge - threshold) > 1e-6:
        assert is_reached == (edge > threshold)


@pytest.mark.parametrize("side", Side)
def test_a_touch_exactly_at_the_limit_reaches_the_threshold(side: Side) -> None:
    limit_px = 1000.0 * (1 - side.sign * 15.0 / 1e4)
    assert reaches(side, touch_px=limit_px, oracle_px=1000.0, threshold_bps=15.0)


@given(mid_t0_px=prices, mid_t_px=prices)
def test_a_markout_is_positive_when_the_mid_moved_the_takers_way(mid_t0_px: float, mid_t_px: float) -> None:
    bought = markout_bps(Side.BUY, mid_t0_px=mid_t0_px, mid_t_px=mid_t_px)
    sold = markout_bps(Side.SELL, mid_t0_px=mid_t0_px, mid_t_px=mid_t_px)
    assert bought is not None
    assert sold == -bought
    assert (bought > 0) == (mid_t_px > mid_t0_px)


def test_there_is_no_mid_and_no_markout_where_a_side_is_empty() -> None:
    assert mid_px(None, 1.0) is None
    assert mid_px(1.0, None) is None
    assert markout_bps(Side.BUY, mid_t0_px=None, mid_t_px=1.0) is None
    assert markout_bps(Side.BUY, mid_t0_px=1.0, mid_t_px=None) is None
    assert mid_px(1.0, 2.0) == 1.5


# What a taker pays. The book at T0 is 99.80/100.20 around an oracle of 100.30, and 99.86/100.26 five seconds later.


def test_a_round_trip_on_a_wide_book_loses_by_hand() -> None:
    result_bps = round_trip_bps(Side.BUY, entry_px=100.20, exit_px=99.86, fee_bps=0.9, slippage_bps=1.0)
    assert result_bps == pytest.approx((99.86 - 100.20) / 100.20 * 1e4 - 2 * 0.9 - 1)
    assert result_bps == pytest.approx(-36.7, abs=0.05)


def test_a_taker_marked_at_the_mid_has_paid_half_the_spread_and_one_fee() -> None:
    result_bps = taken_bps(Side.BUY, entry_px=100.20, mid_px=100.06, fee_bps=0.9)
    assert result_bps == pytest.approx(-0.14 / 100.20 * 1e4 - 0.9)


@given(side=sides, entry_px=prices, exit_px=prices)
def test_a_seller_earns_where_a_buyer_loses(side: Side, entry_px: float, exit_px: float) -> None:
    result_bps = round_trip_bps(side, entry_px=entry_px, exit_px=exit_px, fee_bps=0.0, slippage_bps=0.0)
    assert (result_bps > 0) == (side.sign * exit_px > side.sign * entry_px)


near = st.floats(90.0, 110.0)


@given(side=sides, t0_px=near, entry_px=near, exit_px=near)
def test_moves_from_the_touch_of_t0_give_the_results_that_prices_give(
    side: Side, t0_px: float, entry_px: float, exit_px: float
) -> None:
    entry_bps, exit_bps = (side.sign * moved_bps(from_px=t0_px, to_px=px) for px in (entry_px, exit_px))
    by_prices = round_trip_bps(side, entry_px=entry_px, exit_px=exit_px, fee_bps=0.0, slippage_bps=0.0)
    by_moves = trip_move_bps(side.sign, entry_move_bps=entry_bps, exit_move_bps=exit_bps)
    assert by_moves == pytest.approx(by_prices, abs=1e-7)
    assert had(entry_bps) == (side.sign * entry_px <= side.sign * t0_px)
    at_mid = taken_bps(side, entry_px=t0_px, mid_px=(entry_px + exit_px) / 2, fee_bps=0.0)
    assert mid_move_bps(touch_move_bps=entry_bps, exit_move_bps=exit_bps) == pytest.approx(at_mid, abs=1e-7)
