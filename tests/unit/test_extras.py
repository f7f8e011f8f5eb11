"""The message for a user who lacks a package."""

import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from hip3_tasks.cli.exit_status import EXTRAS, install_command

ROOT = Path(__file__).parents[2]
START_S = 30


def test_in_a_checkout_the_command_installs_the_checkout(tmp_path: Path) -> None:
    root = tmp_path / "a b"
    root.mkdir()
    (root / "pyproject.toml").touch()
    words = shlex.split(install_command("web", root=root))
    assert words == [sys.executable, "-m", "pip", "install", "-e", f"{root}[web]"]


def test_elsewhere_the_command_installs_the_package(tmp_path: Path) -> None:
    words = shlex.split(install_command("analysis", root=tmp_path))
    assert words == [sys.executable, "-m", "pip", "install", "hip3-tasks[analysis]"]


@pytest.mark.parametrize(("package", "extra"), EXTRAS.items())
def test_an_extra_brings_the_package(package: str, extra: str) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert any(line.startswith(package.replace("_", "-")) for line in extras[extra])


@pytest.mark.parametrize(("command", "package"), [("report", "polars"), ("compact", "polars"), ("page", "uvicorn")])
def test_a_missing_package_is_reported_with_its_extra(command: str, package: str, tmp_path: Path) -> None:
    lacking = f"import sys; sys.modules['{package}'] = None; sys.argv[:] = ['hip3', '{command}']"
    code = f"{lacking}; from hip3_tasks.cli import main; sys.exit(main())"
    shown = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=START_S)
    assert shown.returncode == 2
    assert shown.stderr == f"hip3: {package} is not installed: {install_command(EXTRAS[package])}\n"
