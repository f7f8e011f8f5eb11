"""The orders and round trips of one signal, as its lines are read."""

import itertools
import random
from typing import Any

import pytest

from hip3_tasks.domain.edge import Side
from hip3_tasks.domain.fees import TakerFees
from hip3_tasks.domain.records import Signal
from hip3_tasks.status import trips as module
from hip3_tasks.status.trips import ANY_TAKER, OpenSignals, Order, SignalTrips, Taker
from hip3_tasks.testing import make_followup
from tests.support.factories import a_followup, a_market, a_missed, a_signal


def lines(*records: Any) -> list[dict[str, Any]]:
    return [record.model_dump(mode="json") for record in records]


def followed(signal: Signal, **quotes: tuple[float, float]) -> list[dict[str, Any]]:
    """Lines of follow-ups with these bids and asks, by name `at_MS`."""
    return [
        a_followup_on(signal, int(name.removeprefix("at_")), bid_px, ask_px)
        for name, (bid_px, ask_px) in quotes.items()
    ]


def a_followup_on(signal: Signal, offset_ms: int, bid_px: float, ask_px: float) -> dict[str, Any]:
    return make_followup(signal, offset_ms, market=a_market(bid_px=bid_px, ask_px=ask_px)).model_dump(mode="json")


def trips_of(signal: Signal, *followups: dict[str, Any], taker: Taker = ANY_TAKER) -> SignalTrips:
    (line,) = lines(signal)
    trips = SignalTrips(line, taker)
    for followup in followups:
        trips.take(followup)
    return trips


def test_a_trip_by_hand() -> None:
    """Buy at 249.5, an ask of 249.4 after 1 s, out at a bid of 249.9 after 5 s; fee 9.0 a side, slippage 1.0."""
    signal = a_signal()
    trips = trips_of(signal, *followed(signal, at_1000=(249.0, 249.4), at_5000=(249.9, 250.4)))
    assert trips.order is Order.HAD
    assert trips.round_trip_bps(5000) == pytest.approx((249.9 / 249.4 - 1) * 1e4 - 19.0)
    assert trips.round_trip_bps(3000) is None
    assert trips.usd == 499.0


def test_a_sell_mirrors_a_buy() -> None:
    signal = a_signal(side=Side.SELL)
    trips = trips_of(signal, *followed(signal, at_1000=(250.6, 251.0), at_5000=(249.7, 250.1)))
    assert trips.order is Order.HAD
    assert trips.round_trip_bps(5000) == pytest.approx((1 - 250.1 / 250.6) * 1e4 - 19.0)


def test_an_order_is_not_had_once_the_touch_is_worse() -> None:
    signal = a_signal()
    trips = trips_of(signal, *followed(signal, at_1000=(249.0, 249.51), at_5000=(249.9, 250.4)))
    assert (trips.order, trips.round_trip_bps(5000)) == (Order.NOT_HAD, None)


@pytest.mark.parametrize(
    ("at_t0", "on_arrival", "order"), [(0.04, 2, "too_small"), (2, 0.04, "too_small"), (2, 2, "had")]
)
def test_a_touch_below_the_least_order_is_left_out_and_counted(at_t0: float, on_arrival: float, order: str) -> None:
    signal = a_signal(best_size=float(at_t0))
    entry, out = lines(
        a_followup(signal, 1000, best_px=249.5, best_size=float(on_arrival), market_moved_bps=0.0),
        a_followup(signal, 3000),
    )
    trips = trips_of(signal)
    begun = trips.take(entry)
    assert trips.order == order
    is_counted = order == "had"
    assert [terms for _, _, terms in begun] == [(1, is_counted, is_counted, 0, 0.0)] * 2
    ended = trips.take(out)
    assert [terms[3] for _, _, terms in ended] == [is_counted]


def test_nothing_is_known_without_the_first_follow_up() -> None:
    signal = a_signal()
    trips = trips_of(signal)
    assert [trips.take(line) for line in lines(a_followup(signal, 3000), a_followup(signal, 5000))] == [[], []]
    assert (trips.order, trips.round_trip_bps(5000)) == (None, None)


def test_the_order_of_lines_and_repeated_lines_change_nothing() -> None:
    chance, signal = random.Random(3), a_signal()
    quotes = {f"at_{ms}": (chance.uniform(249, 250), 249.4) for ms in (1000, 3000, 5000)}
    outcomes = set()
    for shuffled in itertools.permutations(followed(signal, **quotes)):
        trips = trips_of(signal)
        added = [terms for line in (*shuffled, *shuffled) for terms in trips.take(line)]
        sums = {
            key: tuple(map(sum, zip(*(terms for *its_key, terms in added if tuple(its_key) == key), strict=True)))
            for key in {(1000, 2000), (1000, 4000)}
        }
        assert all(totals[:4] == (1, 1, 1, 1) for totals in sums.values())
        outcomes.add(tuple(sorted(sums.items())))
    assert len(outcomes) == 1


def test_a_one_sided_book_is_no_way_out() -> None:
    signal = a_signal()
    entry, out = lines(
        a_followup(signal, 1000, market_moved_bps=0.0), a_followup(signal, 3000, bid_px=None, bid_sz=None)
    )
    trips = trips_of(signal, entry)
    assert [terms for _, _, terms in trips.take(out)] == [(False, False, False, False, 0.0)]
    assert trips.round_trip_bps(3000) is None


def test_the_takers_own_fees_are_counted_twice() -> None:
    (line,) = lines(a_signal())
    assert ANY_TAKER.costs_bps(line) == (10.0, 19.0)
    half_price = Taker(fees=TakerFees(tier_bps=2.25, priority_fee_bps=2.0))
    assert half_price.costs_bps(line) == (4.5 + 2.0 + 1.0, 2 * (4.5 + 2.0) + 1.0)


def test_a_line_without_a_fee_has_what_is_left_of_its_cost() -> None:
    (line,) = lines(a_signal(taker_fee_bps=None))
    assert ANY_TAKER.costs_bps(line) == (10.0, 19.0)
    assert Taker(slippage_bps=3.0).costs_bps(line) == (10.0, 17.0)
    assert Taker(slippage_bps=30.0).costs_bps(line) == (10.0, 10.0)


def test_a_signal_is_kept_until_its_last_capture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_OPEN_SIGNALS", 3)
    signals, signal = OpenSignals(), a_signal()
    signals.take(*lines(signal))
    answers = lines(
        a_followup(signal, 1000), a_missed(signal, 3000), a_followup(signal, 5000), a_followup(signal, 5000)
    )
    assert [signals.answered(line) is not None for line in answers] == [True, True, True, False]
    for number in range(5):
        signals.take(*lines(a_signal(at_ms=signal.timestamp_ms + number)))
    assert len(signals) == 3
