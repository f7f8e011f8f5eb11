"""The journal on real files, with real processes that die: each capture has exactly one line."""

import errno
import fcntl
import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hip3_tasks.domain.capture import Capture
from hip3_tasks.domain.capture_result import DAY_CLOSED, CaptureResult
from hip3_tasks.domain.records import Followup, Missed, MissedReason, Signal, key_of
from hip3_tasks.errors import JournalError
from hip3_tasks.files import append_file as appendfile
from hip3_tasks.files import indexed_file
from hip3_tasks.files import line_reader as lines
from hip3_tasks.files.journal import Journal
from hip3_tasks.files.journal_day import DayJournal
from hip3_tasks.files.key_index import KeyIndex
from tests.support.factories import DAY, T0_MS, a_capture, a_followup, a_missed, a_signal, texts
from tests.support.processes import (
    append_at_random,
    append_in_a_forked_child_as_well,
    append_until_the_file_is_full,
    record_of,
)
from tests.support.waiting import eventually

MIDNIGHT_MS = 1_795_392_000_000
START_S = 30

FIRST, SECOND, THIRD = (a_followup(offset_ms=offset_ms) for offset_ms in (1000, 3000, 5000))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path)
    yield journal
    journal.close()


@pytest.fixture
def _no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the sync, for tests with a thousand writes and no power cut."""
    monkeypatch.setattr(appendfile, "_sync", lambda fd: None)


@contextmanager
def opened(data_dir: Path, **options: Any) -> Iterator[Journal]:
    journal = Journal(data_dir, **options)
    try:
        yield journal
    finally:
        journal.close()


def followups(data_dir: Path, day: str = DAY) -> Path:
    return data_dir / f"followups_{day}.jsonl"


def missed(data_dir: Path, day: str = DAY) -> Path:
    return data_dir / f"missed_{day}.jsonl"


def keys_in(*paths: Path) -> list[tuple[str, int]]:
    return [key_of(line) for path in paths if path.exists() for line in path.read_bytes().splitlines()]


def capture_of(record: Followup | Missed) -> Capture:
    return Capture.from_ids(record.signal_id, record.offset_ms)


# --- one line each


def test_a_record_is_appended_once(journal: Journal, tmp_path: Path) -> None:
    assert texts(journal.append([FIRST])) == ["captured"]
    assert texts(journal.append([FIRST, SECOND])) == ["already captured", "captured"]
    assert followups(tmp_path).read_bytes() == FIRST.line() + SECOND.line()


def test_a_missed_capture_stays_missed_with_its_reason(journal: Journal, tmp_path: Path) -> None:
    record = a_missed(offset_ms=1000, reason=MissedReason.NO_QUOTE)
    assert texts(journal.append([record])) == ["missed: no_quote"]
    assert texts(journal.append([a_missed(offset_ms=1000), FIRST])) == ["already missed: no_quote"] * 2
    assert missed(tmp_path).read_bytes() == record.line()
    assert followups(tmp_path).read_bytes() == b""


def test_a_captured_follow_up_cannot_be_missed_later(journal: Journal, tmp_path: Path) -> None:
    journal.append([FIRST])
    assert texts(journal.append([a_missed(offset_ms=1000)])) == ["already captured"]
    assert not missed(tmp_path).exists()


def test_a_capture_twice_in_one_batch_has_one_line_too(journal: Journal, tmp_path: Path) -> None:
    outcomes = texts(journal.append([FIRST, a_missed(offset_ms=3000), FIRST, SECOND]))
    assert outcomes == ["captured", "missed: feed_gap", "already captured", "already missed: feed_gap"]
    assert keys_in(followups(tmp_path), missed(tmp_path)) == [(FIRST.signal_id, 1000), (FIRST.signal_id, 3000)]


def test_a_restarted_process_knows_existing_lines(tmp_path: Path) -> None:
    for expected in ["captured", "missed: feed_gap"], ["already captured", "already missed: feed_gap"]:
        with opened(tmp_path) as journal:
            assert texts(journal.append([FIRST, a_missed(offset_ms=3000)])) == expected


def test_two_processes_know_of_each_other(tmp_path: Path) -> None:
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
    assert followups(tmp_path).read_bytes() == b"".join(record.line() for record in records)
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
    assert sorted(keys_in(followups(tmp_path), missed(tmp_path))) == sorted(key_of(record.line()) for record in records)


def test_the_result_of_a_capture_is_read_from_its_line(journal: Journal) -> None:
    journal.append([FIRST, a_missed(offset_ms=3000)])
    asked = [journal.result(a_capture(offset_ms=offset_ms)) for offset_ms in (1000, 3000, 5000)]
    assert [result and str(result) for result in asked] == ["already captured", "already missed: feed_gap", None]


def test_asking_creates_no_file(journal: Journal, tmp_path: Path) -> None:
    assert journal.result(a_capture()) is None
    assert journal.open_among([a_capture()]) == [a_capture()]
    assert list(tmp_path.iterdir()) == []


# --- days


def test_the_day_of_the_signal_decides_the_file(journal: Journal, tmp_path: Path) -> None:
    before, after = a_signal(at_ms=MIDNIGHT_MS - 1), a_signal(at_ms=MIDNIGHT_MS)
    records = [a_followup(after), a_followup(before), a_missed(before, 3000), a_missed(after, 3000)]
    assert texts(journal.append(records)) == ["captured", "captured", "missed: feed_gap", "missed: feed_gap"]
    assert keys_in(followups(tmp_path)) == [(before.signal_id, 1000)]
    assert keys_in(missed(tmp_path)) == [(before.signal_id, 3000)]
    assert keys_in(followups(tmp_path, "2026-11-23")) == [(after.signal_id, 1000)]
    assert keys_in(missed(tmp_path, "2026-11-23")) == [(after.signal_id, 3000)]


def test_more_days_than_it_keeps_open_are_no_trouble(journal: Journal, tmp_path: Path) -> None:
    records = [a_followup(a_signal(at_ms=T0_MS + day * 86_400_000)) for day in range(9)]
    assert texts(journal.append(records)) == ["captured"] * 9
    assert texts(journal.append(records)) == ["already captured"] * 9
    assert len(list(tmp_path.iterdir())) == 9


def test_a_day_whose_parquet_exists_is_closed(journal: Journal, tmp_path: Path) -> None:
    journal.append([FIRST])
    (tmp_path / f"followups_{DAY}.parquet").touch()
    before = followups(tmp_path).read_bytes()
    assert journal.append([FIRST, SECOND]) == [DAY_CLOSED] * 2
    assert journal.result(a_capture()) == DAY_CLOSED
    assert journal.open_among([a_capture(), a_capture(offset_ms=5000)]) == []
    assert followups(tmp_path).read_bytes() == before


@pytest.mark.parametrize("is_removed", [True, False])
def test_a_day_that_is_closed_while_one_waits_for_its_lock_is_closed(tmp_path: Path, is_removed: bool) -> None:
    with opened(tmp_path) as journal:
        journal.append([FIRST])
        results: list[list[CaptureResult]] = []
        with followups(tmp_path).open("rb") as closing:
            fcntl.flock(closing, fcntl.LOCK_EX)
            waiting = threading.Thread(target=lambda: results.append(journal.append([SECOND])))
            waiting.start()
            (tmp_path / f"followups_{DAY}.parquet").touch()
            if is_removed:
                followups(tmp_path).unlink()
        waiting.join()
        assert results == [[DAY_CLOSED]]
        assert keys_in(followups(tmp_path)) == ([] if is_removed else [(FIRST.signal_id, 1000)])
        assert followups(tmp_path).exists() is not is_removed


def test_files_that_were_deleted_are_not_held_open(journal: Journal, tmp_path: Path) -> None:
    other_day = a_followup(a_signal(at_ms=MIDNIGHT_MS))
    journal.append([FIRST, a_missed(offset_ms=3000)])
    (tmp_path / f"followups_{DAY}.parquet").touch()
    assert texts(journal.append([other_day])) == ["captured"]
    assert list(journal._days) == [DAY, "2026-11-23"]
    missed(tmp_path).unlink()
    assert texts(journal.append([other_day])) == ["already captured"]
    assert list(journal._days) == ["2026-11-23"]


# --- what a dead writer leaves behind


@pytest.mark.usefixtures("_no_sync")
@pytest.mark.parametrize("kind", ["followups", "missed"])
def test_a_line_cut_off_at_any_byte_is_repaired_and_nothing_else_changes(tmp_path: Path, kind: str) -> None:
    first, second = (FIRST, SECOND) if kind == "followups" else (a_missed(offset_ms=1000), a_missed(offset_ms=3000))
    path = tmp_path / f"{kind}_{DAY}.jsonl"
    whole = first.line() + second.line()
    for size in range(len(first.line()), len(whole) + 1):
        followups(tmp_path).touch()
        path.write_bytes(whole[:size])
        with opened(tmp_path) as journal:
            # A complete record without its line end.
            is_whole = size >= len(whole) - 1
            assert journal.append([second]) == [CaptureResult.from_record(second, already=is_whole)]
        assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "tail",
    [b"\x00" * 4096, b"\xff\xfe\xfd", SECOND.line()[:40] + b"\xc3", b"{}", b"null", b" ", b'{"a":1}x', b"z" * 100_000],
)
@pytest.mark.parametrize("is_open", [True, False])
def test_a_tail_that_is_no_record_is_cut_off(tmp_path: Path, tail: bytes, is_open: bool) -> None:
    with opened(tmp_path) as journal:
        journal.append([FIRST])
        if not is_open:
            journal.close()
        with followups(tmp_path).open("ab") as file:
            file.write(tail)
        assert texts(journal.append([SECOND])) == ["captured"]
    assert followups(tmp_path).read_bytes() == FIRST.line() + SECOND.line()


def test_a_line_in_the_middle_that_is_no_record_is_left_alone(tmp_path: Path) -> None:
    followups(tmp_path).write_bytes(b"\x00\x00\n" + FIRST.line() + b"garbage\n{}\n\n")
    with opened(tmp_path) as journal:
        assert texts(journal.append([FIRST, SECOND])) == ["already captured", "captured"]
    assert followups(tmp_path).read_bytes() == b"\x00\x00\n" + FIRST.line() + b"garbage\n{}\n\n" + SECOND.line()


# --- a disk that refuses


def failing_once(call: Callable[..., Any], failure: Callable[..., Any]) -> Callable[..., Any]:
    """The call, with its next use made to fail."""
    failures = [failure]

    def attempt(*arguments: Any) -> Any:
        return failures.pop()(*arguments) if failures else call(*arguments)

    return attempt


def raising(number: int) -> Callable[..., Any]:
    def fail(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    return fail


_write = os.write


def _write_half(fd: int, data: bytes) -> int:
    return _write(fd, data[: len(data) // 2])


REFUSALS = [
    pytest.param("write", raising(errno.ENOSPC), "No space left on device", id="full"),
    pytest.param("write", raising(errno.EIO), "Input/output error", id="write fails"),
    pytest.param("write", _write_half, "bytes could be written", id="short write"),
    pytest.param("sync", raising(errno.EIO), "Input/output error", id="sync fails"),
]


def refuse(monkeypatch: pytest.MonkeyPatch, call: str, failure: Callable[..., Any]) -> None:
    if call == "sync":
        monkeypatch.setattr(appendfile, "_sync", failing_once(appendfile._sync, failure))
    else:
        monkeypatch.setattr(os, call, failing_once(_write, failure))


@pytest.mark.parametrize(("call", "failure", "reason"), REFUSALS)
def test_a_disk_that_refuses_leaves_the_file_as_it_was_and_later_it_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, failure: Callable[..., Any], reason: str
) -> None:
    with opened(tmp_path) as journal:
        journal.append([FIRST])
        with monkeypatch.context() as patch:
            refuse(patch, call, failure)
            with pytest.raises(JournalError, match=rf"followups_{DAY}.jsonl: .*{reason}.*; nothing of it was kept"):
                journal.append([SECOND, a_missed(offset_ms=5000)])
            assert followups(tmp_path).read_bytes() == FIRST.line()
            assert keys_in(missed(tmp_path)) == []
        assert texts(journal.append([SECOND, a_missed(offset_ms=5000)])) == ["captured", "missed: feed_gap"]
    assert followups(tmp_path).read_bytes() == FIRST.line() + SECOND.line()


def test_when_the_second_file_refuses_the_first_keeps_nothing_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [FIRST, a_missed(offset_ms=3000)]
    with opened(tmp_path) as journal:
        with monkeypatch.context() as patch:
            full = raising(errno.ENOSPC)
            patch.setattr(os, "write", lambda fd, data: full() if b'"reason"' in data else _write(fd, data))
            with pytest.raises(JournalError, match="missed_"):
                journal.append(records)
        assert keys_in(followups(tmp_path), missed(tmp_path)) == []
        assert texts(journal.append(records)) == ["captured", "missed: feed_gap"]


def test_when_the_file_cannot_be_cut_either_the_next_append_cuts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as journal:
        journal.append([FIRST])
        with monkeypatch.context() as patch:
            refuse(patch, "write", _write_half)
            patch.setattr(os, "ftruncate", raising(errno.EIO))
            with pytest.raises(JournalError):
                journal.append([SECOND])
        assert followups(tmp_path).read_bytes() != FIRST.line()
        assert texts(journal.append([SECOND])) == ["captured"]
    assert followups(tmp_path).read_bytes() == FIRST.line() + SECOND.line()


def test_a_duplicate_is_answered_for_only_after_a_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path) as journal:
        journal.append([FIRST])
        for ask in (lambda: journal.append([FIRST]), lambda: journal.result(a_capture())):
            with monkeypatch.context() as patch:
                refuse(patch, "sync", raising(errno.EIO))
                with pytest.raises(JournalError):
                    ask()
        assert texts(journal.append([FIRST])) == ["already captured"]


def test_a_missing_directory_is_named_in_the_error(tmp_path: Path) -> None:
    with opened(tmp_path / "absent") as journal:
        with pytest.raises(JournalError, match=r"absent/followups_.*No such file or directory"):
            journal.append([FIRST])
        (tmp_path / "absent").mkdir()
        assert texts(journal.append([FIRST])) == ["captured"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_without_write_permission_is_named_in_the_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with opened(tmp_path) as journal, pytest.raises(JournalError, match="Permission denied"):
        journal.append([FIRST])


# --- files that others move


def test_a_file_deleted_while_open_is_begun_again(journal: Journal, tmp_path: Path) -> None:
    journal.append([FIRST, a_missed(offset_ms=3000)])
    followups(tmp_path).unlink()
    missed(tmp_path).unlink()
    assert texts(journal.append([FIRST])) == ["captured"]
    assert followups(tmp_path).read_bytes() == FIRST.line()
    assert journal.result(a_capture(offset_ms=3000)) is None


def test_a_file_replaced_while_open_is_read_again(journal: Journal, tmp_path: Path) -> None:
    journal.append([FIRST])
    other = tmp_path / "other"
    other.write_bytes(SECOND.line())
    other.replace(followups(tmp_path))
    assert texts(journal.append([FIRST, SECOND])) == ["captured", "already captured"]
    assert followups(tmp_path).read_bytes() == SECOND.line() + FIRST.line()


def test_a_file_cut_short_while_open_is_read_again(journal: Journal, tmp_path: Path) -> None:
    journal.append([FIRST, SECOND])
    os.truncate(followups(tmp_path), len(FIRST.line()))
    assert texts(journal.append([FIRST, SECOND])) == ["already captured", "captured"]
    os.truncate(followups(tmp_path), 0)
    with opened(tmp_path) as other:
        other.append([THIRD])
    assert texts(journal.append([FIRST, SECOND, THIRD])) == ["captured", "captured", "already captured"]
    assert followups(tmp_path).read_bytes() == THIRD.line() + FIRST.line() + SECOND.line()


# --- what is remembered


@pytest.mark.usefixtures("_no_sync")
@pytest.mark.parametrize("is_restarted", [True, False])
def test_keys_older_than_the_window_are_searched_in_the_file(tmp_path: Path, is_restarted: bool) -> None:
    records = [a_followup(a_signal(at_ms=T0_MS + second * 1000)) for second in range(300)]
    with opened(tmp_path, window_ms=20_000) as journal:
        for record in records:
            journal.append([record])
        if is_restarted:
            journal.close()
        before = followups(tmp_path).read_bytes()
        assert texts(journal.append(records[::7])) == ["already captured"] * len(records[::7])
        absent = a_followup(a_signal(at_ms=T0_MS + 7001))
        assert texts(journal.append([absent])) == ["captured"]
        assert texts(journal.append([absent])) == ["already captured"]
    assert followups(tmp_path).read_bytes() == before + absent.line()


@example(ages_ms=[0, 30_000, *[0] * 11, 30_000, 30_000], step_ms=5000, chunk_bytes=100)
@given(
    ages_ms=st.lists(st.sampled_from([0, 0, 0, 0, 0, 30_000, 90_000, 600_000]), min_size=1, max_size=60)
    | st.integers(30, 60).map(lambda number: [0] * number),
    step_ms=st.sampled_from([1, 2000, 2100, 5000]),
    chunk_bytes=st.integers(100, 4000),
)
def test_a_cold_start_knows_all_keys_of_the_window_even_among_late_lines(
    tmp_path_factory: pytest.TempPathFactory, ages_ms: list[int], step_ms: int, chunk_bytes: int
) -> None:
    data_dir = tmp_path_factory.mktemp("cold")
    records = []
    for number, age_ms in enumerate(ages_ms):
        at_ms = T0_MS + number * step_ms
        record = a_followup(a_signal(f"xyz:A{number}", at_ms=at_ms - age_ms), captured_at_ms=at_ms + 1003)
        records.append(record)
    followups(data_dir).write_bytes(b"".join(record.line() for record in records))
    newest_ms = max(record.signal_timestamp_ms for record in records)
    in_window = [capture_of(r) for r in records if r.signal_timestamp_ms >= newest_ms - 60_000]
    with pytest.MonkeyPatch.context() as patch, opened(data_dir, window_ms=60_000) as journal:
        patch.setattr(lines, "CHUNK_BYTES", chunk_bytes)
        patch.setattr(appendfile, "_sync", lambda fd: None)
        assert journal.open_among(in_window) == []
        assert texts(journal.append(records)) == ["already captured"] * len(records)


def used_bytes(index: KeyIndex) -> int:
    """The bytes that the fingerprints take in memory."""
    return sum(bucket.fingerprints.__sizeof__() for bucket in index._buckets.values())


def test_a_key_takes_at_most_sixteen_bytes() -> None:
    index = KeyIndex(900_000)
    keys = [(f"xyz:A-{T0_MS + number // 3}", 1000 + number % 3) for number in range(100_000)]
    for key in keys:
        index.add(*key, 0, 1)
    assert 8 * 100_000 <= used_bytes(index) <= 16 * 100_000
    assert all(index.find_span(*key) == (0, 1) for key in keys)


def test_an_index_forgets_captures_outside_its_window(tmp_path: Path) -> None:
    index, path = KeyIndex(60_000), tmp_path / "lines"
    with path.open("wb", buffering=0) as file:
        for second in range(3600):
            file.write(b'{"signal_id":"xyz:A-%d","offset_ms":1000}\n' % (T0_MS + second * 1000))
    with path.open("rb") as file:
        for end in range(53, path.stat().st_size + 1, 53):
            index.index_forward(file.fileno(), end - 53, end)
    assert used_bytes(index) <= 62 * 100
    assert T0_MS + 3_480_000 <= index.complete_since_ms <= T0_MS + 3_539_000
    assert index.find_span(f"xyz:B-{T0_MS + 3_590_000}", 1000) is None
    assert index.find_span(f"xyz:B-{T0_MS}", 1000)


# --- what is older than the window


@pytest.fixture
def long_day(tmp_path: Path) -> list[Signal]:
    """A signal per second for 200 s: half of them captured, a quarter missed, the others open."""
    signals = [a_signal(at_ms=T0_MS + second * 1000) for second in range(200)]
    with opened(tmp_path) as journal:
        journal.append(
            [a_followup(signal_, 1000) for signal_ in signals[::2]]
            + [a_missed(signal_, 1000) for signal_ in signals[1::4]]
        )
    return signals


def test_many_old_captures_cost_a_reading_of_the_files_and_not_one_each(
    tmp_path: Path, long_day: list[Signal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "CHUNK_BYTES", 4096)
    read: list[int] = []

    def containing(fd: int, needle: bytes, start: int, end: int) -> Iterator[bytes]:
        read.append(end - start)
        return lines.containing(fd, needle, start, end)

    monkeypatch.setattr(indexed_file, "containing", containing)
    with opened(tmp_path, window_ms=1000) as journal:
        outcomes = texts(journal.append([a_followup(signal_, 1000) for signal_ in long_day[:100]]))
    assert outcomes == ["already captured", "already missed: feed_gap", "already captured", "captured"] * 25
    assert max(read) <= 2 * 4096


def test_few_old_captures_are_searched_for(tmp_path: Path, long_day: list[Signal]) -> None:
    with opened(tmp_path, window_ms=1000) as journal:
        outcomes = texts(journal.append([a_followup(signal_, 1000) for signal_ in long_day[:4]]))
    assert outcomes == ["already captured", "already missed: feed_gap", "already captured", "captured"]


def test_lines_appended_while_the_index_is_widened_are_seen(
    tmp_path: Path, long_day: list[Signal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "CHUNK_BYTES", 4096)
    index_backward = KeyIndex.index_backward
    open_ones = [a_followup(signal_, 1000) for signal_ in long_day[3:100:4]]
    with opened(tmp_path, window_ms=1000) as journal, opened(tmp_path) as other:

        def index_backward_slowly(index: KeyIndex, fd: int, size: int) -> None:
            index_backward(index, fd, size)
            if index.complete_since_ms < T0_MS + 4000:
                monkeypatch.undo()
                other.append(open_ones[:5])

        journal.append([a_followup(long_day[-1], 1000)])
        monkeypatch.setattr(KeyIndex, "index_backward", index_backward_slowly)
        assert texts(journal.append(open_ones)) == ["already captured"] * 5 + ["captured"] * 20


# --- what is open


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


# --- several processes

spawn = multiprocessing.get_context("spawn")


def run(target: Callable[..., None], *arguments: Any) -> int | None:
    process = spawn.Process(target=target, args=arguments)
    process.start()
    process.join(START_S)
    try:
        return process.exitcode
    finally:
        process.kill()
        process.join()
        process.close()


def answered(paths: Sequence[Path]) -> set[int]:
    return {int(line) for path in paths if path.exists() for line in path.read_bytes().split(b"\n")[:-1]}


def test_processes_that_are_killed_leave_each_key_once_and_nothing_torn(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    chance = random.Random(20261122)
    numbers = range(1200)
    logs: list[Path] = []
    running: list[BaseProcess] = []

    def start(seed: int) -> None:
        logs.append(tmp_path / f"answered-{seed}")
        some = chance.sample(numbers, 700)
        running.append(spawn.Process(target=append_at_random, args=(data_dir, some, seed, logs[-1])))
        running[-1].start()

    for seed in range(3):
        start(seed)
    for seed in range(3, 6):
        victim = chance.choice(running)
        before = len(answered(logs))
        eventually("60 more", lambda n=before: len(answered(logs)) > n + 60, interval_s=0.001)
        os.kill(victim.pid or 0, signal.SIGKILL)
        start(seed)
    for process in running:
        process.join(START_S)
        assert process.exitcode in (0, -signal.SIGKILL)
        process.close()

    files = followups(data_dir), missed(data_dir)
    with opened(data_dir) as journal:
        outcomes = texts(journal.append([record_of(number) for number in numbers]))
    assert all(outcomes[number].startswith("already") for number in answered(logs))
    assert sorted(keys_in(*files)) == sorted(key_of(record_of(number).line()) for number in numbers)
    for file, kind in zip(files, (Followup, Missed), strict=True):
        content = file.read_bytes()
        assert content.endswith(b"\n")
        assert [kind.from_line(line) for line in content.splitlines()]


def test_a_file_that_may_grow_no_further_keeps_whole_lines_only(tmp_path: Path) -> None:
    limit_bytes = len(FIRST.line()) * 5 + 100
    assert run(append_until_the_file_is_full, tmp_path, limit_bytes) == 0
    content = followups(tmp_path).read_bytes()
    assert content.endswith(b"\n")
    assert len(content) <= limit_bytes
    with opened(tmp_path) as journal:
        journal.append([record_of(number) for number in range(100)])
    keys = keys_in(followups(tmp_path), missed(tmp_path))
    assert len(keys) == len(set(keys)) == 100


def test_after_a_fork_the_child_has_a_lock_of_its_own(tmp_path: Path) -> None:
    assert run(append_in_a_forked_child_as_well, tmp_path) == 0
    assert keys_in(followups(tmp_path)) == [key_of(record_of(number).line()) for number in (1, 2)]
