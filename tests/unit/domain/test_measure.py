"""A signal and the tape make exactly one record of each follow-up."""

import pytest

from hip3_tasks.domain.capture_result import CaptureResult
from hip3_tasks.domain.edge import Side
from hip3_tasks.domain.market import Entry, Gap
from hip3_tasks.domain.measure import measure
from hip3_tasks.domain.records import Followup, Missed
from tests.support.factories import T0_MS, a_capture, a_market, a_signal

DUE_MS = T0_MS + 1000
T0 = Entry(T0_MS, a_market(oracle_updates=7))


def measured(due: Entry | None, *, t0: Entry | None = T0, side: Side = Side.BUY) -> Followup | Missed:
    signal = a_signal(side=side)
    return measure(signal, a_capture(signal, 1000), due=due, t0=t0, at_ms=DUE_MS + 3)


def captured(due: Entry | None, *, t0: Entry | None = T0, side: Side = Side.BUY) -> Followup:
    record = measured(due, t0=t0, side=side)
    assert isinstance(record, Followup)
    return record


def test_a_buy_whose_ask_came_to_the_oracle_lost_its_edge_to_the_market() -> None:
    record = captured(Entry(DUE_MS - 40, a_market(at_ms=DUE_MS - 40, bid_px=249.5, ask_px=250.0, oracle_px=250.0)))
    assert record.raw_edge_bps == 0.0
    assert record.edge_change_bps == pytest.approx(-20.0)
    assert record.oracle_moved_bps == 0.0
    assert record.market_moved_bps == pytest.approx(0.5 / 249.5 * 1e4)
    assert record.markout_bps == pytest.approx(0.5 / 249.25 * 1e4)


def test_a_sell_is_measured_on_the_bid() -> None:
    record = captured(Entry(DUE_MS, a_market(at_ms=DUE_MS, bid_px=250.25, bid_sz=9.0, ask_px=250.5)), side=Side.SELL)
    assert (record.best_px, record.best_size) == (250.25, 9.0)
    assert record.raw_edge_bps == pytest.approx(10.0)
    assert record.market_moved_bps == pytest.approx(-0.25 / 250.5 * 1e4)
    assert record.markout_bps == pytest.approx(0.375 / 250.75 * 1e4)


@pytest.mark.parametrize("side", Side)
def test_an_unmoved_market_moves_zero(side: Side) -> None:
    signal = a_signal(side=side)
    mirrored = {"bid_px": 250.5, "ask_px": 251.0} if side is Side.SELL else {}
    record = captured(Entry(DUE_MS, a_market(at_ms=T0_MS, **mirrored)), side=side)
    moves = record.edge_change_bps, record.oracle_moved_bps, record.market_moved_bps, record.markout_bps
    assert moves == (0.0, 0.0, 0.0, 0.0)
    assert record.raw_edge_bps == signal.raw_edge_bps


def test_values_of_the_signal_are_repeated_and_ages_are_as_of_the_due_time() -> None:
    record = captured(Entry(DUE_MS - 40, a_market(at_ms=DUE_MS - 40)))
    signal = a_signal()
    assert (record.t0_oracle_px, record.t0_best_px, record.t0_raw_edge_bps) == (250.0, 249.5, signal.raw_edge_bps)
    assert (record.due_at_ms, record.state_at_ms, record.captured_at_ms) == (DUE_MS, DUE_MS - 40, DUE_MS + 3)
    assert (record.bbo_age_ms, record.oracle_age_ms) == (40, 940)


def test_oracle_updates_count_from_the_signal_on() -> None:
    assert captured(Entry(DUE_MS, a_market(oracle_updates=9))).oracle_updates == 2


@pytest.mark.parametrize(
    "t0",
    [None, Entry(T0_MS, Gap("lost")), Entry(T0_MS, a_market(oracle_updates=8))],
    ids=["trimmed", "gap", "restarted"],
)
def test_oracle_updates_are_unknown_when_the_tape_no_longer_knows_the_signals_state(t0: Entry | None) -> None:
    assert captured(Entry(DUE_MS, a_market(oracle_updates=7)), t0=t0).oracle_updates is None


def test_a_one_sided_book_makes_a_follow_up_without_a_markout() -> None:
    record = captured(Entry(DUE_MS, a_market(bid_px=None, bid_sz=None)))
    assert record.markout_bps is None
    assert record.bid_px is None


@pytest.mark.parametrize(
    ("due", "outcome", "detail"),
    [
        (None, "missed: expired", None),
        (Entry(DUE_MS, Gap("connection lost")), "missed: feed_gap", "connection lost"),
        (Entry(DUE_MS, a_market(ask_px=None, ask_sz=None)), "missed: no_quote", None),
        (Entry(DUE_MS, a_market(ask_sz=None)), "missed: no_quote", None),
        (Entry(DUE_MS, a_market(oracle_px=None)), "missed: no_oracle", None),
        (Entry(DUE_MS, a_market(ask_px=None, oracle_px=None)), "missed: no_quote", None),
    ],
)
def test_a_capture_that_cannot_be_measured_is_missed_with_its_reason(
    due: Entry | None, outcome: str, detail: str | None
) -> None:
    record = measured(due)
    assert isinstance(record, Missed)
    assert (str(CaptureResult.from_record(record)), record.detail) == (outcome, detail)
    assert (record.due_at_ms, record.captured_at_ms) == (DUE_MS, DUE_MS + 3)


def test_a_late_capture_differs_only_in_its_capture_time() -> None:
    signal, due = a_signal(), Entry(DUE_MS, a_market(at_ms=DUE_MS))
    capture = a_capture(signal)
    early = measure(signal, capture, due=due, t0=T0, at_ms=DUE_MS + 1)
    late = measure(signal, capture, due=due, t0=T0, at_ms=DUE_MS + 600_000)
    assert early.model_copy(update={"captured_at_ms": late.captured_at_ms}) == late
