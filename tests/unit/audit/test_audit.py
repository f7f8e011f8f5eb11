"""An audit names each fault and its place, and no other."""

import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hip3_tasks.audit import audit as auditing
from hip3_tasks.audit.audit import audit, audit_command
from hip3_tasks.audit.findings import Audit, Counts, Fault
from hip3_tasks.audit.ledger import Ledger
from hip3_tasks.domain.edge import Side
from hip3_tasks.domain.market import Entry
from hip3_tasks.domain.measure import measure
from hip3_tasks.domain.records import Followup, MissedReason, Record, Signal
from hip3_tasks.errors import Unavailable
from hip3_tasks.files.journal import Journal
from hip3_tasks.files.signal_files import SignalWriter
from tests.support.factories import DAY, T0_MS, a_capture, a_followup, a_market, a_missed, a_signal

LATER_MS = T0_MS + 3_600_000
OFFSETS_MS = (1000, 3000, 5000)
SIGNAL = a_signal()


def write(data_dir: Path, kind: str, lines: Iterable[Record | bytes], *, day: str = DAY) -> None:
    content = b"".join(line if isinstance(line, bytes) else line.line() for line in lines)
    (data_dir / f"{kind}_{day}.jsonl").write_bytes(content)


def outcomes(signal: Signal = SIGNAL) -> list[Record | bytes]:
    return [a_followup(signal, offset_ms) for offset_ms in signal.offsets_ms]


def audited(data_dir: Path, *, at_ms: int = LATER_MS) -> Audit:
    return audit(data_dir, at_ms=at_ms)


def identity_holds(result: Audit) -> bool:
    all_counts = [*result.days.values(), result.total]
    return all(counts.expected == counts.followups + counts.missed.total() + counts.open for counts in all_counts)


def only_fault(result: Audit, fault: Fault) -> str:
    """The text of the only problem."""
    assert result.total.faults == {fault: 1}, result.problems
    assert not result.ok
    assert identity_holds(result)
    (problem,) = result.problems
    assert problem.fault is fault
    return f"{problem.file}:{problem.line} {problem.id}: {problem.what}"


def test_a_day_whose_follow_ups_are_all_there_is_well(tmp_path: Path) -> None:
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


def numbers_of_a_signal() -> list[Any]:
    return [
        pytest.param(SIGNAL.model_copy(update=changes), what, id=" ".join(changes))
        for changes, what in [
            ({"raw_edge_bps": 21.0}, "raw_edge_bps is 21.0, expected 20.0"),
            ({"oracle_px": 251.0}, "raw_edge_bps is 20.0, expected 59.76"),
            ({"best_px": 249.0}, "best_px is 249.0, expected 249.5"),
            ({"best_size": 3.0}, "best_size is 3.0, expected 2.0"),
            ({"ask_px": None}, "best_px is 249.5, expected None"),
            ({"side": Side.SELL}, "best_px is 249.5, expected 249.0"),
            ({"net_edge_bps": 20.1}, "net_edge_bps 20.1 is more than raw_edge_bps 20.0"),
        ]
    ]


@pytest.mark.parametrize(("signal", "what"), numbers_of_a_signal())
def test_a_number_of_a_signal_that_does_not_follow_from_its_prices_is_found(
    tmp_path: Path, signal: Signal, what: str
) -> None:
    write(tmp_path, "signals", [signal])
    result = audited(tmp_path, at_ms=T0_MS)
    assert result.total.faults == {Fault.WRONG_NUMBER: 1}
    assert what in only_fault(result, Fault.WRONG_NUMBER)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"raw_edge_bps": 9.0}, "raw_edge_bps is 9.0, expected 10.0"),
        ({"edge_change_bps": 10.0}, "edge_change_bps is 10.0, expected -10.0"),
        ({"oracle_moved_bps": 0.1}, "oracle_moved_bps is 0.1, expected 0.0"),
        ({"market_moved_bps": -10.0}, "market_moved_bps is -10.0, expected 10.02"),
        ({"markout_bps": -10.0}, "markout_bps is -10.0, expected 10.03"),
        ({"markout_bps": None}, "markout_bps is None, expected 10.03"),
        ({"best_px": 249.25}, "best_px is 249.25, expected 249.75"),
        ({"best_size": 3.0}, "best_size is 3.0, expected 2.0"),
        ({"t0_oracle_px": 249.9}, "t0_oracle_px is 249.9, expected 250.0"),
        ({"t0_best_px": 249.6}, "t0_best_px is 249.6, expected 249.5"),
        ({"t0_raw_edge_bps": 20.1}, "t0_raw_edge_bps is 20.1, expected 20.0"),
        ({"due_at_ms": T0_MS + 1001}, f"due_at_ms is {T0_MS + 1001}, expected {T0_MS + 1000}"),
        ({"state_at_ms": T0_MS + 1001}, f"state_at_ms {T0_MS + 1001} is after due_at_ms {T0_MS + 1000}"),
        ({"side": Side.SELL}, "side is sell, the signal's is buy"),
        ({"market_key": "xyz:AAPL"}, "market_key is xyz:AAPL, the signal's is xyz:TSLA"),
        ({"signal_timestamp_ms": T0_MS + 1}, f"signal_timestamp_ms is {T0_MS + 1}, the signal's is {T0_MS}"),
        ({"oracle_px": 250.1}, "raw_edge_bps is 10.0, expected 13.99"),
    ],
    ids=lambda value: None if isinstance(value, dict) else value.partition(",")[0],
)
def test_a_number_of_a_follow_up_that_does_not_follow_is_found(
    tmp_path: Path, changes: dict[str, Any], what: str
) -> None:
    write(tmp_path, "signals", [SIGNAL])
    write(tmp_path, "followups", [a_followup(**changes), *outcomes()[1:]])
    assert what in only_fault(audited(tmp_path), Fault.WRONG_NUMBER)


def test_a_missed_line_that_contradicts_its_signal_is_found(tmp_path: Path) -> None:
    write(tmp_path, "signals", [SIGNAL])
    write(tmp_path, "followups", outcomes()[1:])
    write(tmp_path, "missed", [a_missed(due_at_ms=T0_MS, side=Side.SELL)])
    text = only_fault(audited(tmp_path), Fault.WRONG_NUMBER)
    assert "side is sell" in text
    assert "due_at_ms is" in text


@given(
    bid_px=st.floats(0.001, 1e6),
    spread=st.floats(1e-6, 0.5),
    oracle_px=st.floats(0.001, 1e6),
    later=st.tuples(st.floats(0.001, 1e6), st.floats(0.001, 1e6), st.floats(0.001, 1e6)),
    side=st.sampled_from(Side),
)
def test_numbers_computed_by_the_code_are_never_faults(
    tmp_path_factory: pytest.TempPathFactory,
    bid_px: float,
    spread: float,
    oracle_px: float,
    later: tuple[float, float, float],
    side: Side,
) -> None:
    market = a_market(bid_px=bid_px, ask_px=bid_px * (1 + spread), oracle_px=oracle_px)
    signal = a_signal(side=side, market=market, net_edge_bps=-1e300, offsets_ms=(1000,))
    due = Entry(T0_MS + 990, a_market(bid_px=later[0], ask_px=later[1], oracle_px=later[2]))
    record = measure(signal, a_capture(signal), due=due, t0=None, at_ms=T0_MS + 1003)
    data_dir = tmp_path_factory.mktemp("audit")
    write(data_dir, "signals", [signal])
    write(data_dir, "followups", [record])
    assert audited(data_dir).ok


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


def compacted(data_dir: Path, day: str = DAY) -> None:
    """The Parquet of a day with one signal, two follow-ups and one that was missed."""
    rows = {"signals": [SIGNAL], "followups": outcomes()[:2], "missed": [a_missed(SIGNAL, 5000)]}
    for kind, records in rows.items():
        of_kind = [json.loads(record.line()) for record in records if isinstance(record, Record)]
        pl.DataFrame(of_kind).write_parquet(data_dir / f"{kind}_{day}.parquet")


def test_of_a_compacted_day_rows_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compacted(tmp_path)
    result = audited(tmp_path)
    assert result.ok and result.closed_days == [DAY]
    assert result.days == {DAY: Counts(signals=1, expected=3, followups=2, missed=Counter([MissedReason.FEED_GAP]))}
    assert audit_command([tmp_path], as_json=False) == 0
    assert "compacted" in capsys.readouterr().out


def test_a_compacted_day_whose_lines_are_all_there_is_read_as_ever(tmp_path: Path) -> None:
    compacted(tmp_path)
    write(tmp_path, "signals", [SIGNAL])
    write(tmp_path, "followups", outcomes()[:2])
    result = audited(tmp_path)
    assert result.closed_days == [DAY]
    assert f"{SIGNAL.signal_id}|5000: it was due" in only_fault(result, Fault.OVERDUE)


def test_of_a_compacted_day_whose_lines_are_partly_deleted_rows_are_counted(tmp_path: Path) -> None:
    compacted(tmp_path)
    write(tmp_path, "followups", outcomes()[:2])
    result = audited(tmp_path)
    assert result.ok
    assert (result.total.signals, result.total.followups, result.total.missed.total()) == (1, 2, 1)


@pytest.mark.parametrize("after", range(3))
def test_a_day_that_is_compacted_while_its_files_are_opened_is_read_or_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    write(tmp_path, "signals", [SIGNAL])
    write(tmp_path, "followups", outcomes()[:2])
    write(tmp_path, "missed", [a_missed(SIGNAL, 5000)])
    opened, names = auditing._File, list[str]()

    def opened_then_deleted(path: Path) -> Any:
        names.append(path.name)
        if len(names) == after + 1:
            compacted(tmp_path)
            for kind in ("signals", "missed", "followups"):
                (tmp_path / f"{kind}_{DAY}.jsonl").unlink()
        return opened(path)

    monkeypatch.setattr(auditing, "_File", opened_then_deleted)
    result = audited(tmp_path)
    assert result.ok and result.closed_days == [DAY]
    assert (result.total.signals, result.total.followups, result.total.missed.total()) == (1, 2, 1)


def test_parquet_of_a_compaction_that_died_is_no_data(tmp_path: Path) -> None:
    write(tmp_path, "signals", [SIGNAL])
    write(tmp_path, "followups", outcomes())
    compacted(tmp_path)
    (tmp_path / f"followups_{DAY}.parquet").unlink()
    result = audited(tmp_path)
    assert result.ok and not result.closed_days
    assert result.total.followups == 3


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda path: path.write_bytes(b""), "the day cannot be read: "),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "the day cannot be read: "),
        (lambda path: pl.DataFrame({"offset_ms": [1000]}).write_parquet(path), "3 expected, but it has 1 follow-up"),
    ],
    ids=["empty", "cut off", "rows missing"],
)
def test_a_compacted_day_that_is_damaged_is_a_fault(
    tmp_path: Path, damage: Callable[[Path], object], what: str
) -> None:
    compacted(tmp_path)
    damage(tmp_path / f"followups_{DAY}.parquet")
    assert what in only_fault(audited(tmp_path), Fault.DAMAGED)


def test_a_compacted_day_of_which_a_file_is_gone_is_a_fault(tmp_path: Path) -> None:
    compacted(tmp_path)
    (tmp_path / f"missed_{DAY}.parquet").unlink()
    assert "it has no Parquet of: missed" in only_fault(audited(tmp_path), Fault.DAMAGED)


def test_without_polars_a_compacted_day_is_listed_and_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compacted(tmp_path)
    monkeypatch.setitem(sys.modules, "polars", None)
    result = audited(tmp_path)
    assert result.ok
    assert (result.closed_days, result.days) == ([DAY], {})


def test_it_changes_nothing(tmp_path: Path) -> None:
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


def test_a_live_directory_is_well_at_every_moment(tmp_path: Path) -> None:
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


@given(
    ids=st.lists(st.tuples(st.sampled_from(["xyz:A", "xyz:B", "io:A"]), st.integers(0, 20)), max_size=30),
    data=st.data(),
)
def test_a_ledger_is_a_dictionary_of_signals_that_takes_less_room(
    ids: list[tuple[str, int]], data: st.DataObject
) -> None:
    ledger, expected = Ledger(), {}
    for line, (coin, number) in enumerate(ids, 1):
        signal = a_signal(coin, at_ms=T0_MS + number, offsets_ms=(1000, 2000)[: 1 + number % 2])
        assert ledger.add(signal, line=line) is (signal.signal_id not in expected)
        expected.setdefault(signal.signal_id, (signal, line))
    open_ = {(signal.signal_id, offset_ms) for signal, _ in expected.values() for offset_ms in signal.offsets_ms}
    for signal_id, offset_ms in data.draw(st.lists(st.sampled_from(sorted(open_)))) if open_ else []:
        kept = ledger.find(signal_id)
        assert kept is not None
        assert ledger.settle(kept, offset_ms) is ((signal_id, offset_ms) in open_)
        open_.discard((signal_id, offset_ms))
    assert {(capture.signal_id, capture.offset_ms) for capture, _ in ledger.open()} == open_
    for signal_id, (signal, line) in expected.items():
        kept = ledger.find(signal_id)
        assert kept is not None
        assert (kept.oracle_px, kept.offsets_ms, kept.line) == (signal.oracle_px, signal.offsets_ms, line)


# --- the command


def good(data_dir: Path) -> None:
    write(data_dir, "signals", [SIGNAL])
    write(data_dir, "followups", outcomes())


def bad(data_dir: Path) -> None:
    write(data_dir, "signals", [a_signal(at_ms=T0_MS + at_ms) for at_ms in range(10)])
    write(data_dir, "missed", [b"[markup]\n"])


@pytest.mark.parametrize(("fill", "status", "verdict"), [(good, 0, "all is well"), (bad, 1, "31 faults")])
def test_it_exits_with_zero_only_when_all_is_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fill: Callable[[Path], None], status: int, verdict: str
) -> None:
    fill(tmp_path)
    assert audit_command([tmp_path], as_json=False) == status
    out = capsys.readouterr().out
    assert verdict in out
    assert DAY in out
    if fill is bad:
        assert "open too long: 30" in out
        assert "and 10 more" in out
        assert "[markup]" in out


def test_several_directories_are_one_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, fill in ("one", good), ("two", bad):
        (tmp_path / name).mkdir()
        fill(tmp_path / name)
    assert audit_command([tmp_path / "one", tmp_path / "two"], as_json=True) == 1
    result = json.loads(capsys.readouterr().out)
    assert result["ok"] is False
    assert [directory["ok"] for directory in result["directories"]] == [True, False]
    assert result["directories"][0]["total"]["followups"] == 3
    assert result["directories"][1]["total"]["faults"] == {"open too long": 30, "broken line": 1}
    assert result["directories"][1]["days"][DAY]["signals"] == 10
