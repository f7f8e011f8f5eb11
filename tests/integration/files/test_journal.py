"""The journal on real files: each capture has exactly one line, in the file of its day."""

import fcntl
import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from hip3_tasks.domain.capture_result import DAY_CLOSED, CaptureResult
from hip3_tasks.domain.records import Followup, MissedReason, key_of
from hip3_tasks.files import append_file as appendfile
from hip3_tasks.files import indexed_file
from hip3_tasks.files.journal import Journal
from hip3_tasks.files.journal_day import DayJournal
from hip3_tasks.files.key_index import KeyIndex
from tests.support.factories import DAY, T0_MS, a_capture, a_followup, a_missed, a_signal, texts
from tests.support.journals import FIRST, SECOND, THIRD, followups_path, keys_in, missed_path, opened
from tests.support.processes import record_of

MIDNIGHT_MS = 1_795_392_000_000


def test_a_record_is_appended_once(journal: Journal, tmp_path: Path) -> None:
    assert texts(journal.append([FIRST])) == ["captured"]
    assert texts(journal.append([FIRST, SECOND])) == ["already captured", "captured"]
    assert followups_path(tmp_path).read_bytes() == FIRST.line() + SECOND.line()


def test_a_missed_capture_stays_missed_with_its_reason(journal: Journal, tmp_path: Path) -> None:
    record = a_missed(offset_ms=1000, reason=MissedReason.NO_QUOTE)
    assert texts(journal.append([record])) == ["missed: no_quote"]
    assert texts(journal.append([a_missed(offset_ms=1000), FIRST])) == ["already missed: no_quote"] * 2
    assert missed_path(tmp_path).read_bytes() == record.line()
    assert followups_path(tmp_path).read_bytes() == b""


def test_a_captured_follow_up_cannot_be_missed_later(journal: Journal, tmp_path: Path) -> None:
    journal.append([FIRST])
    assert texts(journal.append([a_missed(offset_ms=1000)])) == ["already captured"]
    assert not missed_path(tmp_path).exists()


def test_a_capture_repeated_in_a_batch_has_one_line(journal: Journal, tmp_path: Path) -> None:
    outcomes = texts(journal.append([FIRST, a_missed(offset_ms=3000), FIRST, SECOND]))
    assert outcomes == ["captured", "missed: feed_gap", "already captured", "already missed: feed_gap"]
    assert keys_in(followups_path(tmp_path), missed_path(tmp_path)) == [
        (FIRST.signal_id, 1000),
        (FIRST.signal_id, 3000),
    ]


def test_a_restarted_process_knows_existing_lines(tmp_path: Path) -> None:
    for expected in ["captured", "missed: feed_gap"], ["already captured", "already missed: feed_gap"]:
        with opened(tmp_path) as journal:
            assert texts(journal.append([FIRST, a_missed(offset_ms=3000)])) == expected


def test_two_processes_see_each_others_lines(tmp_path: Path) -> None:
    with opened(tmp_path) as first, opened(tmp_path) as other:
        assert texts(first.append([FIRST])) == ["captured"]
        assert texts(other.append([FIRST, a_missed(offset_ms=3000)])) == ["already captured", "missed: feed_gap"]
        assert texts(first.append([SECOND, THIRD])) == ["already missed: feed_gap", "captured"]
        assert texts(other.append([THIRD])) == ["already captured"]


@pytest.mark.usefixtures("_no_sync")
@pytest.mark.parametrize("reindex_bytes", [1 << 24, 1 << 16])
def test_lines_of_an_idle_hour_are_indexed_without_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reindex_bytes: int
) -> None:
    monkeypatch.setattr(indexed_file, "REINDEX_BYTES", reindex_bytes)
    records = [a_followup(a_signal(at_ms=T0_MS + number)) for number in range(600)]
    grown: list[Followup] = []
    with opened(tmp_path) as idle, opened(tmp_path) as busy:
        idle.append(records[:1])
        busy.append(records[1:300])

        def other_writes(day: Any, *signals_ms: Any) -> None:
            caught_up(day, *signals_ms)
            if day is idle._days.get(DAY) and not grown:
                grown.extend(records[300:301])
                busy.append(grown)  # it would never return if the lock were held

        caught_up = DayJournal.catch_up
        monkeypatch.setattr(DayJournal, "catch_up", other_writes)
        assert texts(idle.append(records)) == ["already captured"] * 301 + ["captured"] * 299
    assert followups_path(tmp_path).read_bytes() == b"".join(record.line() for record in records)
    assert len(grown) == 1


def test_prepare_indexes_a_day_so_that_append_need_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path) as journal:
        journal.prepare(DAY)
        assert list(tmp_path.iterdir()) == []
        journal.append([FIRST])
    with opened(tmp_path) as journal:
        journal.prepare(DAY)
        monkeypatch.setattr(KeyIndex, "index_backward", None)
        assert texts(journal.append([FIRST, SECOND])) == ["already captured", "captured"]


def test_threads_share_a_journal(journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Each thread yields at the worst moment: after its write, before its index has the written keys.
    monkeypatch.setattr(appendfile, "_sync", lambda fd: time.sleep(0.001))
    records = [record_of(number) for number in range(60)]

    def append_all(seed: int) -> None:
        for record in random.Random(seed).sample(records, len(records)):
            journal.append([record])

    threads = [threading.Thread(target=append_all, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(keys_in(followups_path(tmp_path), missed_path(tmp_path))) == sorted(
        key_of(record.line()) for record in records
    )


def test_the_result_of_a_capture_is_read_from_its_line(journal: Journal) -> None:
    journal.append([FIRST, a_missed(offset_ms=3000)])
    asked = [journal.result(a_capture(offset_ms=offset_ms)) for offset_ms in (1000, 3000, 5000)]
    assert [result and str(result) for result in asked] == ["already captured", "already missed: feed_gap", None]


def test_queries_create_no_file(journal: Journal, tmp_path: Path) -> None:
    assert journal.result(a_capture()) is None
    assert journal.open_among([a_capture()]) == [a_capture()]
    assert list(tmp_path.iterdir()) == []


def test_the_day_of_the_signal_decides_the_file(journal: Journal, tmp_path: Path) -> None:
    before, after = a_signal(at_ms=MIDNIGHT_MS - 1), a_signal(at_ms=MIDNIGHT_MS)
    records = [a_followup(after), a_followup(before), a_missed(before, 3000), a_missed(after, 3000)]
    assert texts(journal.append(records)) == ["captured", "captured", "missed: feed_gap", "missed: feed_gap"]
    assert keys_in(followups_path(tmp_path)) == [(before.signal_id, 1000)]
    assert keys_in(missed_path(tmp_path)) == [(before.signal_id, 3000)]
    assert keys_in(followups_path(tmp_path, "2026-11-23")) == [(after.signal_id, 1000)]
    assert keys_in(missed_path(tmp_path, "2026-11-23")) == [(after.signal_id, 3000)]


def test_more_days_than_open_files_work(journal: Journal, tmp_path: Path) -> None:
    records = [a_followup(a_signal(at_ms=T0_MS + day * 86_400_000)) for day in range(9)]
    assert texts(journal.append(records)) == ["captured"] * 9
    assert texts(journal.append(records)) == ["already captured"] * 9
    assert len(list(tmp_path.iterdir())) == 9


def test_a_day_whose_parquet_exists_is_closed(journal: Journal, tmp_path: Path) -> None:
    journal.append([FIRST])
    (tmp_path / f"followups_{DAY}.parquet").touch()
    before = followups_path(tmp_path).read_bytes()
    assert journal.append([FIRST, SECOND]) == [DAY_CLOSED] * 2
    assert journal.result(a_capture()) == DAY_CLOSED
    assert journal.open_among([a_capture(), a_capture(offset_ms=5000)]) == []
    assert followups_path(tmp_path).read_bytes() == before


@pytest.mark.parametrize("is_removed", [True, False])
def test_a_day_that_is_closed_while_one_waits_for_its_lock_is_closed(tmp_path: Path, is_removed: bool) -> None:
    with opened(tmp_path) as journal:
        journal.append([FIRST])
        results: list[list[CaptureResult]] = []
        with followups_path(tmp_path).open("rb") as closing:
            fcntl.flock(closing, fcntl.LOCK_EX)
            waiting = threading.Thread(target=lambda: results.append(journal.append([SECOND])))
            waiting.start()
            (tmp_path / f"followups_{DAY}.parquet").touch()
            if is_removed:
                followups_path(tmp_path).unlink()
        waiting.join()
        assert results == [[DAY_CLOSED]]
        assert keys_in(followups_path(tmp_path)) == ([] if is_removed else [(FIRST.signal_id, 1000)])
        assert followups_path(tmp_path).exists() is not is_removed


def test_files_that_were_deleted_are_not_held_open(journal: Journal, tmp_path: Path) -> None:
    other_day = a_followup(a_signal(at_ms=MIDNIGHT_MS))
    journal.append([FIRST, a_missed(offset_ms=3000)])
    (tmp_path / f"followups_{DAY}.parquet").touch()
    assert texts(journal.append([other_day])) == ["captured"]
    assert list(journal._days) == [DAY, "2026-11-23"]
    missed_path(tmp_path).unlink()
    assert texts(journal.append([other_day])) == ["already captured"]
    assert list(journal._days) == ["2026-11-23"]


@pytest.mark.usefixtures("_no_sync")
@pytest.mark.parametrize("window_ms", [1000, 900_000])
@pytest.mark.parametrize("is_restarted", [True, False])
def test_captures_without_a_line_are_open_however_old(tmp_path: Path, window_ms: int, is_restarted: bool) -> None:
    signals = [a_signal(at_ms=T0_MS + second * 1000) for second in range(100)]
    days_later = a_signal(at_ms=T0_MS + 5 * 86_400_000)
    with opened(tmp_path, window_ms=window_ms) as journal:
        for number, signal_ in enumerate(signals):
            journal.append([a_followup(signal_, 1000)] + ([a_missed(signal_, 3000)] if number % 2 else []))
        if is_restarted:
            journal.close()
        captures = [capture for signal_ in [*signals, days_later] for capture in signal_.captures()]
        held = {(signal_.signal_id, 1000) for signal_ in signals} | {
            (signal_.signal_id, 3000) for signal_ in signals[1::2]
        }
        expected = [capture for capture in captures if (capture.signal_id, capture.offset_ms) not in held]
        assert journal.open_among(captures) == expected
    assert {path.name for path in tmp_path.iterdir()} == {f"followups_{DAY}.jsonl", f"missed_{DAY}.jsonl"}


def test_open_among_sees_appends_of_other_processes(tmp_path: Path) -> None:
    with opened(tmp_path) as first, opened(tmp_path) as other:
        assert first.open_among([a_capture()]) == [a_capture()]
        other.append([FIRST])
        assert first.open_among([a_capture(), a_capture(offset_ms=3000)]) == [a_capture(offset_ms=3000)]
