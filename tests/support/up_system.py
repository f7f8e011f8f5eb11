"""A running `hip3 up` as a user starts it, for tests: its process, its children, its files."""

import json
import os
import subprocess
import sys
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

PATIENCE_S = 60


class System:
    """One `hip3 up` and what belongs to it."""

    def __init__(self, data_dir: Path, *arguments: str, cwd: Path | None = None, **settings: str) -> None:
        self.data_dir, self.mark = data_dir, uuid.uuid4().hex
        self.process = subprocess.Popen(
            [*HIP3, "up", "--json", "--data-dir", str(data_dir), *arguments],
            env={**environment(**settings), "SYSTEM_MARK": self.mark},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
            start_new_session=True,
        )

    def finish(self) -> dict[str, Any]:
        """Its last line on stdout, after an end in order."""
        out, err = self.process.communicate(timeout=PATIENCE_S)
        assert self.process.returncode == 0, err
        assert "Traceback" not in err
        (line,) = out.splitlines()
        found: dict[str, Any] = json.loads(line)
        return found

    def others(self) -> list[psutil.Process]:
        """Every living process of it but the first."""
        return [process for process in psutil.process_iter() if self._has(process)]

    def names(self) -> Counter[str]:
        words = [" ".join(process.cmdline()) for process in self.others()]
        known = ("valkey", "simulator", "-m feed", "worker", "flower", "reaper")
        return Counter(name for said in words for name in known if name in said)

    def lines(self, kind: str) -> list[dict[str, Any]]:
        return [
            json.loads(line)
            for path in sorted(self.data_dir.glob(f"{kind}_*.jsonl"))
            for line in path.read_bytes().splitlines()
        ]

    def _has(self, process: psutil.Process) -> bool:
        try:
            # The server writes over its environment to name itself; but it works in its directory.
            mine = process.environ().get("SYSTEM_MARK") == self.mark or str(self.data_dir) in process.cwd()
            return mine and process.pid != self.process.pid and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


HIP3 = [sys.executable, "-m", "hip3_tasks.cli"]


def environment(**settings: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HIP3_")}
    return {**kept, **settings}


def run(*command: str, cwd: Path | None = None, **settings: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command, cwd=cwd, env=environment(**settings), capture_output=True, text=True, timeout=PATIENCE_S
    )
