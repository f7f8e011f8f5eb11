"""A process of the system under test: started in a session of its own, signalled and ended by its id."""

import os
import random
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
PATIENCE_S = 20.0


class Part:
    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
    ) -> None:
        self.name, self.command, self._environment, self._cwd = name, list(command), environment, cwd
        self._log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command, cwd=self._cwd, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def said(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def children(self) -> list[int]:
        """The ids of its living children, oldest first."""
        with suppress(psutil.NoSuchProcess):
            found = psutil.Process(self.pid).children()
            return [child.pid for child in sorted(found, key=lambda child: child.create_time()) if child.is_running()]
        return []

    def signal(self, number: int) -> None:
        """Send its first process a signal, as an operator would."""
        if self.is_running:
            os.kill(self.pid, number)

    def signal_all(self, number: int) -> None:
        """Send it and all its children a signal."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def kill_child(self, chance: random.Random) -> None:
        """End one of its children at once, if it has any."""
        if children := self.children():
            with suppress(ProcessLookupError):
                os.kill(chance.choice(children), signal.SIGKILL)

    def wait(self, within_s: float = PATIENCE_S) -> int:
        """Its exit code. Raises subprocess.TimeoutExpired."""
        assert self._process is not None
        return self._process.wait(within_s)

    def kill(self) -> None:
        """End it and its children at once, stopped or not."""
        if self._process is not None:
            self.signal_all(signal.SIGKILL)
            self._process.wait()
