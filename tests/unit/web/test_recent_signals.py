"""The newest signals, and their cells as they fill in."""

from typing import Any

import pytest

from hip3_tasks.domain.records import Record
from hip3_tasks.web import recent_signals
from hip3_tasks.web.recent_signals import Recents
from tests.support.factories import T0_MS, a_followup, a_missed, a_signal


def take(board: Recents, kind: str, record: Record, **changes: Any) -> None:
    board.take(kind, record.model_dump(mode="json") | changes)


def test_a_cell_is_open_until_its_capture_is_on_disk() -> None:
    board, signal = Recents(), a_signal()
    take(board, "signals", signal)
    (row,) = board.newest(10)
    assert [(cell.offset_ms, cell.outcome) for cell in row.cells] == [(1000, None), (3000, None), (5000, None)]
    followup = a_followup(signal, 1000)
    take(board, "followups", followup)
    take(board, "missed", a_missed(signal, 3000, detail="stalled"))
    first, second, third = board.newest(10)[0].cells
    assert (first.outcome, first.edge_change_bps) == ("book_came", round(followup.edge_change_bps, 2))
    assert first.late_ms == 3
    assert (second.outcome, second.why) == ("missed", "feed_gap: stalled")
    assert third.outcome is None


def test_it_tells_once_what_changed() -> None:
    board, signal, other = Recents(), a_signal(), a_signal("xyz:AAPL")
    take(board, "signals", signal)
    take(board, "signals", other)
    assert [row.signal_id for row in board.changed()] == [signal.signal_id, other.signal_id]
    take(board, "followups", a_followup(signal))
    assert [row.signal_id for row in board.changed()] == [signal.signal_id]
    assert board.changed() == []


def test_the_oldest_go_and_what_belongs_to_them_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_signals, "MOST", 3)
    board = Recents()
    signals = [a_signal(at_ms=T0_MS + n) for n in range(5)]
    for signal in signals:
        take(board, "signals", signal)
    assert [row.at_ms - T0_MS for row in board.newest(2)] == [4, 3]
    take(board, "followups", a_followup(signals[0]))
    assert board.find(signals[0].signal_id) is None
    assert len(board.changed()) == 3


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
def test_what_is_no_record_is_left_out(record: dict[str, Any]) -> None:
    board = Recents()
    for kind in ("signals", "followups", "missed"):
        board.take(kind, record)
    assert board.newest(10) == board.changed() == []


def test_a_line_whose_numbers_are_none_changes_no_cell() -> None:
    board, signal = Recents(), a_signal()
    take(board, "signals", signal)
    take(board, "followups", a_followup(signal), edge_change_bps="<b>")
    take(board, "followups", a_followup(signal), offset_ms=2000)
    assert [cell.outcome for cell in board.newest(1)[0].cells] == [None, None, None]
