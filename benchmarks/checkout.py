"""The source tree whose product is measured: this one, or another with a .venv of its own."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import ROOT


@dataclass(frozen=True, slots=True)
class Checkout:
    root: Path
    python: Path

    @classmethod
    def from_root(cls, root: Path | None) -> "Checkout":
        """The tree at `root`, or this one for None. Raises FileNotFoundError when the tree has no .venv."""
        if root is None:
            return cls(ROOT, Path(sys.executable))
        python = root.absolute() / ".venv/bin/python"
        if not python.exists():
            raise FileNotFoundError(f"{root} has no .venv/bin/python; run `make setup` there first")
        return cls(root.absolute(), python)

    @property
    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": str(self.root)}

    def hip3(self, *arguments: str) -> list[str]:
        return [str(self.python), "-P", "-m", "hip3_tasks.cli", *arguments]

    def commit(self) -> str:
        """The commit, followed by + when files differ from it; `unknown` outside git."""
        git = ["git", "-C", str(self.root)]
        head = _run(*git, "rev-parse", "--short", "HEAD").stdout.strip()
        changed = _run(*git, "status", "--porcelain", "-uno").stdout
        return head + "+" * bool(changed) or "unknown"

    def python_version(self) -> str:
        code = "import platform; print(platform.python_version())"
        return _run(str(self.python), "-c", code).stdout.strip()

    def must_pass_audit(self, data_dir: Path) -> None:
        """Run `hip3 audit`. Raises RuntimeError with its output unless every capture is there once, and correct."""
        audit = _run(*self.hip3("audit", str(data_dir)), cwd=data_dir, env=os.environ | self.environment)
        if audit.returncode:
            why = audit.stdout or audit.stderr
            raise RuntimeError(f"the audit after the run fails, so its figures mean nothing:\n{why}")


def _run(*command: str, **more: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, check=False, capture_output=True, text=True, **more)
