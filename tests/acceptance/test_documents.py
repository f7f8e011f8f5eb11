"""Every block of code in the documents is executed, in a copy of the checkout, beside one running system.

The system is the README's `make run`. The README's other run, which ends by itself, takes place in another copy at the
same time. Blocks that cannot be executed are listed in `tests.support.documents`.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from hip3_tasks.run_file import RunFile
from simulator.history import HistoryPlan, write
from tests.support.documents import DOCUMENTS, ROOT, Block, blocks_of
from tests.support.up_system import environment
from tests.support.waiting import eventually

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

RUN = "make run"
FINITE_RUN = 'make run ARGS="--duration 25"'
EXPECTED_STATUS = {"HIP3_RETENTION_S=soon hip3 status": 2}
SIGNAL_ID = re.compile(r"\b(?:xyz|para):[A-Z0-9]+-\d{13}\b")
"""The signal id in the documents; a signal of the running system replaces it."""
PAGE_URL = "http://127.0.0.1:8700"
LEFT_OUT = {".env", ".git", ".venv", "build", "data", "dist"}
HISTORY = HistoryPlan(signals=1000, markets=4)
TIMEOUT_S = 90
AT_ONCE = 4
"""Number of documents at a time; their commands wait for other processes half of the time."""


class Checkout:
    """A copy of this checkout with data of its own: a folder of links, in which commands run as a user runs them."""

    def __init__(self, folder: Path, history: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for entry in ROOT.iterdir():
            if entry.name not in LEFT_OUT:
                (folder / entry.name).symlink_to(entry)
        venv = folder / ".venv"
        venv.mkdir()
        for entry in Path(sys.prefix).iterdir():
            (venv / entry.name).symlink_to(entry)
        for stamp in (".runtime", ".dev"):  # newer than the locks, so that make installs nothing
            (venv / stamp).unlink(missing_ok=True)
            (venv / stamp).touch()
        for copy in ("history", "data/mainnet/signals"):
            shutil.copytree(history, folder / copy)

    @property
    def environment(self) -> dict[str, str]:
        path = f"{self.folder / '.venv' / 'bin'}:{os.environ['PATH']}"
        return environment(PATH=path, HOME=str(self.folder), PYTHONDONTWRITEBYTECODE="1")

    def start(self, *command: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def problem(self, block: Block, script: str) -> str:
        """Execute a block; return its exit status and output if it failed, else ""."""
        command = [sys.executable, "-c", script] if block.language == "python" else ["sh", "-euc", script]
        process = self.start(*command)
        output = output_of(process)
        if process.returncode == EXPECTED_STATUS.get(block.first_command, 0) and "Traceback" not in output:
            return ""
        return f"{block.place}: exit status {process.returncode}\n{script}\n{output}"


def output_of(process: "subprocess.Popen[str]") -> str:
    """Wait for the end of a process, and kill it with its group if that takes too long."""
    try:
        output, _ = process.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        kill(process)
        raise
    return output


def kill(process: "subprocess.Popen[str]") -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@contextmanager
def running(checkout: Checkout) -> Iterator[RunFile]:
    """Run `make run` during the block; then Ctrl-C, which drains the open captures."""
    data_dir = checkout.folder / "data" / "sim" / "signals"
    process = checkout.start(*RUN.split())
    try:
        eventually(
            "a signal has its follow-ups",
            lambda: settled_signal(data_dir) or process.poll() is not None,
            within_s=TIMEOUT_S,
        )
        assert process.poll() is None, output_of(process)
        run_file = RunFile.read(data_dir)
        assert run_file is not None
        yield run_file
        os.killpg(process.pid, signal.SIGINT)
        output = output_of(process)
        assert "pending 0" in output and "Traceback" not in output, output
    finally:
        if process.poll() is None:
            kill(process)


def settled_signal(data_dir: Path) -> str:
    """The id of a signal with all its follow-ups; "" while no signal has them."""
    lines = [line for path in data_dir.glob("followups_*.jsonl") for line in path.read_bytes().splitlines()]
    records = map(json.loads, lines)
    return next((record["signal_id"] for record in records if record["offset_ms"] == 5000), "")


def finite_run(checkout: Checkout) -> str:
    """The output of the README's run with a duration."""
    process = checkout.start("sh", "-c", FINITE_RUN)
    output = output_of(process)
    assert process.returncode == 0, output
    return output


def problems_of(document: str, checkout: Checkout, *, page_url: str, signal_id: str) -> list[str]:
    problems = []
    for block in blocks_of(document):
        if block.is_executed and block.first_command not in (RUN, FINITE_RUN):
            script = SIGNAL_ID.sub(signal_id, block.script).replace(PAGE_URL, page_url)
            problems.append(checkout.problem(block, script))
    return [problem for problem in problems if problem]


def test_every_block_of_code_runs(tmp_path: Path) -> None:
    history = tmp_path / "history"
    write(HISTORY, history)
    first, finite = Checkout(tmp_path / "first", history), Checkout(tmp_path / "finite", history)
    system_dir = first.folder / "data" / "sim"

    def problems_in(document: str) -> list[str]:
        checkout = Checkout(tmp_path / document.replace("/", "-"), history)
        (checkout.folder / "data" / "sim").symlink_to(system_dir)
        return problems_of(document, checkout, page_url=str(run_file.page_url), signal_id=signal_id)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        summary = pool.submit(finite_run, finite)
        with running(first) as run_file:
            signal_id = settled_signal(system_dir / "signals")
            problems = [problem for in_document in pool.map(problems_in, DOCUMENTS) for problem in in_document]
    assert problems == [], "\n\n".join(problems)
    assert "pending 0" in summary.result()
    first_commands = {block.first_command for document in DOCUMENTS for block in blocks_of(document)}
    assert {RUN, FINITE_RUN} <= first_commands
