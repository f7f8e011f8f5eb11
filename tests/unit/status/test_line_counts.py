"""Counts of lines, while others append to the files."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hip3_tasks.domain.records import MissedReason, Record, Signal
from hip3_tasks.status.lateness_histogram import LatenessHistogram
from hip3_tasks.status.line_counts import RunLineCounts, recent
from tests.support.factories import T0_MS, a_followup, a_missed, a_signal

MINUTE_MS = 60_000
MIDNIGHT_MS = T0_MS // 86_400_000 * 86_400_000 + 86_400_000


def append(data_dir: Path, *records: Record, day: str = "2026-11-22", torn: bytes = b"") -> None:
    for record in records:
        kind = "signals" if isinstance(record, Signal) else "missed" if hasattr(record, "reason") else "followups"
        with (data_dir / f"{kind}_{day}.jsonl").open("ab") as file:
            file.write(record.line() + torn)


def test_a_run_counts_only_lines_appended_since_its_start(tmp_path: Path) -> None:
    append(tmp_path, a_signal(), a_followup(), a_missed(offset_ms=3000))
    counts = RunLineCounts(tmp_path)
    later = a_signal(at_ms=T0_MS + 10)
    append(tmp_path, later, a_followup(later), a_followup(later, 3000), a_missed(later, 5000))
    counts.update()
    counts.update()
    assert (counts.signals, counts.followups, counts.missed) == (1, 2, 1)
    assert counts.followups_by_offset_ms == {1000: 1, 3000: 1}
    assert counts.missed_by_reason == {MissedReason.FEED_GAP: 1}
    assert counts.lateness.summary() == {"p50": 3, "p99": 3, "max": 3}


def test_a_day_that_begins_during_the_run_is_counted_from_its_first_line(tmp_path: Path) -> None:
    counts = RunLineCounts(tmp_path)
    append(tmp_path, a_signal(), day="2026-11-22")
    counts.update()
    append(tmp_path, a_signal(at_ms=MIDNIGHT_MS), day="2026-11-23")
    counts.update()
    assert counts.signals == 2


def test_a_line_is_counted_once_it_is_complete(tmp_path: Path) -> None:
    line = a_signal().line()
    path = tmp_path / "signals_2026-11-22.jsonl"
    path.write_bytes(line[:100])
    counts = RunLineCounts(tmp_path)
    with path.open("ab") as file:
        file.write(line[100:200])
        file.flush()
        counts.update()
        assert counts.signals == 0
        file.write(line[200:])
    counts.update()
    assert counts.signals == 1


def test_truncated_lines_do_not_hide_later_ones(tmp_path: Path) -> None:
    path = tmp_path / "signals_2026-11-22.jsonl"
    append(tmp_path, a_signal())
    counts = RunLineCounts(tmp_path)
    size = path.stat().st_size
    append(tmp_path, a_signal(at_ms=T0_MS + 1), a_signal(at_ms=T0_MS + 2))
    counts.update()
    with path.open("r+b") as file:
        file.truncate(size)
    counts.update()
    append(tmp_path, a_signal(at_ms=T0_MS + 3))
    counts.update()
    assert counts.signals == 3


NO_OFFSET = b'{"signal_id": "a", "market_key": "b", "captured_at_ms": 2, "due_at_ms": 1, "offset_ms": "\\u001b[2J"}'


@pytest.mark.parametrize("line", [b"", b"[]", b"null", b"{}", b'{"offset_ms": 1000}', b"\xff", NO_OFFSET])
def test_lines_that_are_no_records_are_not_counted(tmp_path: Path, line: bytes) -> None:
    counts = RunLineCounts(tmp_path)
    for kind in ("signals", "followups", "missed"):
        (tmp_path / f"{kind}_2026-11-22.jsonl").write_bytes(line + b"\n")
    counts.update()
    assert (counts.signals, counts.followups, counts.missed) == (0, 0, 0)
    assert counts.lateness.summary() == {"p50": None, "p99": None, "max": None}


def test_other_files_are_not_read(tmp_path: Path) -> None:
    counts = RunLineCounts(tmp_path)
    for name in ("run.json", "signals.txt", "other_2026-11-22.jsonl"):
        (tmp_path / name).write_bytes(a_signal().line())
    counts.update()
    assert counts.signals == 0


def test_recent_counts_the_signals_since_an_instant_over_midnight(tmp_path: Path) -> None:
    old, before, after = (a_signal(at_ms=MIDNIGHT_MS + minutes * MINUTE_MS) for minutes in (-30, -5, 2))
    for signal, day in ((old, "2026-11-22"), (before, "2026-11-22"), (after, "2026-11-23")):
        append(tmp_path, signal, a_followup(signal), a_missed(signal, 3000), day=day)
    since_ms = MIDNIGHT_MS - 10 * MINUTE_MS
    counts = recent(tmp_path, since_ms, until_ms=MIDNIGHT_MS + 5 * MINUTE_MS)
    assert (counts.signals, counts.followups, counts.missed) == (2, 2, 2)


def test_recent_skips_late_captures_of_old_signals(tmp_path: Path) -> None:
    old = a_signal(at_ms=T0_MS - 60 * MINUTE_MS)
    young = a_signal()
    recovered = a_followup(old, captured_at_ms=T0_MS + 5)
    append(tmp_path, old, young, a_followup(young), *[recovered] * 2_000, torn=b"")
    counts = recent(tmp_path, T0_MS - MINUTE_MS, until_ms=T0_MS + MINUTE_MS)
    assert (counts.signals, counts.followups) == (1, 1)


def test_recent_stops_at_old_lines(tmp_path: Path) -> None:
    append(tmp_path, *[a_signal(at_ms=T0_MS - 60 * MINUTE_MS)] * 3_000, a_signal())
    assert recent(tmp_path, T0_MS - MINUTE_MS, until_ms=T0_MS).signals == 1


def test_recent_counts_nothing_in_an_empty_directory(tmp_path: Path) -> None:
    assert recent(tmp_path, T0_MS, until_ms=T0_MS + 1).signals == 0


@given(st.lists(st.integers(-5, 999), min_size=1), st.sampled_from([0.5, 0.99, 1.0]))
def test_a_quantile_is_the_least_lateness_that_its_share_does_not_exceed(late_ms: list[int], q: float) -> None:
    lateness = LatenessHistogram()
    for late in late_ms:
        lateness.add(late)
    quantile_ms = lateness.quantile(q)
    assert quantile_ms in late_ms
    assert sum(late <= quantile_ms for late in late_ms) >= q * len(late_ms) - 1e-9
    assert sum(late < quantile_ms for late in late_ms) < q * len(late_ms) + 1e-9


@given(st.integers(1_000, 10**9))
def test_large_lateness_keeps_three_digits_and_an_exact_maximum(late_ms: int) -> None:
    lateness = LatenessHistogram()
    lateness.add(late_ms)
    quantile_ms = lateness.quantile(0.5)
    assert quantile_ms is not None and 0 <= late_ms - quantile_ms < late_ms / 99
    assert lateness.summary()["max"] == late_ms


@pytest.mark.parametrize(
    ("first_worker_at_ms", "left_out"), [(None, 0), (T0_MS + 999, 0), (T0_MS + 1003, 1), (T0_MS + 1004, 0)]
)
def test_captures_due_before_the_first_worker_are_in_no_lateness(
    first_worker_at_ms: int | None, left_out: int, tmp_path: Path
) -> None:
    counts = RunLineCounts(tmp_path)
    counts.start.first_worker_at_ms = first_worker_at_ms
    # Due at T0 + 1000, captured 3 ms later.
    append(tmp_path, a_signal(), a_followup())
    counts.update()
    assert (counts.followups, counts.due_before_worker) == (1, left_out)
    assert counts.lateness.count == 1 - left_out
