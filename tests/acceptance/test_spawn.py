"""Spawned pool processes, the default of macOS, capture as forked ones do."""

import signal
from pathlib import Path

import pytest

from tests.support.process import HIP3, run
from tests.support.up_system import UpSystem
from tests.support.waiting import eventually

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

MANY = 50
"""Follow-ups to wait for: more than are due while the first process still loads."""

SPAWNS = """
import sys

if any(word.startswith("hip3_tasks.up.celery_command") for word in sys.orig_argv):
    import billiard

    billiard.set_start_method("spawn", force=True)
"""


def test_every_follow_up_is_captured_by_spawned_processes(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SPAWNS)
    settings = {"PYTHONPATH": str(tmp_path / "site"), "HIP3_AUTOSCALE": "2,2"}
    system = UpSystem(tmp_path / "data", "--rate", "10", "--no-flower", "--no-page", **settings)
    eventually("spawned processes", lambda: [p for p in system.others() if "--billiard-fork" in p.cmdline()])
    system.wait_for_lines("followups", more_than=MANY)
    system.process.send_signal(signal.SIGINT)
    summary = system.finish()
    assert summary["pending"] == 0
    assert summary["followups"] + summary["missed"] == 3 * summary["signals"] > 0
    audited = run(*HIP3, "audit", str(system.data_dir))
    assert audited.returncode == 0, audited.stdout
    assert "NotRegistered" not in (system.data_dir / "logs" / "worker.log").read_text()
