"""The laws of one simulated market hold after any sequence of events."""

from __future__ import annotations

from random import Random

from hypothesis import assume, given
from hypothesis import strategies as st

from simulator.book import SignalSide
from simulator.listing import MarketListing, px_decimals
from simulator.market import SimulatedMarket
from simulator.rule import Rule

prices = st.floats(0.5, 90_000)
sides = st.sampled_from(SignalSide)
edges = st.floats(7.0, 50.0)


def market_at(oracle_px: float, *, spread_bps: float = 2.0, seed: int = 0) -> SimulatedMarket:
    decimals = px_decimals(oracle_px, sz_decimals=1)
    listing = MarketListing(
        coin="xyz:TSLA",
        oracle_px=oracle_px,
        mark_px=oracle_px,
        bid_px=oracle_px * (1 - spread_bps / 2e4),
        ask_px=oracle_px * (1 + spread_bps / 2e4),
        px_decimals=decimals,
        sz_decimals=1,
        bbo_per_s=2.5,
    )
    return SimulatedMarket(listing, rng=Random(seed))


@given(oracle_px=prices, side=sides, edge_bps=edges, seed=st.integers())
def test_an_oracle_jump_leaves_at_least_the_edge_asked_for(oracle_px, side, edge_bps, seed) -> None:
    market = market_at(oracle_px, seed=seed)
    market.jump_oracle(side, edge_bps, at_ms=0)
    assert edge_bps <= market.edge_bps(side) < edge_bps + 3


@given(oracle_px=prices, side=sides, edge_bps=edges, seed=st.integers())
def test_a_book_jump_shows_at_least_the_edge_asked_for_at_the_next_quote(oracle_px, side, edge_bps, seed) -> None:
    market = market_at(oracle_px, seed=seed)
    market.jump_book(side, edge_bps, at_ms=0)
    assert market.next_bbo_ms == 0
    market.move_book(at_ms=0)
    assume(None not in market.book)
    assert market.edge_bps(side) >= edge_bps - 0.5


@given(oracle_px=prices, seed=st.integers(), steps=st.lists(st.booleans(), max_size=60))
def test_a_market_left_alone_never_signals_and_never_crosses(oracle_px, seed, steps) -> None:
    market = market_at(oracle_px, seed=seed)
    rule = Rule(market)
    for step, moves_book in enumerate(steps):
        if moves_book:
            market.move_book(at_ms=400 * step)
        else:
            market.drift_oracle(change_chance=0.6)
        bid, ask = market.book
        assert bid is None or ask is None or 0 < bid.ticks < ask.ticks
        assert rule.count(400 * step) == 0


@given(side=sides, seed=st.integers())
def test_a_converging_book_reaches_the_new_oracle_within_five_seconds(side, seed) -> None:
    market = market_at(433.94, seed=seed)
    market.start_standoff(side, 15.0, at_ms=0)
    for at_ms in range(0, 6_001, 200):
        market.move_book(at_ms)
    assume(None not in market.book)
    assert 10.0 < market.edge_bps(side) < 20.0
    market.end_standoff(at_ms=10_000)
    for at_ms in range(10_000, 16_001, 200):
        market.move_book(at_ms)
    assume(None not in market.book)
    assert market.edge_bps(side) < 5.0


def test_a_side_fires_once_per_change_of_the_oracle_and_not_within_the_cooldown() -> None:
    market = market_at(433.94)
    rule = Rule(market)
    market.jump_oracle(SignalSide.BUY, 12.0, at_ms=0)
    assert [rule.count(0), rule.count(10), rule.count(5_000)] == [1, 0, 0]
    market.jump_oracle(SignalSide.BUY, 14.0, at_ms=5_000)
    assert rule.count(5_000) == 1
    market.jump_oracle(SignalSide.BUY, 16.0, at_ms=5_300)
    assert [rule.count(5_300), rule.count(5_501)] == [0, 1]


def test_a_price_far_from_its_start_returns() -> None:
    market = market_at(100.0)
    assert market.return_side() is None
    market.jump_oracle(SignalSide.BUY, 500.0, at_ms=0)
    assert market.return_side() is SignalSide.SELL
