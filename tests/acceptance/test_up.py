"""`hip3 up` as a user runs it, checked by its files, the audit and the process table."""

import json
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from hip3_tasks.recording.compare import compare
from hip3_tasks.run_file import RunFile
from hip3_tasks.tape.load import load_tape
from tests.support.documents import blocks_of
from tests.support.process import CELERY, HIP3, run
from tests.support.up_system import UpSystem
from tests.support.waiting import eventually

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

OFFSETS_MS = (1000, 3000, 5000)
SOON = {"HIP3_OFFSETS_MS": "200,500,800"}
"""Offsets for runs whose end is not what is tested: it waits for the longest."""


Start = Callable[..., UpSystem]


def outcomes(system: UpSystem, *, signal_ids: set[str] | None = None) -> list[dict[str, Any]]:
    lines = system.lines("followups") + system.lines("missed")
    return lines if signal_ids is None else [line for line in lines if line["signal_id"] in signal_ids]


def assert_audit_is_clean(data_dir: Path) -> None:
    audited = run(*HIP3, "audit", str(data_dir))
    assert audited.returncode == 0, audited.stdout + audited.stderr


def assert_the_published_query_runs(data_dir: Path) -> None:
    """Edge retention computed as in the first published version, with its names."""
    (day,) = (path.stem.removeprefix("signals_") for path in data_dir.glob("signals_*.jsonl"))
    signals = pl.read_ndjson(data_dir / f"signals_{day}.jsonl")
    followups = pl.read_ndjson(data_dir / f"followups_{day}.jsonl")
    joined = followups.join(signals, on="signal_id")
    assert joined.height == followups.height
    retention = (
        joined.group_by("signal_id")
        .agg(
            pl.col("t0_raw_edge_bps").first().alias("edge_t0"),
            pl.col("raw_edge_bps").filter(pl.col("offset_ms") == 1000).first().alias("edge_t1"),
            pl.col("raw_edge_bps").filter(pl.col("offset_ms") == 3000).first().alias("edge_t3"),
            pl.col("raw_edge_bps").filter(pl.col("offset_ms") == 5000).first().alias("edge_t5"),
        )
        .with_columns(pl.col(f"edge_t{n}").truediv(pl.col("edge_t0")).alias(f"retention_{n}s") for n in (1, 3, 5))
    )
    assert retention.height == followups["signal_id"].n_unique()
    for column in ("edge_t0", "retention_1s", "retention_3s", "retention_5s"):
        assert retention.schema[column] == pl.Float64
        assert retention[column].is_finite().any()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[UpSystem] = []

    def start_one(*arguments: str, directory: str = "data", **settings: str) -> UpSystem:
        started.append(UpSystem(tmp_path / directory, *arguments, **settings))
        return started[-1]

    yield start_one
    for system in started:
        system.process.kill()
    for system in started:
        system.wait_until_gone()


def test_a_run_of_eight_seconds_is_complete_and_leaves_nothing_behind(start: Start) -> None:
    system = start("--duration", "8")
    summary = system.finish()
    signals, followups, missed = (system.lines(kind) for kind in ("signals", "followups", "missed"))
    late_ms = [followup["captured_at_ms"] - followup["due_at_ms"] for followup in followups]
    assert summary["signals"] == len(signals) > 0
    assert summary["followups"] == len(followups) > 0
    assert summary["missed"] == len(missed)
    assert summary["followups"] == len(OFFSETS_MS) * summary["signals"] - summary["missed"]
    assert summary["pending"] == 0
    assert summary["lateness_ms"]["p50"] == sorted(late_ms)[(len(late_ms) - 1) // 2]
    assert summary["lateness_ms"]["max"] == max(late_ms)
    assert_audit_is_clean(system.data_dir)
    assert_the_published_query_runs(system.data_dir)
    assert system.others() == []
    assert RunFile.read(system.data_dir) is None


def test_a_run_leaves_a_tape_from_which_its_files_follow(start: Start) -> None:
    system = start("--duration", "4", "--rate", "10", "--no-flower", "--no-page", **SOON)
    summary = system.finish()
    compared = compare(system.data_dir)
    assert compared.ok, compared.model_dump_json(indent=1)
    assert compared.signals + compared.not_covered == summary["signals"] > 0 < compared.signals
    tape = load_tape(system.data_dir).collect()
    assert tape["coin"].n_unique() > 10 and tape.filter(pl.col("gap").is_null()).height > 0
    block = next(block for block in blocks_of("docs/tape.md") if block.language == "python")
    checkout = system.data_dir.with_name("checkout")
    (checkout / "data" / "sim").mkdir(parents=True)
    (checkout / "data" / "sim" / "signals").symlink_to(system.data_dir)
    shown = run(sys.executable, "-c", block.script, cwd=checkout)
    assert "oracle_px" in shown.stdout, shown.stderr
    assert '"event": "recorder_stopped"' in system.log("recorder")


def test_a_run_that_keeps_no_tape_has_no_recorder(start: Start) -> None:
    system = start("--duration", "1", "--no-flower", "--no-page", HIP3_TAPE_DAYS="0", **SOON)
    system.finish()
    assert not (system.data_dir / "tape").exists() and system.log("recorder") == ""


def test_a_quiet_run_prints_only_its_summary(start: Start) -> None:
    system = start("--duration", "2", "--no-flower", "--no-page", "--quiet", **SOON)
    code, out, err = system.wait()
    assert (code, len(out.splitlines())) == (0, 1)
    first, *others = err.splitlines()
    assert first.startswith("this run: signals ") and all(line.startswith("    ") for line in others)


def test_a_killed_run_leaves_no_process_and_the_next_one_completes_its_captures(start: Start) -> None:
    first = start("--rate", "10")
    first.wait_for_lines("followups")
    everything = {"valkey", "simulator", "-m feed", "worker", "flower", "cli record", "reaper"}
    eventually("all processes run", lambda: set(first.names()) == everything, within_s=60)
    first.process.kill()
    first.wait_until_gone(within_s=15)
    expected = len(first.lines("signals")) * len(OFFSETS_MS)
    assert len(outcomes(first)) < expected
    left = {signal["signal_id"] for signal in first.lines("signals")}
    second = start("--no-flower", **SOON)
    eventually("every capture has its line", lambda: len(outcomes(second, signal_ids=left)) == expected, within_s=60)
    second.process.send_signal(signal.SIGINT)
    assert second.finish()["pending"] == 0
    assert_audit_is_clean(second.data_dir)
    assert len(outcomes(second)) == len(second.lines("signals")) * len(OFFSETS_MS)


def test_two_in_two_directories_do_not_disturb_each_other(start: Start) -> None:
    systems = [start("--duration", "4", "--no-flower", directory=name, **SOON) for name in ("one", "two")]
    for system in systems:
        summary = system.finish()
        assert summary["signals"] == len(system.lines("signals")) > 0
        assert summary["followups"] + summary["missed"] == len(OFFSETS_MS) * summary["signals"]
        assert_audit_is_clean(system.data_dir)
    assert [system.others() for system in systems] == [[], []]


def test_ctrl_c_drains_and_ends_in_order(start: Start) -> None:
    system = start("--no-flower")
    system.wait_for_lines("signals")
    system.process.send_signal(signal.SIGINT)
    summary = system.finish()
    assert summary["pending"] == 0
    assert summary["followups"] + summary["missed"] == len(OFFSETS_MS) * summary["signals"] > 0
    assert_audit_is_clean(system.data_dir)
    assert system.others() == []


def test_a_dead_feed_and_a_dead_worker_come_back_and_nothing_stays_open(start: Start) -> None:
    system = start("--no-flower", **SOON)
    for part, name, shown_by in (("feed", "-m feed", "signals"), ("worker", "celery", "followups")):
        system.wait_for_lines("followups", more_than=len(system.lines("followups")))
        victim = min(
            (process for process in system.others() if name in " ".join(process.cmdline())), key=lambda p: p.pid
        )
        victim.kill()
        system.wait_for_log("up", f"{part} died")
        system.wait_for_lines(shown_by, more_than=len(system.lines(shown_by)))
    for part in ("feed", "worker"):
        system.wait_for_log("up", f"{part} started again")
    system.process.send_signal(signal.SIGINT)
    assert system.finish()["pending"] == 0
    assert_audit_is_clean(system.data_dir)


def test_celery_call_recapture_and_status_find_the_server_by_the_data_directory_alone(start: Start) -> None:
    system = start("--no-flower")
    system.wait_for_lines("followups")
    signal_id, absent = system.lines("followups")[0]["signal_id"], "xyz:ABSENT-1795338701358"
    where = {"HIP3_DATA_DIR": str(system.data_dir)}
    call = ("call", "hip3_tasks.capture_followup", "--args")
    for called_id in (signal_id, absent):
        called = run(*CELERY, *call, json.dumps([called_id, 1000]), **where)
        assert called.returncode == 0, called.stderr
    system.wait_for_log("worker", absent)
    again = run(*HIP3, "recapture", signal_id, **where)
    assert (again.returncode, again.stdout) == (0, f"{signal_id}: queued for 1000, 3000, 5000 ms\n")
    eventually("all is well", lambda: run(*HIP3, "status", "--check", **where).returncode == 0)
    status = json.loads(run(*HIP3, "status", "--json", **where).stdout)
    assert status["ok"] and status["signals"] > 0 and status["markets_live"] > 0
    system.process.send_signal(signal.SIGINT)
    system.finish()
    assert_audit_is_clean(system.data_dir)
    assert run(*HIP3, "status", "--check", **where).returncode == 1
