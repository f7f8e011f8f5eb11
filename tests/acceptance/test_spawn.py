"""Spawned pool processes, the default of macOS, capture as forked ones do, also while the pool grows."""

import signal
from pathlib import Path

import psutil
import pytest

from tests.support.process import CELERY, HIP3, run
from tests.support.up_system import UpSystem
from tests.support.waiting import eventually

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

MANY = 50
"""Follow-ups to wait for: more than are due while the first process still loads."""
GROWN = 4
MAX_LATENESS_MS = 3_000
"""On a busy machine. Where the pool killed the processes that it grew by, the latest came 12 s late."""

SPAWNS = """
import sys
import time
from pathlib import Path

if any(word.startswith("hip3_tasks.up.celery_command") for word in sys.orig_argv):
    import billiard

    billiard.set_start_method("spawn", force=True)
if "--billiard-fork" in sys.orig_argv and Path(__file__).with_name("busy").exists():
    time.sleep(6)  # as on a machine that is busy; Celery's own limit is 4 s
"""


def spawned(system: UpSystem) -> list[psutil.Process]:
    return [process for process in system.others() if "--billiard-fork" in process.cmdline()]


def test_every_follow_up_is_captured_on_time_by_spawned_processes_while_the_pool_grows(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SPAWNS)
    settings = {"PYTHONPATH": str(site), "HIP3_AUTOSCALE": "1,1"}
    system = UpSystem(tmp_path / "data", "--rate", "10", "--no-flower", "--no-page", **settings)
    eventually("a spawned process", lambda: spawned(system))
    system.wait_for_lines("followups", more_than=MANY)

    (site / "busy").touch()
    grown_from = len(system.lines("followups"))
    control = run(*CELERY, "control", "autoscale", str(GROWN), str(GROWN), HIP3_DATA_DIR=str(system.data_dir))
    assert control.returncode == 0, control.stderr
    eventually("it grows", lambda: len(spawned(system)) > 1)
    assert len(spawned(system)) == 2, "one loads at a time"
    eventually("it has grown", lambda: len(spawned(system)) == GROWN, within_s=90)
    processes = spawned(system)
    eventually("all are loaded", lambda: min(sum(process.cpu_times()[:2]) for process in processes) > 0.2, within_s=60)
    system.wait_for_lines("followups", more_than=len(system.lines("followups")) + MANY)
    assert sorted(process.pid for process in spawned(system)) == sorted(process.pid for process in processes)

    lateness_ms = [line["captured_at_ms"] - line["due_at_ms"] for line in system.lines("followups")[grown_from:]]
    assert max(lateness_ms) < MAX_LATENESS_MS
    system.process.send_signal(signal.SIGINT)
    summary = system.finish()
    assert summary["pending"] == 0
    assert summary["followups"] + summary["missed"] == 3 * summary["signals"] > 0
    audited = run(*HIP3, "audit", str(system.data_dir))
    assert audited.returncode == 0, audited.stdout
    log = system.log("worker")
    assert "NotRegistered" not in log
    assert "Timed out waiting for UP message" not in log
