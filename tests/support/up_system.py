"""A running `hip3 up` as a user starts it, for tests: its process, its children, its files."""

import json
import uuid
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from tests.support.process import HIP3, TIMEOUT_S, ProcessUnderTest, environment
from tests.support.waiting import eventually


class UpSystem:
    """One `hip3 up` and every process that it started. `command` replaces the default command."""

    def __init__(
        self,
        data_dir: Path,
        *arguments: str,
        command: Sequence[str] = (),
        cwd: Path | None = None,
        **settings: str,
    ) -> None:
        self.data_dir, self.mark = data_dir, uuid.uuid4().hex
        self.process = ProcessUnderTest(
            *(command or (*HIP3, "up", "--json", "--data-dir", str(data_dir), *arguments)),
            log=data_dir.with_name(f"up-{self.mark}.log"),
            stdout=data_dir.with_name(f"up-{self.mark}.out"),
            cwd=cwd or Path.cwd(),
            env=environment(**settings, SYSTEM_MARK=self.mark),
        ).start()

    def wait(self) -> tuple[int, str, str]:
        """Wait until it has ended; return its exit code, stdout and stderr."""
        return self.process.wait(TIMEOUT_S), self.process.stdout, self.process.log

    def finish(self) -> dict[str, Any]:
        """Wait until it has ended in order, and return its last line on stdout."""
        code, out, err = self.wait()
        assert code == 0, err
        assert "Traceback" not in err
        (line,) = out.splitlines()
        summary: dict[str, Any] = json.loads(line)
        return summary

    def kill(self) -> None:
        """Kill its first process, and wait until all others have ended by themselves."""
        self.process.kill()
        self.wait_until_gone()

    def wait_until_gone(self, *, within_s: float = TIMEOUT_S) -> None:
        eventually("every process has ended", lambda: not self.others(), within_s=within_s)

    def wait_for_log(self, name: str, words: str) -> None:
        eventually(
            f"{words!r} in the log of {name}",
            lambda: words in self.log(name),
            within_s=TIMEOUT_S,
            details=lambda: self.log(name)[-3000:],
        )

    def wait_for_lines(self, kind: str, *, more_than: int = 0) -> None:
        eventually(f"{kind} on disk", lambda: len(self.lines(kind)) > more_than, within_s=TIMEOUT_S)

    def others(self) -> list[psutil.Process]:
        """Its living processes, except the first."""
        return [process for process in psutil.process_iter() if self._has(process)]

    def names(self) -> Counter[str]:
        command_lines = [" ".join(process.cmdline()) for process in self.others()]
        known = ("valkey", "simulator", "-m feed", "worker", "flower", "cli record", "reaper")
        return Counter(name for command_line in command_lines for name in known if name in command_line)

    def log(self, name: str) -> str:
        """The log file of one of its processes, by name."""
        path = self.data_dir / "logs" / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def lines(self, kind: str) -> list[dict[str, Any]]:
        return [
            json.loads(line)
            for path in sorted(self.data_dir.glob(f"{kind}_*.jsonl"))
            for line in path.read_bytes().splitlines()
        ]

    def _has(self, process: psutil.Process) -> bool:
        try:
            # The server overwrites its environment with its title, so it is known by its directory.
            mine = process.environ().get("SYSTEM_MARK") == self.mark or str(self.data_dir) in process.cwd()
            return mine and process.pid != self.process.pid and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False
