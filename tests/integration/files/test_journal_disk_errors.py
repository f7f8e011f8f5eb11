"""A disk that refuses a call leaves the files of the journal unchanged, and the next append works."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hip3_tasks.errors import JournalError
from hip3_tasks.files import append_file as appendfile
from tests.support.factories import DAY, a_capture, a_missed, texts
from tests.support.journals import FIRST, SECOND, followups_path, keys_in, missed_path, opened


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
def test_a_disk_error_leaves_the_file_unchanged_and_a_later_append_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, failure: Callable[..., Any], reason: str
) -> None:
    with opened(tmp_path) as journal:
        journal.append([FIRST])
        with monkeypatch.context() as patch:
            refuse(patch, call, failure)
            with pytest.raises(JournalError, match=rf"followups_{DAY}.jsonl: .*{reason}.*; nothing of it was kept"):
                journal.append([SECOND, a_missed(offset_ms=5000)])
            assert followups_path(tmp_path).read_bytes() == FIRST.line()
            assert keys_in(missed_path(tmp_path)) == []
        assert texts(journal.append([SECOND, a_missed(offset_ms=5000)])) == ["captured", "missed: feed_gap"]
    assert followups_path(tmp_path).read_bytes() == FIRST.line() + SECOND.line()


def test_an_error_of_the_second_file_removes_the_lines_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [FIRST, a_missed(offset_ms=3000)]
    with opened(tmp_path) as journal:
        with monkeypatch.context() as patch:
            full = raising(errno.ENOSPC)
            patch.setattr(os, "write", lambda fd, data: full() if b'"reason"' in data else _write(fd, data))
            with pytest.raises(JournalError, match="missed_"):
                journal.append(records)
        assert keys_in(followups_path(tmp_path), missed_path(tmp_path)) == []
        assert texts(journal.append(records)) == ["captured", "missed: feed_gap"]


def test_a_file_that_could_not_be_truncated_is_truncated_by_the_next_append(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as journal:
        journal.append([FIRST])
        with monkeypatch.context() as patch:
            refuse(patch, "write", _write_half)
            patch.setattr(os, "ftruncate", raising(errno.EIO))
            with pytest.raises(JournalError):
                journal.append([SECOND])
        assert followups_path(tmp_path).read_bytes() != FIRST.line()
        assert texts(journal.append([SECOND])) == ["captured"]
    assert followups_path(tmp_path).read_bytes() == FIRST.line() + SECOND.line()


def test_a_duplicate_is_acknowledged_only_after_a_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
