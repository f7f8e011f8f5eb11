"""Suggested commands can be typed."""

import shlex
import sys
from pathlib import Path

import pytest

from hip3_tasks.status.next_steps import has_data, report_command, shown


@pytest.fixture(autouse=True)
def no_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No `hip3` is on the PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("typed", "expected"), [(".venv/bin/hip3", ".venv/bin/hip3"), ("/x/cli.py", "hip3"), ("-c", "hip3")]
)
def test_the_suggested_report_command_can_be_typed_here(
    typed: str, expected: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", [typed])
    command = report_command(tmp_path / "a b" / "sim", "--html", "report.html")
    assert shlex.split(command) == [expected, "report", "a b/sim", "--html", "report.html"]


def test_a_directory_elsewhere_keeps_its_full_path() -> None:
    assert shown(Path("/srv/data")) == "/srv/data"


def test_only_a_signal_is_data(tmp_path: Path) -> None:
    (tmp_path / "watched_2026-11-22.jsonl").touch()
    assert not has_data(tmp_path)
    (tmp_path / "signals_2026-11-22.parquet").touch()
    assert has_data(tmp_path)
