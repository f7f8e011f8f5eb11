"""Processes under test: one way to start them, to wait for what they log, and to end them."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil

from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 60.0
CELERY = (sys.executable, "-m", "celery", "-A", "hip3_tasks")
HIP3 = (sys.executable, "-m", "hip3_tasks.cli")


INHERITED_FROM_MAKE = ("MAKEFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "MFLAGS", "ARGS", "JOBS", "PYTHON")
"""With these a `make run` of a test would use the ARGS and JOBS of the `make test` that runs the test."""


def environment(**settings: str) -> dict[str, str]:
    """The environment of this process without its `HIP3_*` settings and those of make, and with the given ones."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("HIP3_") and name not in INHERITED_FROM_MAKE
    }
    return kept | settings


def run(*command: str, cwd: Path | None = None, **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    return subprocess.run(
        command, cwd=cwd, env=environment(**settings), capture_output=True, text=True, timeout=TIMEOUT_S
    )


class ProcessUnderTest:
    """A process in a session of its own, whose output goes to a file. A context starts and kills it.

    Once it has ended it can be started again. With `stdout`, only its stderr goes to `log_path`.
    """

    def __init__(
        self,
        *command: str | Path,
        log: Path,
        stdout: Path | None = None,
        cwd: Path = ROOT,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.command, self.log_path, self.stdout_path = list(map(str, command)), log, stdout or log
        self._cwd, self._environment = cwd, environment() if env is None else env
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        with self.log_path.open("ab") as log, self.stdout_path.open("ab") as stdout:
            self._process = subprocess.Popen(
                self.command,
                cwd=self._cwd,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=log,
                start_new_session=True,
            )
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        assert self._process is not None, f"never started: {self.command}"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    @property
    def stdout(self) -> str:
        return self.stdout_path.read_text(errors="replace") if self.stdout_path.exists() else ""

    def children(self) -> list[int]:
        """The ids of its living children, oldest first."""
        with suppress(psutil.NoSuchProcess):
            children = psutil.Process(self.pid).children()
            return [child.pid for child in sorted(children, key=psutil.Process.create_time) if child.is_running()]
        return []

    def wait_for(self, *words: str, within_s: float = TIMEOUT_S) -> None:
        """Wait until its log contains all the words. Raises AssertionError, also when it ends before that."""
        eventually(
            f"{' and '.join(words)} in {self.log_path.name}",
            lambda: all(word in self.log for word in words) or not self.is_running,
            within_s=within_s,
            details=lambda: self.log[-3000:],
        )
        assert all(word in self.log for word in words), f"ended with {self.wait()}:\n{self.log[-3000:]}"

    def wait(self, within_s: float = TIMEOUT_S) -> int:
        """Wait until it has ended, and return its exit code. Raises subprocess.TimeoutExpired."""
        assert self._process is not None
        return self._process.wait(within_s)

    def send_signal(self, number: int) -> None:
        """Send its first process a signal, as an operator would."""
        if self.is_running:
            os.kill(self.pid, number)

    def signal_group(self, number: int) -> None:
        """Send it and all its children a signal."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it and its children at once, stopped or not."""
        if self._process is not None:
            self.signal_group(signal.SIGKILL)
            self._process.wait()
