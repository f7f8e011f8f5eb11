"""The journal repairs torn tails, and reads files again that another process changed."""

import os
from pathlib import Path

import pytest

from hip3_tasks.domain.capture_result import CaptureResult
from hip3_tasks.files.journal import Journal
from tests.support.factories import DAY, a_capture, a_missed, texts
from tests.support.journals import FIRST, SECOND, THIRD, followups_path, missed_path, opened


@pytest.mark.usefixtures("_no_sync")
@pytest.mark.parametrize("kind", ["followups", "missed"])
def test_a_line_cut_off_at_any_byte_is_repaired_and_nothing_else_changes(tmp_path: Path, kind: str) -> None:
    first, second = (FIRST, SECOND) if kind == "followups" else (a_missed(offset_ms=1000), a_missed(offset_ms=3000))
    path = tmp_path / f"{kind}_{DAY}.jsonl"
    whole = first.line() + second.line()
    for size in range(len(first.line()), len(whole) + 1):
        followups_path(tmp_path).touch()
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
        with followups_path(tmp_path).open("ab") as file:
            file.write(tail)
        assert texts(journal.append([SECOND])) == ["captured"]
    assert followups_path(tmp_path).read_bytes() == FIRST.line() + SECOND.line()


def test_a_line_in_the_middle_that_is_no_record_is_left_alone(tmp_path: Path) -> None:
    followups_path(tmp_path).write_bytes(b"\x00\x00\n" + FIRST.line() + b"garbage\n{}\n\n")
    with opened(tmp_path) as journal:
        assert texts(journal.append([FIRST, SECOND])) == ["already captured", "captured"]
    assert followups_path(tmp_path).read_bytes() == b"\x00\x00\n" + FIRST.line() + b"garbage\n{}\n\n" + SECOND.line()


def test_a_file_deleted_while_open_is_begun_again(journal: Journal, tmp_path: Path) -> None:
    journal.append([FIRST, a_missed(offset_ms=3000)])
    followups_path(tmp_path).unlink()
    missed_path(tmp_path).unlink()
    assert texts(journal.append([FIRST])) == ["captured"]
    assert followups_path(tmp_path).read_bytes() == FIRST.line()
    assert journal.result(a_capture(offset_ms=3000)) is None


def test_a_file_replaced_while_open_is_read_again(journal: Journal, tmp_path: Path) -> None:
    journal.append([FIRST])
    other = tmp_path / "other"
    other.write_bytes(SECOND.line())
    other.replace(followups_path(tmp_path))
    assert texts(journal.append([FIRST, SECOND])) == ["captured", "already captured"]
    assert followups_path(tmp_path).read_bytes() == SECOND.line() + FIRST.line()


def test_a_file_cut_short_while_open_is_read_again(journal: Journal, tmp_path: Path) -> None:
    journal.append([FIRST, SECOND])
    os.truncate(followups_path(tmp_path), len(FIRST.line()))
    assert texts(journal.append([FIRST, SECOND])) == ["already captured", "captured"]
    os.truncate(followups_path(tmp_path), 0)
    with opened(tmp_path) as other:
        other.append([THIRD])
    assert texts(journal.append([FIRST, SECOND, THIRD])) == ["captured", "captured", "already captured"]
    assert followups_path(tmp_path).read_bytes() == THIRD.line() + FIRST.line() + SECOND.line()
