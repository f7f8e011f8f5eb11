"""Counts of the last 15 minutes."""

from hip3_tasks.domain.records import Record
from hip3_tasks.status.rolling_window import BUCKET_MS, BUCKETS, RollingWindow
from tests.support.factories import T0_MS, a_followup, a_missed, a_signal


def taken(window: RollingWindow, kind: str, record: Record) -> None:
    window.take(kind, record.model_dump(mode="json"))


def test_the_window_counts_fifteen_minutes() -> None:
    window = RollingWindow()
    old, young = a_signal(at_ms=T0_MS), a_signal(at_ms=T0_MS + BUCKETS * BUCKET_MS)
    for signal in (old, young):
        taken(window, "signals", signal)
        taken(window, "followups", a_followup(signal))
        taken(window, "missed", a_missed(signal, 3000))
    assert (window.counts().signals, window.counts().followups, window.counts().missed) == (2, 2, 2)
    window.forget_before(young.timestamp_ms)
    assert (window.counts().signals, window.counts().followups, window.counts().missed) == (1, 1, 1)


def test_lateness_is_by_offset_in_the_bucket_of_the_due_time() -> None:
    window = RollingWindow()
    signal = a_signal(at_ms=T0_MS // BUCKET_MS * BUCKET_MS)
    taken(window, "followups", a_followup(signal, 1000))
    taken(window, "followups", a_followup(signal, 3000, captured_at_ms=signal.timestamp_ms + 3_040))
    ((at_ms, by_offset),) = window.lateness()
    assert at_ms == signal.timestamp_ms
    assert {offset: late.quantile(1) for offset, late in by_offset.items()} == {1000: 3, 3000: 40}
    assert window.lateness_since(signal.timestamp_ms).summary() == {"p50": 3, "p99": 40, "max": 40}
    assert window.lateness_since(signal.timestamp_ms + BUCKET_MS).count == 0


def test_lines_that_are_no_records_are_not_counted() -> None:
    window = RollingWindow()
    for record in ({}, {"timestamp_ms": "now"}, {"due_at_ms": T0_MS, "offset_ms": "x"}, {"due_at_ms": None}):
        for kind in ("signals", "followups", "missed"):
            window.take(kind, record)
    assert window.counts().followups == 0
