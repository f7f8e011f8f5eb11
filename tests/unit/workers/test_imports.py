"""Imports of a pool process, in a process of its own as a spawned one is."""

import subprocess
import sys

from tests.support.process import ROOT


def test_workers_import_no_consoles_colours_and_leave_them_to_others() -> None:
    code = "import sys, workers.tasks; assert 'rich' not in sys.modules; import structlog, rich"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_pool_process_imports_nothing_of_the_strategy() -> None:
    code = "import sys, workers.tasks; assert 'workers.due_batches.strategy' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
