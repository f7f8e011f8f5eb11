"""The signals files have each synced signal exactly once."""

import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from hip3_tasks.domain.records import Signal
from hip3_tasks.errors import JournalError
from hip3_tasks.files import append_file as appendfile
from hip3_tasks.files import line_reader as lines
from hip3_tasks.files.signal_files import SignalWriter, find_signal, reversed_signals, signals_path, signals_since
from tests.support.factories import DAY, T0_MS, a_capture, a_signal

MIDNIGHT_MS = 1_795_392_000_000
FIRST, SECOND, THIRD = (a_signal(at_ms=T0_MS + at_ms) for at_ms in range(3))


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[SignalWriter]:
    writer = SignalWriter(tmp_path)
    yield writer
    writer.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return signals_path(tmp_path, DAY)


def refuse(*_: Any) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_signals_are_appended_in_their_order(writer: SignalWriter, path: Path) -> None:
    writer.append([FIRST, SECOND])
    writer.append([THIRD])
    assert path.read_bytes() == FIRST.line() + SECOND.line() + THIRD.line()


def test_each_day_has_its_file(writer: SignalWriter, tmp_path: Path) -> None:
    before, after = a_signal(at_ms=MIDNIGHT_MS - 1), a_signal(at_ms=MIDNIGHT_MS)
    writer.append([before])
    writer.append([after])
    assert signals_path(tmp_path, DAY).read_bytes() == before.line()
    assert signals_path(tmp_path, "2026-11-23").read_bytes() == after.line()


def test_torn_tails_of_every_day_are_repaired_after_a_feed_has_died(writer: SignalWriter, tmp_path: Path) -> None:
    days = {DAY: b'{"timestamp_ms', "2026-11-20": SECOND.line()[:-1], "2026-11-19": b"", "2026-11-18": THIRD.line()}
    for day, tail in days.items():
        signals_path(tmp_path, day).write_bytes(FIRST.line() + tail)
    writer.repair_tails()
    repaired = {day: signals_path(tmp_path, day).read_bytes() for day in days}
    assert repaired == {
        DAY: FIRST.line(),
        "2026-11-20": FIRST.line() + SECOND.line(),
        "2026-11-19": FIRST.line(),
        "2026-11-18": FIRST.line() + THIRD.line(),
    }


@pytest.mark.parametrize("signals", [[SECOND, THIRD], [THIRD]])
def test_a_line_whose_newline_a_full_disk_refuses_is_cut_off(
    writer: SignalWriter, path: Path, monkeypatch: pytest.MonkeyPatch, signals: list[Signal]
) -> None:
    path.write_bytes(FIRST.line() + SECOND.line()[:-1])
    with monkeypatch.context() as full_disk:
        full_disk.setattr(appendfile.os, "write", refuse)
        assert isinstance(writer.repair_tails(), JournalError)
    assert path.read_bytes() == FIRST.line()
    writer.append(signals)
    assert path.read_bytes() == FIRST.line() + b"".join(signal.line() for signal in signals)


def test_the_name_of_a_file_is_durable_even_if_its_creator_died_before_it_was(
    writer: SignalWriter, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.touch()
    synced: list[Path] = []
    monkeypatch.setattr(appendfile, "sync_names", synced.append)
    writer.append([FIRST])
    writer.append([SECOND])
    assert synced == [tmp_path]


def test_lines_that_a_dead_feed_may_not_have_synced_are_made_durable(
    writer: SignalWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete, torn = signals_path(tmp_path, DAY), signals_path(tmp_path, "2026-11-20")
    complete.write_bytes(FIRST.line())
    torn.write_bytes(FIRST.line() + SECOND.line()[:-1])
    paths = {path.stat().st_ino: path for path in (complete, torn)}
    durable: dict[str, bytes] = {}

    def sync(fd: int) -> None:
        path = paths[os.fstat(fd).st_ino]
        durable[path.name] = path.read_bytes()

    monkeypatch.setattr(appendfile, "_sync", sync)
    writer.repair_tails()
    assert durable == {complete.name: FIRST.line(), torn.name: FIRST.line() + SECOND.line()}
    monkeypatch.setattr(appendfile, "_sync", refuse)
    with pytest.raises(JournalError):
        writer.repair_tails()


def test_lines_before_a_tail_that_a_full_disk_cannot_repair_are_made_durable(
    writer: SignalWriter, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torn = FIRST.line() + SECOND.line()[:-1]
    path.write_bytes(torn)
    synced: list[bytes] = []
    monkeypatch.setattr(appendfile, "_sync", lambda fd: synced.append(os.pread(fd, 10_000, 0)))
    monkeypatch.setattr(appendfile.os, "write", refuse)
    assert isinstance(writer.repair_tails(), JournalError)
    assert synced == [torn]


def test_signals_of_a_closed_day_are_written_nowhere_and_named(writer: SignalWriter, path: Path) -> None:
    path.with_name(f"followups_{DAY}.parquet").touch()
    with capture_logs() as logged:
        writer.append([FIRST, SECOND])
    assert not path.exists()
    assert logged[0]["event"] == "signals_of_a_closed_day"
    assert logged[0]["signals"] == [FIRST.signal_id, SECOND.signal_id]


def test_a_day_that_is_closed_while_the_feed_waits_for_its_lock_gets_no_signal(
    writer: SignalWriter, path: Path
) -> None:
    writer.append([FIRST])
    with path.open("rb") as closing:
        fcntl.flock(closing, fcntl.LOCK_EX)
        waiting = threading.Thread(target=writer.append, args=([SECOND],))
        waiting.start()
        path.with_name(f"followups_{DAY}.parquet").touch()
    waiting.join()
    assert path.read_bytes() == FIRST.line()


def test_a_day_whose_disk_refuses_keeps_no_other_from_being_repaired(
    writer: SignalWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = [DAY, "2026-11-20", "2026-11-19"]
    for day in days:
        signals_path(tmp_path, day).write_bytes(FIRST.line() + SECOND.line()[:-1])
    monkeypatch.setattr(appendfile.os, "write", refuse)
    assert isinstance(writer.repair_tails(), JournalError)
    assert {signals_path(tmp_path, day).read_bytes() for day in days} == {FIRST.line()}


@pytest.mark.parametrize(("tail", "repaired"), [(SECOND.line()[:-1], SECOND.line()), (SECOND.line()[:50], b"")])
def test_the_tail_of_a_file_that_was_replaced_is_repaired(
    writer: SignalWriter, path: Path, tail: bytes, repaired: bytes
) -> None:
    writer.append([FIRST])
    path.unlink()
    path.write_bytes(FIRST.line() + tail)
    writer.append([THIRD])
    assert path.read_bytes() == FIRST.line() + repaired + THIRD.line()


def test_a_file_deleted_meanwhile_is_begun_again(writer: SignalWriter, path: Path) -> None:
    writer.append([FIRST])
    path.unlink()
    writer.append([SECOND])
    assert path.read_bytes() == SECOND.line()


@pytest.mark.parametrize("is_cut", [True, False])
def test_signals_that_could_not_be_written_are_not_there_and_once_after_the_next_try(
    writer: SignalWriter, path: Path, monkeypatch: pytest.MonkeyPatch, is_cut: bool
) -> None:
    writer.append([FIRST])
    with monkeypatch.context() as patch:
        patch.setattr(appendfile, "_sync", refuse)
        if not is_cut:
            patch.setattr(os, "ftruncate", refuse)
        for _ in range(3):
            with pytest.raises(JournalError):
                writer.append([SECOND, THIRD])
        assert (path.read_bytes() == FIRST.line()) is is_cut
    writer.append([SECOND, THIRD])
    assert path.read_bytes() == FIRST.line() + SECOND.line() + THIRD.line()


def test_a_tail_that_could_not_be_cut_off_never_joins_the_next_line(
    writer: SignalWriter, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_bytes(FIRST.line() + b'{"half')
    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", refuse)
        with pytest.raises(JournalError):
            writer.append([THIRD])
    writer.append([THIRD])
    assert path.read_bytes() == FIRST.line() + THIRD.line()


def test_a_missing_directory_is_named_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=r"absent/signals_.*No such file or directory"):
        SignalWriter(tmp_path / "absent").append([FIRST])


def test_a_signal_is_found_by_its_capture(writer: SignalWriter, tmp_path: Path) -> None:
    alike = a_signal("xyz:TSLA2", at_ms=T0_MS)
    writer.append([alike, FIRST, SECOND])
    assert find_signal(tmp_path, a_capture(FIRST)) == FIRST
    assert find_signal(tmp_path, a_capture(alike)) == alike
    assert find_signal(tmp_path, a_capture(THIRD)) is None
    assert find_signal(tmp_path, a_capture(a_signal(at_ms=MIDNIGHT_MS))) is None


@given(order=st.permutations(range(6)), is_broken=st.booleans())
def test_a_signal_is_found_wherever_it_is(order: list[int], is_broken: bool) -> None:
    signals = [a_signal(at_ms=T0_MS + number) for number in order]
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("hip3_tasks.files.signal_files.NEAR_BYTES", 700)
        signals_path(Path(folder), DAY).write_bytes(
            b"".join(line for signal in signals for line in (signal.line(), b"broken\n" if is_broken else b""))
        )
        for signal in signals:
            assert find_signal(Path(folder), a_capture(signal)) == signal
        assert find_signal(Path(folder), a_capture(a_signal("xyz:MU"))) is None


def test_a_signal_whose_line_is_torn_is_not_there_yet(path: Path, tmp_path: Path) -> None:
    path.write_bytes(FIRST.line() + SECOND.line()[:-1])
    assert find_signal(tmp_path, a_capture(FIRST)) == FIRST
    assert find_signal(tmp_path, a_capture(SECOND)) is None


def test_signals_since_an_instant_come_oldest_first_and_across_midnight(
    writer: SignalWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "CHUNK_BYTES", 1000)
    signals = [a_signal(at_ms=MIDNIGHT_MS + second * 1000) for second in range(-20, 20)]
    writer.append(signals[:20])
    writer.append(signals[20:])
    newer = signals_since(tmp_path, MIDNIGHT_MS - 7000, until_ms=MIDNIGHT_MS + 60_000)
    assert newer == signals[13:]
    assert signals_since(tmp_path, MIDNIGHT_MS + 60_000, until_ms=MIDNIGHT_MS + 60_000) == []


def test_a_line_that_is_no_signal_is_logged_and_left_out(path: Path) -> None:
    path.write_bytes(FIRST.line() + b"garbage\n" + SECOND.line())
    with capture_logs() as logs:
        assert list(reversed_signals(path)) == [SECOND, FIRST]
    assert [log["event"] for log in logs] == ["signal_line_ignored"]


def test_where_there_is_no_file_there_are_no_signals(tmp_path: Path) -> None:
    assert list(reversed_signals(tmp_path / "absent")) == []
    assert signals_since(tmp_path, T0_MS, until_ms=T0_MS + 1) == []
