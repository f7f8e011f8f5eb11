"""What to do next, as commands that can be pasted where this one was typed."""

import shlex
import shutil
import sys
from contextlib import suppress
from pathlib import Path


def report_command(data_dir: Path, *options: str) -> str:
    """The report on a data directory."""
    return shlex.join([_program(), "report", shown(data_dir), *options])


def shown(path: Path) -> str:
    """A path as a person would type it: from the working directory, if it is in there."""
    with suppress(OSError, ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def has_data(data_dir: Path) -> bool:
    """Whether there is a signal to report on."""
    return any(data_dir.glob("signals_*"))


def _program() -> str:
    """A program out of a virtual environment that is not active needs its path."""
    typed = sys.argv[0]
    return typed if Path(typed).name == "hip3" and shutil.which("hip3") is None else "hip3"
