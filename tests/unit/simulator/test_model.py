"""The market model, observed only by its pushes, as a detector does."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice, pairwise, takewhile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.catalogue import QUIET, default_listings
from simulator.listing import MarketListing
from simulator.model import VenueModel
from simulator.pushes import BboPush, CtxPush, Push

WIRE_NUMBER = re.compile(r"-?\d+\.\d+")
COOLDOWN_MS = 500


def pushes_of(*, rate_per_s: float = 3.0, seed: int = 7, seconds: float) -> tuple[list[MarketListing], Iterator[Push]]:
    listings = default_listings(rate_per_s=rate_per_s, seed=seed)
    pushes = VenueModel(listings, rate_per_s=rate_per_s, seed=seed).pushes()
    return listings, takewhile(lambda push: push.at_ms <= seconds * 1000, pushes)


@cache
def two_minutes() -> tuple[list[MarketListing], list[Push]]:
    """The default market, played once for all tests that only look at it."""
    listings, pushes = pushes_of(seconds=120)
    return listings, list(pushes)


class Observer:
    """A second implementation of the signal rule, for prices as on the wire."""

    def __init__(self, listings: list[MarketListing]) -> None:
        self.signals: list[tuple[int, str, str]] = []
        self._threshold = {listing.coin: listing.threshold_bps / 1e4 for listing in listings}
        self._oracle: dict[str, float] = {}
        self._touch: dict[str, tuple[float, float] | None] = {}
        self._fired_at_ms: dict[tuple[str, str], int] = {}
        self._waits: set[tuple[str, str]] = set()

    def observe(self, push: Push) -> None:
        if isinstance(push, CtxPush):
            oracle = float(push.ctx["oraclePx"])
            if self._oracle.get(push.coin) != oracle:
                self._waits -= {(push.coin, "buy"), (push.coin, "sell")}
            self._oracle[push.coin] = oracle
        else:
            both = push.bid and push.ask
            self._touch[push.coin] = (float(push.bid.px), float(push.ask.px)) if both else None
        self._detect(push.coin, push.at_ms)

    def _detect(self, coin: str, at_ms: int) -> None:
        oracle, touch, t = self._oracle.get(coin), self._touch.get(coin), self._threshold[coin]
        if oracle is None or touch is None:
            return
        bid, ask = touch
        for side, is_through in (("buy", ask <= oracle * (1 - t)), ("sell", bid >= oracle * (1 + t))):
            key = (coin, side)
            if is_through and key not in self._waits and at_ms - self._fired_at_ms.get(key, -(10**9)) >= COOLDOWN_MS:
                self._waits.add(key)
                self._fired_at_ms[key] = at_ms
                self.signals.append((at_ms, coin, side))


def signals_in(listings: list[MarketListing], pushes: Iterable[Push]) -> list[tuple[int, str, str]]:
    observer = Observer(listings)
    for push in pushes:
        observer.observe(push)
    return observer.signals


@pytest.mark.parametrize(("rate_per_s", "seconds"), [(0.5, 120), (3, 60), (20, 20), (100, 12)])
def test_the_rate_is_the_number_of_signals_a_second_by_the_rule(rate_per_s: float, seconds: float) -> None:
    signals = signals_in(*pushes_of(rate_per_s=rate_per_s, seconds=seconds))
    assert len(signals) / seconds == pytest.approx(rate_per_s, rel=0.35)


@pytest.mark.parametrize("seed", range(5))
def test_the_first_signal_comes_within_three_seconds(seed: int) -> None:
    assert signals_in(*pushes_of(seconds=3, seed=seed))


def test_some_instants_have_dozens_of_signals_and_others_have_one() -> None:
    at_once = Counter(at_ms for at_ms, _, _ in signals_in(*two_minutes()))
    assert max(at_once.values()) >= 20
    assert sum(size <= 3 for size in at_once.values()) > 30


def test_the_same_seed_gives_the_same_pushes_and_another_seed_others() -> None:
    def first(seed: int) -> list[Push]:
        listings = default_listings(rate_per_s=3, seed=seed)
        return list(islice(VenueModel(listings, rate_per_s=3, seed=seed).pushes(), 3_000))

    assert first(7) == first(7)
    assert first(7) != first(8)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32), rate_per_s=st.floats(0.1, 60))
def test_every_push_is_a_valid_market_state_in_order_of_time(seed: int, rate_per_s: float) -> None:
    _, pushes = pushes_of(rate_per_s=rate_per_s, seed=seed, seconds=5)
    before_ms = 0
    for push in pushes:
        assert push.at_ms >= before_ms
        before_ms = push.at_ms
        _assert_valid_bbo(push) if isinstance(push, BboPush) else _assert_valid_ctx(push.ctx)


def _assert_valid_bbo(push: BboPush) -> None:
    for level in filter(None, (push.bid, push.ask)):
        assert WIRE_NUMBER.fullmatch(level.px)
        assert WIRE_NUMBER.fullmatch(level.sz)
        assert float(level.px) > 0 < float(level.sz)
        assert level.n >= 1
    if push.bid and push.ask:
        assert float(push.bid.px) < float(push.ask.px)
    assert 200 <= push.age_ms <= 300


def _assert_valid_ctx(ctx: dict[str, object]) -> None:
    always = ("funding", "openInterest", "prevDayPx", "dayNtlVlm", "oraclePx", "markPx", "dayBaseVlm")
    numbers = [ctx[key] for key in always]
    with_book = [ctx["midPx"], ctx["premium"], *(ctx["impactPxs"] or [None])]
    assert all(value is None for value in with_book) or None not in with_book
    numbers += [value for value in with_book if value is not None]
    assert all(WIRE_NUMBER.fullmatch(value) for value in numbers), ctx
    assert float(ctx["oraclePx"]) > 0 < float(ctx["markPx"])


def test_the_oracle_of_a_dex_moves_all_at_once_every_few_seconds_and_many_stay() -> None:
    listings, pushes = two_minutes()
    changed_at: defaultdict[str, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
    known: dict[str, str] = {}
    for push in pushes:
        if isinstance(push, CtxPush) and known.get(push.coin) != push.ctx["oraclePx"]:
            if push.coin in known:
                changed_at[push.coin.split(":")[0]][push.at_ms] += 1
            known[push.coin] = push.ctx["oraclePx"]
    instants = sorted(changed_at["xyz"])
    gaps_ms = _gaps(instants)
    assert min(gaps_ms) >= 2_499
    assert 3_000 <= sum(gaps_ms) / len(gaps_ms) <= 4_000
    xyz_coins = sum(listing.dex == "xyz" for listing in listings)
    assert 0.3 < sum(changed_at["xyz"].values()) / len(instants) / xyz_coins < 0.8


def test_busy_books_change_two_or_three_times_a_second_and_quiet_ones_rest_for_tens_of_seconds() -> None:
    _, pushes = two_minutes()
    at_ms = _instants(push for push in pushes if isinstance(push, BboPush))
    assert 1.5 < len(at_ms["xyz:TSLA"]) / 120 < 4.0
    assert max(max(_gaps(at_ms[coin]), default=0) for coin in QUIET) > 20_000


def test_every_context_beats_each_second() -> None:
    _, pushes = two_minutes()
    at_ms = _instants(push for push in pushes if isinstance(push, CtxPush))
    assert max(max(_gaps(at_ms[coin])) for coin in ("xyz:TSLA", "xyz:KO", "para:TECH")) <= 1_009


def _instants(pushes: Iterable[Push]) -> defaultdict[str, list[int]]:
    at_ms: defaultdict[str, list[int]] = defaultdict(list)
    for push in pushes:
        at_ms[push.coin].append(push.at_ms)
    return at_ms


def _gaps(at_ms: list[int]) -> list[int]:
    return [later - earlier for earlier, later in pairwise(at_ms)]


def test_a_delisted_coin_shows_its_frozen_oracle_once_and_nothing_more() -> None:
    listings, pushes = pushes_of(seconds=10)
    delisted = {listing.coin for listing in listings if listing.is_delisted}
    of_delisted = [push for push in pushes if push.coin in delisted]
    assert Counter(push.coin for push in of_delisted) == dict.fromkeys(delisted, 1)
    assert all(isinstance(push, CtxPush) and push.ctx["midPx"] is None for push in of_delisted)


def test_books_lose_a_side_or_both_now_and_then_and_get_it_back() -> None:
    _, pushes = two_minutes()
    shapes: Counter[tuple[bool, bool]] = Counter()
    is_whole: dict[str, bool] = {}
    returned = 0
    for push in pushes:
        if isinstance(push, BboPush):
            shape = (push.bid is not None, push.ask is not None)
            shapes[shape] += 1
            returned += shape == (True, True) and is_whole.get(push.coin) is False
            is_whole[push.coin] = shape == (True, True)
    assert set(shapes) == {(True, True), (True, False), (False, True), (False, False)}
    assert shapes[True, True] > 0.98 * shapes.total()
    assert returned > 5


def test_some_signals_are_answered_by_the_book_and_some_by_the_oracle() -> None:
    listings, pushes = two_minutes()
    mids: dict[str, list[tuple[int, float]]] = defaultdict(list)
    oracles: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for push in pushes:
        if isinstance(push, CtxPush):
            oracles[push.coin].append((push.at_ms, float(push.ctx["oraclePx"])))
            if push.ctx["midPx"] is not None:
                mids[push.coin].append((push.at_ms, float(push.ctx["midPx"])))
    signals = signals_in(listings, pushes)
    book_came, oracle_came = 0, 0
    for at_ms, coin, side in signals:
        sign = 1 if side == "buy" else -1
        book_came += sign * _moved_bps(mids[coin], at_ms) > 4
        oracle_came += -sign * _moved_bps(oracles[coin], at_ms) > 4
    assert book_came > 0.2 * len(signals)
    assert oracle_came > 0.1 * len(signals)


def _moved_bps(series: list[tuple[int, float]], at_ms: int) -> float:
    """The move of the last known values over the five seconds from that instant."""
    then = [px for known_ms, px in series if known_ms <= at_ms]
    later = [px for known_ms, px in series if known_ms <= at_ms + 5_000]
    return (later[-1] - then[-1]) / then[-1] * 1e4 if then else 0.0


def test_a_few_books_stand_off_their_oracle_for_a_minute_and_more() -> None:
    _, pushes = two_minutes()
    off: dict[str, list[bool]] = defaultdict(list)
    for push in pushes:
        if isinstance(push, CtxPush) and push.at_ms > 20_000 and push.ctx["premium"] is not None:
            off[push.coin].append(abs(float(push.ctx["premium"])) > 6e-4)
    standing = [coin for coin, seen in off.items() if sum(seen) > 0.9 * len(seen)]
    assert 2 <= len(standing) <= 8


def test_the_default_universe_has_the_corners_that_a_feed_must_survive() -> None:
    listings = default_listings(rate_per_s=3, seed=7)
    live = [listing for listing in listings if not listing.is_delisted]
    assert 55 <= len(live) <= 65
    assert all(listing.is_delisted for listing in listings if listing.dex == "gone")
    assert [listing.coin for listing in listings if listing.is_delisted and listing.dex == "xyz"] == ["xyz:BYND"]
    assert {round(listing.threshold_bps, 6) for listing in live} == {6.9, 15.0}
    assert 2 <= sum(not listing.growth_mode for listing in live) <= 5
    assert len({listing.coin for listing in listings}) == len(listings)


def test_a_higher_rate_is_carried_by_more_markets_within_the_subscription_limit() -> None:
    live = [listing for listing in default_listings(rate_per_s=100, seed=7) if not listing.is_delisted]
    assert 2 * len(live) <= 1_000


def test_a_context_agrees_with_the_book_that_was_sent_before_it() -> None:
    _, pushes = two_minutes()
    books: dict[str, BboPush] = {}
    compared = 0
    for push in pushes:
        if isinstance(push, BboPush):
            books[push.coin] = push
        elif book := books.get(push.coin):
            sides = (book.bid, book.ask)
            assert (push.ctx["midPx"] is None) == (push.ctx["impactPxs"] is None) == (None in sides)
            if book.bid and book.ask:
                bid_px, ask_px = float(book.bid.px), float(book.ask.px)
                low, high = map(float, push.ctx["impactPxs"])
                assert float(push.ctx["midPx"]) == pytest.approx((bid_px + ask_px) / 2, rel=1e-12)
                assert low <= bid_px < ask_px <= high
                compared += 1
    assert compared > 5_000


def test_a_trade_is_at_the_touch_that_was_sent_before_it() -> None:
    _, pushes = two_minutes()
    books: dict[str, BboPush] = {}
    trades = 0
    for push in pushes:
        if isinstance(push, BboPush):
            books[push.coin] = push
        elif push.trade:
            touch = books[push.coin].ask if push.trade.side == "B" else books[push.coin].bid
            assert touch
            assert push.trade.px == touch.px
            assert float(push.trade.sz) > 0
            trades += 1
    assert trades > 500
