"""Suggested commands, which can be pasted where this one was typed."""

import shlex
import shutil
import sys
from contextlib import suppress
from pathlib import Path


def report_command(data_dir: Path, *options: str) -> str:
    """The command for a report on a data directory."""
    return shlex.join([_program(), "report", shown(data_dir), *options])


def shown(path: Path) -> str:
    """The path to type: relative, if it is inside the working directory."""
    with suppress(OSError, ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def has_data(data_dir: Path) -> bool:
    """Whether there is a signal to report on."""
    return any(data_dir.glob("signals_*"))


def _program() -> str:
    """The name to type; a program of a virtual environment that is not active needs its path."""
    typed = sys.argv[0]
    return typed if Path(typed).name == "hip3" and shutil.which("hip3") is None else "hip3"
