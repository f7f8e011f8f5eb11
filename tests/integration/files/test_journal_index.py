"""The journal's index of keys: its window, its memory, and captures older than the window."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hip3_tasks.domain.records import Signal
from hip3_tasks.files import append_file as appendfile
from hip3_tasks.files import indexed_file
from hip3_tasks.files import line_reader as lines
from hip3_tasks.files.key_index import KeyIndex
from tests.support.factories import T0_MS, a_followup, a_missed, a_signal, texts
from tests.support.journals import capture_of, followups_path, opened


@pytest.mark.usefixtures("_no_sync")
@pytest.mark.parametrize("is_restarted", [True, False])
def test_keys_older_than_the_window_are_searched_in_the_file(tmp_path: Path, is_restarted: bool) -> None:
    records = [a_followup(a_signal(at_ms=T0_MS + second * 1000)) for second in range(300)]
    with opened(tmp_path, window_ms=20_000) as journal:
        for record in records:
            journal.append([record])
        if is_restarted:
            journal.close()
        before = followups_path(tmp_path).read_bytes()
        assert texts(journal.append(records[::7])) == ["already captured"] * len(records[::7])
        absent = a_followup(a_signal(at_ms=T0_MS + 7001))
        assert texts(journal.append([absent])) == ["captured"]
        assert texts(journal.append([absent])) == ["already captured"]
    assert followups_path(tmp_path).read_bytes() == before + absent.line()


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
    followups_path(data_dir).write_bytes(b"".join(record.line() for record in records))
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


def test_many_old_captures_cost_one_read_of_the_files(
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


def test_few_old_captures_are_searched_in_the_files(tmp_path: Path, long_day: list[Signal]) -> None:
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
