"""Compaction of finished days on real files, with killed processes: no line is lost or in two places."""

import fcntl
import json
import multiprocessing
import random
import signal
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from shutil import rmtree
from typing import Any

import polars as pl
import pytest

from hip3_tasks import cli
from hip3_tasks.analysis.compact import command as compact_command
from hip3_tasks.analysis.compact import compact as closing
from hip3_tasks.analysis.compact.compact import Compaction, CompactionState, bytes_to_read, compact_day
from hip3_tasks.analysis.compact.day_lines import DayLines
from hip3_tasks.analysis.compact.line_codec import LINE_FIELDS
from hip3_tasks.analysis.compact.work_dir import remove_stale
from hip3_tasks.analysis.loading.load import load
from hip3_tasks.analysis.loading.schemas import columns_of
from hip3_tasks.analysis.measure.by import By
from hip3_tasks.analysis.reporting.build import build_report
from hip3_tasks.analysis.reporting.plan import Trader
from hip3_tasks.audit.audit import audit
from hip3_tasks.domain.capture import DAY_MS
from hip3_tasks.domain.capture_result import DAY_CLOSED
from hip3_tasks.domain.records import Followup, Missed, MissedReason, Record, Signal, line_of
from hip3_tasks.files.day_files import KINDS, SUMS, TAKEN, days_of, is_closed, jsonl_path, parquet_path, unread
from hip3_tasks.files.journal import Journal
from hip3_tasks.files.retention import delete_old_days
from hip3_tasks.files.signal_files import SignalWriter
from tests.support import compacting
from tests.support.compacting import lines_in, rows_in
from tests.support.factories import DAY, T0_MS, a_followup, a_market, a_missed, a_signal, released, texts
from tests.support.kept_tapes import keep
from tests.support.tapes import news
from tests.support.waiting import eventually

RECORDS: dict[str, type[Record]] = {"signals": Signal, "followups": Followup, "missed": Missed}
NEXT_DAY_MS = T0_MS - T0_MS % DAY_MS + DAY_MS
AT_REST_MS = NEXT_DAY_MS + 3_600_000
END_S = 60

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["tests.support.compacting"])

SIGNALS = [a_signal(coin, at_ms=T0_MS + ms) for ms in range(20) for coin in ("xyz:TSLA", "flx:GOLD", "xyz:AAPL")]


def outcome_of(number: int) -> Followup | Missed:
    signal_, offset_ms = SIGNALS[number // 3], (1000, 3000, 5000)[number % 3]
    if number % 7 == 0:
        return a_missed(signal_, offset_ms, reason=MissedReason.NO_QUOTE)
    return a_followup(signal_, offset_ms, oracle_updates=None if number % 5 == 0 else number)


OUTCOMES = [outcome_of(number) for number in range(3 * len(SIGNALS))]


def fill(data_dir: Path) -> dict[str, list[bytes]]:
    """Write a day as feed and workers do; return its lines by kind, sorted."""
    data_dir.mkdir(exist_ok=True)
    writer, journal = SignalWriter(data_dir), Journal(data_dir)
    writer.append(SIGNALS)
    journal.append(random.Random(1).sample(OUTCOMES, len(OUTCOMES)))
    writer.close()
    journal.close()
    return lines_in(data_dir)


@pytest.fixture
def lines(tmp_path: Path) -> dict[str, list[bytes]]:
    return fill(tmp_path)


def compact(data_dir: Path, *, at_ms: int = AT_REST_MS, delete: bool = False) -> Compaction:
    return compact_day(data_dir, DAY, at_ms=at_ms, delete=delete)


def names(data_dir: Path) -> list[str]:
    return sorted(path.name for path in data_dir.iterdir())


def bytes_of(data_dir: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in data_dir.iterdir()}


def run(target: Callable[..., None], *args: object) -> BaseProcess:
    process = processes.Process(target=target, args=args)
    process.start()
    return process


def end(process: BaseProcess) -> int | None:
    process.join(END_S)
    assert process.exitcode is not None, "the process hangs"
    return process.exitcode


def append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


# --- a compacted day


def test_orders_of_a_closed_day_outlive_its_tape(tmp_path: Path, lines: dict[str, list[bytes]]) -> None:
    coins = sorted({signal_.market_key for signal_ in SIGNALS})
    market = a_market(at_ms=T0_MS)
    tape = [
        news(replace(market, bid_px=(market.bid_px or 0) + ms / 1e3), at_ms=T0_MS + ms) for ms in range(0, 7000, 90)
    ]
    keep(tmp_path, dict.fromkeys(coins, tape))
    by_tape = numbers(tmp_path)
    assert by_tape["taken"]["by_tape"] == len(SIGNALS)
    assert by_tape["total"]["judged"]["round_trip_bps"]["value"] is not None
    assert compact(tmp_path).orders == 9 * len(SIGNALS)
    assert numbers(tmp_path) == by_tape
    rmtree(tmp_path / "tape")
    assert numbers(tmp_path) == by_tape
    assert compact(tmp_path, delete=True).orders == 0
    assert numbers(tmp_path, latencies_ms=(200, 300)) == numbers(tmp_path, latencies_ms=(200,))
    assert numbers(tmp_path, latency_ms=300)["taken"]["by_tape"] == 0
    file = pl.read_parquet(parquet_path(tmp_path, TAKEN, DAY))
    assert file.filter(latency_ms=600, held_ms=5000)["round_trip_bps"].mean() == pytest.approx(
        by_tape["total"]["judged"]["round_trip_bps"]["value"]
    )
    parquet_path(tmp_path, TAKEN, DAY).write_bytes(b"PAR1")
    assert numbers(tmp_path)["taken"]["by_tape"] == 0


def test_a_day_closed_before_gets_its_orders_while_the_tape_is_kept(
    tmp_path: Path, lines: dict[str, list[bytes]]
) -> None:
    assert compact(tmp_path).orders == 0
    keep(tmp_path, {"xyz:TSLA": [news(a_market(at_ms=T0_MS), at_ms=T0_MS)]}, until_ms=T0_MS + 6000)
    tsla = [signal_ for signal_ in SIGNALS if signal_.market_key == "xyz:TSLA"]
    assert compact(tmp_path).orders == 9 * len(SIGNALS)
    assert numbers(tmp_path)["total"]["judged"]["n"] == len(tsla)
    assert compact(tmp_path).orders == 0


def numbers(data_dir: Path, **trader: Any) -> dict[str, Any]:
    """A report, without the names of the files that it read."""
    report = build_report(load(data_dir), by=By.MARKET, trader=Trader(**trader), at_ms=AT_REST_MS)
    return report.model_dump(mode="json", exclude={"notes"})


def test_a_finished_day_becomes_parquet_that_gives_back_every_line(
    tmp_path: Path, lines: dict[str, list[bytes]]
) -> None:
    done = compact(tmp_path)
    assert (done.state, done.lines_deleted) == (CompactionState.COMPACTED, False)
    assert (
        done.rows
        == {kind: len(kind_lines) for kind, kind_lines in lines.items()}
        == {
            "signals": 60,
            "followups": 154,
            "missed": 26,
        }
    )
    assert rows_in(tmp_path) == lines == lines_in(tmp_path)
    assert done.lines_bytes == sum(jsonl_path(tmp_path, kind, DAY).stat().st_size for kind in KINDS)
    assert done.parquet_bytes == sum(parquet_path(tmp_path, kind, DAY).stat().st_size for kind in KINDS)
    assert names(tmp_path) == sorted(f"{kind}_{DAY}.{suffix}" for kind in KINDS for suffix in ("jsonl", "parquet"))


@pytest.mark.parametrize("kind", KINDS)
def test_its_columns_are_the_fields_and_its_rows_are_sorted_by_market_and_time(
    tmp_path: Path, lines: dict[str, list[bytes]], kind: str
) -> None:
    compact(tmp_path)
    rows = pl.read_parquet(parquet_path(tmp_path, kind, DAY))
    assert dict(rows.schema) == columns_of(RECORDS[kind])
    by = ["market_key", "timestamp_ms"] if kind == "signals" else ["market_key", "signal_timestamp_ms", "offset_ms"]
    assert rows.select(by).rows() == sorted(rows.select(by).rows())


def with_earlier_lines(data_dir: Path, *, every: int) -> dict[str, list[bytes]]:
    """Turn every so many lines of the day into those that the first release would have written; return all lines."""
    for kind, record in RECORDS.items():
        path = jsonl_path(data_dir, kind, DAY)
        content = path.read_bytes().splitlines(keepends=True)
        content[::every] = [released(record.from_line(line)) for line in content[::every]]
        path.write_bytes(b"".join(content))
    return lines_in(data_dir)


@pytest.mark.parametrize("every", [1, 2, 50])
def test_a_day_with_lines_of_an_earlier_release_gives_back_every_line(
    tmp_path: Path, lines: dict[str, list[bytes]], every: int
) -> None:
    earlier = with_earlier_lines(tmp_path, every=every)
    assert earlier["signals"] != lines["signals"] and earlier["missed"] == lines["missed"]
    read = load(tmp_path, all_fields=True)
    assert compact(tmp_path).state is CompactionState.COMPACTED
    assert rows_in(tmp_path) == earlier
    done = compact(tmp_path, delete=True)
    assert (done.state, done.lines_deleted) == (CompactionState.CLOSED, True)
    assert rows_in(tmp_path) == earlier
    assert audit(tmp_path, at_ms=AT_REST_MS).ok
    again = load(tmp_path, all_fields=True)
    for frame, compacted in (read.signals, again.signals), (read.followups, again.followups):
        by = ["signal_id"] if "offset_ms" not in frame.columns else ["signal_id", "offset_ms"]
        assert frame.sort(by).equals(compacted.sort(by))


@pytest.mark.parametrize(("every", "columns"), [(1, 27), (2, 33 + 1)])
def test_only_a_day_of_two_versions_has_the_column_for_the_fields_of_a_line(
    tmp_path: Path, lines: dict[str, list[bytes]], every: int, columns: int
) -> None:
    with_earlier_lines(tmp_path, every=every)
    compact(tmp_path)
    rows = pl.read_parquet(parquet_path(tmp_path, "followups", DAY))
    assert rows.columns == [*columns_of(Followup), LINE_FIELDS][:columns]
    assert pl.read_parquet(parquet_path(tmp_path, "missed", DAY)).columns == [*columns_of(Missed)]


@pytest.mark.parametrize("count", [28, 32])
def test_a_line_with_the_fields_of_no_release_is_refused(
    tmp_path: Path, lines: dict[str, list[bytes]], count: int
) -> None:
    with_earlier_lines(tmp_path, every=3)
    path = jsonl_path(tmp_path, "followups", DAY)
    content = path.read_bytes().splitlines(keepends=True)
    content[40] = line_of(dict(list(vars(Followup.from_line(content[40])).items())[:count]))
    path.write_bytes(b"".join(content))
    assert f"followups_{DAY}.jsonl:" in refused(tmp_path)


def test_a_directory_may_have_any_name(tmp_path: Path) -> None:
    data_dir = tmp_path / "a=b [0] * ?{c}"
    lines = fill(data_dir)
    assert compact(data_dir).state is CompactionState.COMPACTED
    assert audit(data_dir, at_ms=AT_REST_MS).ok
    assert compact(data_dir, delete=True).lines_deleted
    assert {kind: len(kind_lines) for kind, kind_lines in lines.items()} == {
        kind: pl.scan_parquet(parquet_path(data_dir, kind, DAY), glob=False).collect().height for kind in KINDS
    }
    assert audit(data_dir, at_ms=AT_REST_MS).total.signals == len(SIGNALS)


def test_a_day_without_a_missed_capture_has_empty_parquet_for_them(tmp_path: Path) -> None:
    signal_ = a_signal()
    SignalWriter(tmp_path).append([signal_])
    Journal(tmp_path).append([a_followup(signal_, ms) for ms in signal_.offsets_ms])
    assert compact(tmp_path).rows == {"signals": 1, "followups": 3, "missed": 0}
    rows = pl.read_parquet(parquet_path(tmp_path, "missed", DAY))
    assert (rows.height, dict(rows.schema)) == (0, columns_of(Missed))
    assert not jsonl_path(tmp_path, "missed", DAY).exists()


def test_a_day_without_a_signal_is_closed_too(tmp_path: Path) -> None:
    jsonl_path(tmp_path, "signals", DAY).touch()
    assert compact(tmp_path, delete=True).state is CompactionState.COMPACTED
    assert names(tmp_path) == sorted(f"{kind}_{DAY}.parquet" for kind in KINDS)


def test_lines_are_deleted_only_on_request(tmp_path: Path, lines: dict[str, list[bytes]]) -> None:
    done = compact(tmp_path, delete=True)
    assert (done.state, done.lines_deleted) == (CompactionState.COMPACTED, True)
    assert names(tmp_path) == sorted(f"{kind}_{DAY}.parquet" for kind in KINDS)
    assert rows_in(tmp_path) == lines


def test_a_second_compaction_changes_nothing_and_may_delete_lines(
    tmp_path: Path, lines: dict[str, list[bytes]]
) -> None:
    compact(tmp_path)
    before = bytes_of(tmp_path)
    assert compact(tmp_path).state is CompactionState.CLOSED
    assert bytes_of(tmp_path) == before
    done = compact(tmp_path, delete=True)
    assert (done.state, done.lines_deleted) == (CompactionState.CLOSED, True)
    assert names(tmp_path) == sorted(f"{kind}_{DAY}.parquet" for kind in KINDS)
    assert rows_in(tmp_path) == lines
    done = compact(tmp_path, delete=True)
    assert (done.state, done.lines_deleted, done.lines_bytes) == (CompactionState.CLOSED, False, 0)


def test_progress_sums_to_the_announced_bytes(tmp_path: Path, lines: dict[str, list[bytes]]) -> None:
    for delete in False, True:
        advances: list[int] = []
        expected = bytes_to_read(days_of(tmp_path)[DAY], at_ms=AT_REST_MS, delete=delete)
        compact_day(tmp_path, DAY, at_ms=AT_REST_MS, delete=delete, advance=advances.append)
        assert sum(advances) == expected > 0
    assert bytes_to_read(days_of(tmp_path)[DAY], at_ms=AT_REST_MS, delete=False) == 0


# --- a closed day and its writers


@pytest.mark.parametrize("delete", [True, False])
def test_a_closed_day_takes_no_line_and_its_audit_is_clean(
    tmp_path: Path, lines: dict[str, list[bytes]], delete: bool
) -> None:
    compact(tmp_path, delete=delete)
    before = bytes_of(tmp_path)
    late = a_signal("xyz:LATE")
    SignalWriter(tmp_path).append([late])
    journal = Journal(tmp_path)
    assert journal.append([OUTCOMES[0], a_followup(late)]) == [DAY_CLOSED] * 2
    assert bytes_of(tmp_path) == before
    result = audit(tmp_path, at_ms=AT_REST_MS)
    assert result.ok and result.closed_days == [DAY]
    assert (result.total.signals, result.total.followups, result.total.missed.total()) == (60, 154, 26)


def test_retention_deletes_the_parquet(tmp_path: Path, lines: dict[str, list[bytes]]) -> None:
    compact(tmp_path)
    assert len(delete_old_days(tmp_path, keep_days=1, at_ms=T0_MS + 3 * DAY_MS)) == 6
    assert names(tmp_path) == []


# --- refused days


def refused(data_dir: Path, *, delete: bool = True) -> str:
    """Compact, check that no file changed, and return the reason of the refusal."""
    before = bytes_of(data_dir)
    done = compact(data_dir, delete=delete)
    assert done.state is CompactionState.REFUSED and done.why
    assert bytes_of(data_dir) == before
    return done.why


def test_a_disk_that_refuses_the_orders_of_a_closed_day_leaves_it_closed_with_a_note(
    tmp_path: Path, lines: dict[str, list[bytes]]
) -> None:
    market = a_market(at_ms=T0_MS)
    keep(tmp_path, {signal_.market_key: [news(market, at_ms=T0_MS + ms) for ms in (0, 9000)] for signal_ in SIGNALS})
    parquet_path(tmp_path, TAKEN, DAY).mkdir()  # a file cannot be renamed to it
    for state in (CompactionState.COMPACTED, CompactionState.CLOSED):
        done = compact(tmp_path)
        assert done.state is state and done.why is not None
        assert done.why.startswith("its orders are not kept, and reports work them out: ")


def test_a_day_is_left_alone_until_an_hour_after_its_end(tmp_path: Path, lines: dict[str, list[bytes]]) -> None:
    before = bytes_of(tmp_path)
    done = compact(tmp_path, at_ms=AT_REST_MS - 1, delete=True)
    assert (done.state, done.why) == (CompactionState.NOT_OVER, "left alone until 01:00 UTC of 2026-11-23")
    assert bytes_of(tmp_path) == before


def test_a_day_with_captures_that_may_still_come_is_left_alone(tmp_path: Path) -> None:
    SignalWriter(tmp_path).append([a_signal(at_ms=NEXT_DAY_MS - 1, offsets_ms=(3_600_000,))])
    done = compact(tmp_path)
    assert (done.state, done.why) == (CompactionState.NOT_OVER, "1 captures are open")


@pytest.mark.parametrize(
    ("kind", "line", "why"),
    [
        ("signals", a_signal("xyz:NEW").line(), "open too long: 3; see `hip3 audit"),
        ("followups", b"{}\n", "broken line: 1"),
        ("followups", OUTCOMES[1].line(), "second line of a follow-up: 1"),
        ("followups", b'{"signal_id', "torn tail: 1"),
    ],
    ids=["open", "broken", "twice", "torn"],
)
def test_a_day_whose_audit_is_not_clean_is_refused(
    tmp_path: Path, lines: dict[str, list[bytes]], kind: str, line: bytes, why: str
) -> None:
    append(jsonl_path(tmp_path, kind, DAY), line)
    assert why in refused(tmp_path)


def test_a_line_that_parquet_would_alter_is_named(tmp_path: Path, lines: dict[str, list[bytes]]) -> None:
    path = jsonl_path(tmp_path, "followups", DAY)
    content = path.read_bytes().splitlines(keepends=True)
    content[100] = content[100].replace(b'"side":"buy"', b'"side": "buy"')
    path.write_bytes(b"".join(content))
    assert audit(tmp_path, at_ms=AT_REST_MS).ok
    assert f"followups_{DAY}.jsonl:101 is not written as this or an earlier version writes lines" in refused(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_lines_written_during_the_compaction_are_not_lost(
    tmp_path: Path, lines: dict[str, list[bytes]], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path, more = (
        jsonl_path(tmp_path, kind, DAY),
        {"signals": SIGNALS[0], "followups": OUTCOMES[1]}.get(kind, OUTCOMES[0]),
    )
    write = DayLines.write

    def another_writes(day_lines: DayLines, parquet: Path) -> int:
        rows = write(day_lines, parquet)
        if day_lines.schema.name == "missed":
            append(path, more.line())
        return rows

    monkeypatch.setattr(DayLines, "write", another_writes)
    done = compact(tmp_path, delete=True)
    assert (done.state, done.why) == (
        CompactionState.REFUSED,
        f"{path.name} changed while the day was compacted; do it again",
    )
    assert lines_in(tmp_path)[kind] == sorted([*lines[kind], more.line()[:-1]])
    assert names(tmp_path) == sorted(f"{name}_{DAY}.jsonl" for name in KINDS)


def test_rows_read_back_with_a_wrong_bit_are_refused(
    tmp_path: Path, lines: dict[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_bit_less(day_lines: DayLines, parquet: Path) -> Any:
        rows = pl.read_parquet(parquet)
        rows.with_columns(best_px=rows["best_px"] * (1 + 2**-52)).write_parquet(parquet)
        return read_back(day_lines, parquet)

    read_back = DayLines._parquet_fingerprint
    monkeypatch.setattr(DayLines, "_parquet_fingerprint", one_bit_less)
    assert "the rows read back differ from the rows written" in refused(tmp_path)


@pytest.mark.parametrize("change", [OUTCOMES[1].line(), b"{}\n", b"x"])
def test_lines_of_a_closed_day_that_are_not_in_its_parquet_are_not_deleted(
    tmp_path: Path, lines: dict[str, list[bytes]], change: bytes
) -> None:
    compact(tmp_path)
    path = jsonl_path(tmp_path, "followups", DAY)
    append(path, change) if change != b"x" else path.write_bytes(path.read_bytes().replace(b"249.75", b"249.74", 1))
    assert f"{path.name} and followups_{DAY}.parquet differ" in refused(tmp_path)


def test_a_lock_that_is_never_released_is_reported(
    tmp_path: Path, lines: dict[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closing, "LOCK_TIMEOUT_S", 0.1)
    with jsonl_path(tmp_path, "followups", DAY).open("rb") as stopped:
        fcntl.flock(stopped, fcntl.LOCK_EX)
        assert f"followups_{DAY}.jsonl was locked for 0.1 s: is a worker stopped?" in refused(tmp_path)


@pytest.mark.parametrize("limit_bytes", [1 << 10, 1 << 13])
def test_a_disk_that_refuses_changes_nothing(tmp_path: Path, lines: dict[str, list[bytes]], limit_bytes: int) -> None:
    before = bytes_of(tmp_path)
    assert end(run(compacting.compact_on_a_full_disk, tmp_path, limit_bytes)) == 0
    assert bytes_of(tmp_path) == before


# --- several processes, and killed ones


def test_a_day_that_another_process_compacts_is_busy(
    tmp_path: Path, lines: dict[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    states: list[CompactionState] = []
    write = DayLines.write

    def another_begins(day_lines: DayLines, parquet: Path) -> int:
        states.append(compact(tmp_path).state)
        return write(day_lines, parquet)

    monkeypatch.setattr(DayLines, "write", another_begins)
    assert compact(tmp_path).state is CompactionState.COMPACTED
    assert states == [CompactionState.BUSY] * 3
    assert rows_in(tmp_path) == lines


def test_two_compactions_at_once_do_no_harm(tmp_path: Path) -> None:
    for number in range(5):
        lines = fill(tmp_path / f"{number}")
        both = [run(compacting.compact_again_and_again, tmp_path / f"{number}") for _ in range(2)]
        assert [end(process) for process in both] == [0, 0]
        assert rows_in(tmp_path / f"{number}") == lines == lines_in(tmp_path / f"{number}")
        assert len(names(tmp_path / f"{number}")) == 6


@pytest.mark.slow
def test_killed_at_any_step_it_leaves_each_line_in_its_place(tmp_path: Path) -> None:
    exit_status, step, closed = -signal.SIGKILL, 0, set[bool]()
    while exit_status == -signal.SIGKILL:
        data_dir, step = tmp_path / f"{step}", step + 1
        lines = fill(data_dir)
        exit_status = end(run(compacting.compact_or_die, data_dir, step))
        is_closed = parquet_path(data_dir, "followups", DAY).exists()
        closed.add(is_closed)
        assert rows_in(data_dir) == lines if is_closed else lines_in(data_dir) == lines
        assert all(kind_lines in (lines[kind], []) for kind, kind_lines in lines_in(data_dir).items())
        assert audit(data_dir, at_ms=AT_REST_MS).ok
        results = set(Journal(data_dir).append(OUTCOMES))
        assert (
            results == {DAY_CLOSED} if is_closed else {text.partition(" ")[0] for text in texts(results)} == {"already"}
        )
        assert compact(data_dir, delete=True).state is (
            CompactionState.CLOSED if is_closed else CompactionState.COMPACTED
        )
        remove_stale(data_dir)
        assert rows_in(data_dir) == lines
        assert names(data_dir) == sorted(f"{kind}_{DAY}.parquet" for kind in KINDS)
    assert exit_status == 0
    assert step > 30 and closed == {True, False}


@pytest.mark.slow
def test_killed_at_random_beside_writers_it_leaves_each_capture_in_one_place(tmp_path: Path) -> None:
    chance, kills = random.Random(4), 0
    for number in range(5):
        data_dir = tmp_path / f"{number}"
        data_dir.mkdir()
        taken_paths = [tmp_path / f"{number}.{worker}" for worker in range(2)]
        feed = run(compacting.feed_until_the_day_is_closed, data_dir, number)
        workers = [
            run(compacting.work_until_the_day_is_closed, data_dir, seed, path) for seed, path in enumerate(taken_paths)
        ]
        eventually("the first signal", lambda path=data_dir: lines_in(path)["signals"])
        for _ in range(12):
            compaction = run(compacting.compact_again_and_again, data_dir)
            compaction.join(chance.uniform(0.005, 0.25))
            if compaction.exitcode is None:
                compaction.kill()
                compaction.join()
                kills += 1
        assert end(run(compacting.compact_again_and_again, data_dir)) == 0
        assert [end(process) for process in (feed, *workers)] == [0, 0, 0]
        taken = sorted(line for path in taken_paths for line in path.read_bytes().splitlines())
        for kept in rows_in(data_dir), lines_in(data_dir):
            assert sorted(kept["followups"] + kept["missed"]) == taken
        assert rows_in(data_dir) == lines_in(data_dir)
        assert len(taken) == 3 * len(rows_in(data_dir)["signals"]) > 0
        assert audit(data_dir, at_ms=AT_REST_MS).ok
    assert kills > 2  # the number depends on the speed of the machine


# --- the command


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run `hip3 compact` some days later; return exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(compact_command, "wall_ms", lambda: NEXT_DAY_MS + DAY_MS)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["hip3", "compact", *arguments])
        return cli.main(), *capsys.readouterr()

    return run


def test_the_command_compacts_every_finished_day_and_prints_the_ratio(
    tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    fill(tmp_path / "a")
    (tmp_path / "a/.compacting-2026-11-20").mkdir()
    SignalWriter(tmp_path / "a").append([a_signal(at_ms=NEXT_DAY_MS + 5)])
    status, out, err = command("a")
    assert (status, err) == (0, "")
    row = next(line for line in out.splitlines() if DAY in line)
    assert "240" in row and "0.1 MB" in row and "compacted" in row
    assert "2026-11-23: left alone until 01:00 UTC of 2026-11-24" in out
    assert not (tmp_path / "a/.compacting-2026-11-20").exists()
    status, out, err = command("a", "--delete", "--date", DAY)
    assert status == 0 and "lines deleted" in out
    assert command("a")[1].splitlines()[-1] == "1 more: compacted before, lines deleted"
    status, out, err = command("a", "--date", "2026-11-21")
    assert (status, out) == (2, "")
    assert err == "hip3: a: there is no day 2026-11-21; its days are 2026-11-22 to 2026-11-23\n"


def test_the_command_keeps_the_sums_of_each_day_that_lacks_them(
    tmp_path: Path, command: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "a")
    command("a", "--delete")
    path = parquet_path(tmp_path / "a", SUMS, DAY)
    made_at = path.stat().st_mtime_ns
    command("a")
    assert path.stat().st_mtime_ns == made_at
    path.unlink()
    assert command("a")[0] == 0
    monkeypatch.setenv("HIP3_PRIORITY_FEE_BPS", "2")
    before = path.read_bytes()
    command("a")
    assert path.read_bytes() != before
    assert unread(tmp_path / "a") == []
    assert audit(tmp_path / "a", at_ms=AT_REST_MS).ok
    delete_old_days(tmp_path / "a", keep_days=1, at_ms=NEXT_DAY_MS + 3 * DAY_MS)
    assert not path.exists()


def test_a_day_whose_sums_cannot_be_kept_is_compacted_all_the_same(
    tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    fill(tmp_path / "a")
    parquet_path(tmp_path / "a", SUMS, DAY).mkdir(parents=True)
    status, out, _ = command("a")
    assert status == 0 and is_closed(tmp_path / "a", DAY)
    assert f"{DAY}: its sums are not kept, and reports read its rows: " in out


def test_a_refused_day_is_named_and_the_others_continue(
    tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    lines = fill(tmp_path / "good")
    fill(tmp_path / "bad")
    append(jsonl_path(tmp_path / "bad", "missed", DAY), b"\x1b[31m\n")
    status, out, _ = command("bad", "good")
    assert status == 1
    assert f"{DAY}: broken line: 1; see `hip3 audit bad`" in out
    assert rows_in(tmp_path / "good") == lines
    status, out, _ = command("bad", "good", "--json")
    document = json.loads(out)
    assert (status, document["ok"]) == (1, False)
    assert [[directory["ok"], directory["days"][0]["state"]] for directory in document["directories"]] == [
        [False, "refused"],
        [True, "compacted before"],
    ]
    assert document["directories"][1]["days"][0]["ratio"] > 1


def test_the_command_works_on_the_directory_of_the_settings(
    tmp_path: Path, command: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = fill(tmp_path / "mine")
    monkeypatch.setenv("HIP3_DATA_DIR", "mine")
    assert command("--delete")[0] == 0
    assert rows_in(tmp_path / "mine") == lines
