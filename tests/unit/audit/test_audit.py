"""An audit names each fault and its place, and no other."""

import os
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from hip3_tasks.analysis import load
from hip3_tasks.audit import audit as auditing
from hip3_tasks.audit.audit import audit, audit_command
from hip3_tasks.audit.findings import Fault
from hip3_tasks.domain.edge import Side
from hip3_tasks.domain.records import Followup, MissedReason, Record
from hip3_tasks.errors import Unavailable
from hip3_tasks.files.journal import Journal
from hip3_tasks.files.signal_files import SignalWriter
from tests.support.audits import LATER_MS, SIGNAL, audited, identity_holds, only_fault, outcomes, write
from tests.support.factories import DAY, T0_MS, a_followup, a_missed, a_signal

OFFSETS_MS = (1000, 3000, 5000)


def test_a_day_with_all_follow_ups_has_no_fault(tmp_path: Path) -> None:
    other = a_signal("xyz:AAPL", side=Side.SELL)
    write(tmp_path, "signals", [SIGNAL, other])
    write(tmp_path, "followups", [*outcomes(), a_followup(other, 1000)])
    write(tmp_path, "missed", [a_missed(other, 3000), a_missed(other, 5000, reason=MissedReason.NO_QUOTE)])
    result = audited(tmp_path)
    assert result.ok
    assert (result.total.signals, result.total.expected, result.total.followups, result.total.open) == (2, 6, 4, 0)
    assert result.total.missed == {MissedReason.FEED_GAP: 1, MissedReason.NO_QUOTE: 1}


def test_days_are_counted_each_and_together(tmp_path: Path) -> None:
    next_day = a_signal(at_ms=T0_MS + 86_400_000)
    write(tmp_path, "signals", [SIGNAL])
    write(tmp_path, "followups", outcomes())
    write(tmp_path, "signals", [next_day], day="2026-11-23")
    write(tmp_path, "missed", [a_missed(next_day, offset_ms) for offset_ms in OFFSETS_MS], day="2026-11-23")
    result = audited(tmp_path, at_ms=LATER_MS + 86_400_000)
    assert result.ok
    assert list(result.days) == [DAY, "2026-11-23"]
    assert [(day.followups, day.missed.total()) for day in result.days.values()] == [(3, 0), (0, 3)]
    assert (result.total.signals, result.total.expected) == (2, 6)


def test_a_capture_open_for_under_30_s_is_no_error(tmp_path: Path) -> None:
    write(tmp_path, "signals", [SIGNAL])
    result = audited(tmp_path, at_ms=T0_MS + 1000 + 29_999)
    assert result.ok
    assert (result.total.open, result.total.open_recent) == (3, 3)


def test_a_capture_open_for_longer_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, "signals", [SIGNAL])
    result = audited(tmp_path, at_ms=T0_MS + 1000 + 30_000)
    text = only_fault(result, Fault.OVERDUE)
    assert text == f"signals_{DAY}.jsonl:1 {SIGNAL.signal_id}|1000: it was due 30 s ago"
    assert (result.total.open, result.total.open_recent) == (3, 2)


def test_a_signal_written_twice_counts_once(tmp_path: Path) -> None:
    write(tmp_path, "signals", [SIGNAL, a_signal("xyz:AAPL", offsets_ms=(1000,)), SIGNAL])
    write(tmp_path, "followups", [*outcomes(), a_followup(a_signal("xyz:AAPL"), 1000)])
    text = only_fault(audited(tmp_path), Fault.DUPLICATE_SIGNAL)
    assert text.startswith(f"signals_{DAY}.jsonl:3 {SIGNAL.signal_id}")


@pytest.mark.parametrize("kind", ["followups", "missed"])
def test_a_second_line_of_a_follow_up_is_found_within_a_file_and_across_the_two(tmp_path: Path, kind: str) -> None:
    again = {"followups": a_followup(offset_ms=3000), "missed": a_missed(offset_ms=3000)}[kind]
    write(tmp_path, "signals", [SIGNAL])
    lines = {"followups": outcomes(), "missed": []}
    lines[kind].append(again)
    for name, content in lines.items():
        write(tmp_path, name, content)
    text = only_fault(audited(tmp_path), Fault.DUPLICATE)
    assert f"{kind}_{DAY}.jsonl" in text
    assert f"{SIGNAL.signal_id}|3000" in text


@pytest.mark.parametrize(
    ("stranger", "what"),
    [
        (a_followup(a_signal("xyz:AAPL")), f"signals_{DAY}.jsonl has no such signal"),
        (a_followup(a_signal(at_ms=T0_MS + 1)), f"signals_{DAY}.jsonl has no such signal"),
        (a_followup(signal_id="nonsense"), f"signals_{DAY}.jsonl has no such signal"),
        (a_followup(signal_id="xyz:TSLA-١٢٣٤٥٦٧٨٩٠١٢٣"), f"signals_{DAY}.jsonl has no such signal"),
        (a_followup(offset_ms=2000), "the signal's offsets are 1000, 3000, 5000 ms"),
    ],
)
def test_a_follow_up_that_no_signal_expects_is_a_stranger(tmp_path: Path, stranger: Followup, what: str) -> None:
    write(tmp_path, "signals", [SIGNAL])
    write(tmp_path, "followups", [*outcomes(), stranger])
    result = audited(tmp_path)
    text = only_fault(result, Fault.STRANGER)
    assert text == f"followups_{DAY}.jsonl:4 {stranger.signal_id}|{stranger.offset_ms}: {what}"
    assert result.total.followups == 3


def test_follow_ups_without_a_signals_file_are_strangers(tmp_path: Path) -> None:
    write(tmp_path, "followups", outcomes())
    assert audited(tmp_path).total.faults == {Fault.STRANGER: 3}


@pytest.mark.parametrize("kind", ["signals", "followups", "missed"])
@pytest.mark.parametrize("tail", [b"{", b"\x00" * 5000, b"x"])
def test_bytes_without_an_end_of_line_are_a_torn_tail(tmp_path: Path, kind: str, tail: bytes) -> None:
    lines: dict[str, list[Record | bytes]] = {"signals": [SIGNAL], "followups": outcomes(), "missed": []}
    lines[kind].append(tail)
    for name, content in lines.items():
        write(tmp_path, name, content)
    assert f"{len(tail):,} bytes without an end of line" in only_fault(audited(tmp_path), Fault.TORN)


@pytest.mark.parametrize("kind", ["signals", "followups"])
def test_a_line_that_is_being_written_is_waited_for_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    whole = {
        "signals": [SIGNAL.line()],
        "followups": [line.line() for line in map(a_followup, [SIGNAL] * 3, OFFSETS_MS)],
    }
    for name, lines in whole.items():
        write(tmp_path, name, lines)
    path = tmp_path / f"{kind}_{DAY}.jsonl"
    content = path.read_bytes()
    path.write_bytes(content[:-100])
    monkeypatch.setattr(auditing.time, "sleep", lambda _: path.write_bytes(content + b"the next one"))
    result = audited(tmp_path)
    assert result.ok
    assert (result.total.signals, result.total.followups) == (1, 3)


def test_a_torn_tail_that_a_writer_repairs_meanwhile_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "signals", [SIGNAL])
    write(tmp_path, "followups", [*outcomes(), b'{"signal_id":'])
    path = tmp_path / f"followups_{DAY}.jsonl"
    monkeypatch.setattr(auditing.time, "sleep", lambda _: os.truncate(path, path.stat().st_size - 13))
    assert audited(tmp_path).ok


@pytest.mark.parametrize("kind", ["signals", "followups", "missed"])
@pytest.mark.parametrize(
    "line", [b"\n", b"{}\n", b"\x00\n", b"\xff\n", b'{"signal_id":"xyz:TSLA-1795338701358"}\n', b"7\n"]
)
def test_a_line_that_does_not_decode_is_broken_and_the_rest_still_counts(
    tmp_path: Path, kind: str, line: bytes
) -> None:
    lines: dict[str, list[Record | bytes]] = {"signals": [SIGNAL], "followups": outcomes(), "missed": []}
    lines[kind].insert(0, line)
    for name, content in lines.items():
        write(tmp_path, name, content)
    assert f"{kind}_{DAY}.jsonl:1 None: " in only_fault(audited(tmp_path), Fault.BROKEN)


def test_a_line_in_another_days_file_is_found(tmp_path: Path) -> None:
    write(tmp_path, "signals", [SIGNAL], day="2026-11-23")
    write(tmp_path, "followups", outcomes(), day="2026-11-23")
    result = audited(tmp_path)
    assert result.total.faults == {Fault.WRONG_DAY: 4}
    assert identity_holds(result)


def test_at_most_twenty_of_a_kind_are_named_but_all_are_counted(tmp_path: Path) -> None:
    write(tmp_path, "signals", [a_signal(at_ms=T0_MS + at_ms) for at_ms in range(30)])
    result = audited(tmp_path)
    assert result.total.faults == {Fault.OVERDUE: 90}
    assert len(result.problems) == 20


def test_a_missing_or_empty_directory_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="No such file or directory: nothing to read"):
        audited(tmp_path / "absent")
    with pytest.raises(Unavailable, match="no signals_, followups_ or missed_"):
        audited(tmp_path)
    (tmp_path / "signals_2026-02-30.jsonl").touch()
    with pytest.raises(Unavailable):
        audit_command([tmp_path], as_json=False)


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path, "signals", [SIGNAL])
    write(tmp_path, "followups", outcomes())
    for name in "run.json", "server.log", "signals_2026-11-22.jsonl.bak", "old_2026-11-22.jsonl":
        (tmp_path / name).write_text("anything")
    assert audited(tmp_path).ok


def test_an_audit_changes_no_file(tmp_path: Path) -> None:
    write(tmp_path, "signals", [SIGNAL, b"torn"])
    write(tmp_path, "followups", [*outcomes(), b"torn"])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    audited(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_progress_follows_the_bytes_read(tmp_path: Path) -> None:
    write(tmp_path, "signals", [SIGNAL])
    write(tmp_path, "followups", outcomes())
    read: list[int] = []
    audit(tmp_path, at_ms=LATER_MS, advance=read.append)
    assert sum(read) == sum(path.stat().st_size for path in tmp_path.iterdir())


def test_a_follow_up_written_while_files_are_opened_is_no_stranger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "signals", [SIGNAL])
    write(tmp_path, "followups", outcomes())
    opened = auditing._File
    times_ms = iter(range(T0_MS + 1, T0_MS + 9))

    def opened_a_signal_later(path: Path) -> Any:
        signal = a_signal(at_ms=next(times_ms))
        for kind, lines in (("signals", [signal]), ("followups", outcomes(signal))):
            with (tmp_path / f"{kind}_{DAY}.jsonl").open("ab") as file:
                file.write(b"".join(line.line() for line in lines))
        return opened(path)

    monkeypatch.setattr(auditing, "_File", opened_a_signal_later)
    result = audited(tmp_path, at_ms=T0_MS)
    assert result.ok, result.problems
    assert (result.total.signals, result.total.followups, result.total.open_recent) == (4, 6, 6)


def test_a_live_directory_has_no_fault_at_any_moment(tmp_path: Path) -> None:
    signals = [a_signal(at_ms=T0_MS + number, offsets_ms=(1, 2)) for number in range(60)]
    started = threading.Event()

    def live() -> None:
        writer, journal = SignalWriter(tmp_path), Journal(tmp_path)
        for signal in signals:
            writer.append([signal])
            started.set()
            journal.append([a_followup(signal, 1), a_missed(signal, 2)])
        writer.close()
        journal.close()

    feed = threading.Thread(target=live)
    feed.start()
    assert started.wait(10)
    while feed.is_alive():
        result = audited(tmp_path, at_ms=T0_MS)
        assert result.ok, result.problems
        assert identity_holds(result)
    feed.join()
    result = audited(tmp_path)
    assert (result.total.followups, result.total.missed.total(), result.total.open) == (60, 60, 0)


def test_captures_before_they_were_due_are_told(tmp_path: Path) -> None:
    first, *rest = outcomes()
    assert isinstance(first, Followup)
    write(tmp_path, "signals", [SIGNAL])
    write(tmp_path, "followups", [first.model_copy(update={"captured_at_ms": first.due_at_ms - 4994}), *rest])
    result = audited(tmp_path)
    early = "1 outcomes captured before they were due, 4,994 ms at most: a worker's clock is behind the feed's"
    assert result.ok and result.notes == [f"{DAY}: {early}"]


@pytest.mark.parametrize(
    "name", ["signals_2026-11-27.jsonl.gz", "followups_2026-11-27.jsonl.zst", "Missed_2026-11-27.jsonl", "x.ndjson"]
)
def test_files_that_look_like_data_and_are_not_read_are_named(tmp_path: Path, name: str) -> None:
    write(tmp_path, "signals", [SIGNAL])
    for own in ("rules.jsonl", f"taken_{DAY}.parquet", "run.json", ".feed", f"watched_{DAY}.jsonl", name):
        (tmp_path / own).touch()
    for folder in ("tape", "logs", "signals_old"):
        (tmp_path / folder).mkdir()
    expected = f"not read: {name}; only KIND_DAY.jsonl and KIND_DAY.parquet are"
    assert audited(tmp_path, at_ms=T0_MS).notes == load(tmp_path).notes.unread == [expected]
    assert expected in load(tmp_path).notes.sentences()
    (tmp_path / f"signals_{DAY}.jsonl").unlink()
    with pytest.raises(Unavailable, match=re.escape(expected)):
        audited(tmp_path)
