"""The newest signals, and their cells as captures are written."""

from typing import Any

import pytest

from hip3_tasks.domain.records import Record
from hip3_tasks.web import recent_signals
from hip3_tasks.web.recent_signals import RecentSignals
from tests.support.factories import T0_MS, a_followup, a_missed, a_signal


def take(recent: RecentSignals, kind: str, record: Record, **changes: Any) -> None:
    recent.take(kind, record.model_dump(mode="json") | changes)


def test_a_cell_is_open_until_its_capture_is_on_disk() -> None:
    recent, signal = RecentSignals(), a_signal()
    take(recent, "signals", signal)
    (row,) = recent.newest(10)
    assert [(cell.offset_ms, cell.outcome) for cell in row.cells] == [(1000, None), (3000, None), (5000, None)]
    followup = a_followup(signal, 1000)
    take(recent, "followups", followup)
    take(recent, "missed", a_missed(signal, 3000, detail="stalled"))
    first, second, third = recent.newest(10)[0].cells
    assert (first.outcome, first.edge_change_bps) == ("book_came", round(followup.edge_change_bps, 2))
    assert first.late_ms == 3
    assert (second.outcome, second.why) == ("missed", "feed_gap: stalled")
    assert third.outcome is None


def test_a_signal_shows_what_a_taker_had() -> None:
    recent, signal = RecentSignals(), a_signal()
    take(recent, "signals", signal)
    (row,) = recent.newest(1)
    assert (row.usd, row.order) == (499.0, None)
    take(recent, "followups", a_followup(signal, 5000, bid_px=249.9))
    assert [cell.round_trip_bps for cell in row.cells] == [None, None, None]
    take(recent, "followups", a_followup(signal, 1000, market_moved_bps=0.0))
    assert row.order == "had"
    assert [cell.round_trip_bps for cell in row.cells] == [None, None, round((249.9 / 249.5 - 1) * 1e4 - 19.0, 2)]


def test_a_changed_signal_is_returned_once() -> None:
    recent, signal, other = RecentSignals(), a_signal(), a_signal("xyz:AAPL")
    take(recent, "signals", signal)
    take(recent, "signals", other)
    assert [row.signal_id for row in recent.changed()] == [signal.signal_id, other.signal_id]
    take(recent, "followups", a_followup(signal))
    assert [row.signal_id for row in recent.changed()] == [signal.signal_id]
    assert recent.changed() == []


def test_the_oldest_signals_are_dropped_and_their_captures_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_signals, "MAX_SIGNALS", 3)
    recent = RecentSignals()
    signals = [a_signal(at_ms=T0_MS + n) for n in range(5)]
    for signal in signals:
        take(recent, "signals", signal)
    assert [row.at_ms - T0_MS for row in recent.newest(2)] == [4, 3]
    take(recent, "followups", a_followup(signals[0]))
    assert recent.find(signals[0].signal_id) is None
    assert len(recent.changed()) == 3


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"signal_id": 7},
        {"signal_id": "a", "side": "sideways"},
        {"signal_id": None, "offsets_ms": 3},
        {"offset_ms": {}},
    ],
)
def test_a_line_that_is_no_record_is_left_out(record: dict[str, Any]) -> None:
    recent = RecentSignals()
    for kind in ("signals", "followups", "missed"):
        recent.take(kind, record)
    assert recent.newest(10) == recent.changed() == []


def test_a_line_with_faulty_numbers_changes_no_cell() -> None:
    recent, signal = RecentSignals(), a_signal()
    take(recent, "signals", signal)
    take(recent, "followups", a_followup(signal), edge_change_bps="<b>")
    take(recent, "followups", a_followup(signal), offset_ms=2000)
    assert [cell.outcome for cell in recent.newest(1)[0].cells] == [None, None, None]
