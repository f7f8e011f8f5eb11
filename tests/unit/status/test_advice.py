"""What is advised can be typed, and problems are told once."""

import shlex
import sys
from pathlib import Path

import pytest

from hip3_tasks.status.next_steps import has_data, report_command, shown
from hip3_tasks.status.terminal import ProblemChanges


@pytest.fixture(autouse=True)
def no_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No `hip3` is found by name alone."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("typed", "expected"), [(".venv/bin/hip3", ".venv/bin/hip3"), ("/x/cli.py", "hip3"), ("-c", "hip3")]
)
def test_the_report_is_advised_as_it_can_be_typed_here(
    typed: str, expected: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", [typed])
    command = report_command(tmp_path / "a b" / "sim", "--html", "report.html")
    assert shlex.split(command) == [expected, "report", "a b/sim", "--html", "report.html"]


def test_a_directory_elsewhere_keeps_its_whole_path() -> None:
    assert shown(Path("/srv/data")) == "/srv/data"


def test_only_a_signal_is_data(tmp_path: Path) -> None:
    (tmp_path / "watched_2026-11-22.jsonl").touch()
    assert not has_data(tmp_path)
    (tmp_path / "signals_2026-11-22.parquet").touch()
    assert has_data(tmp_path)


def test_each_problem_is_told_when_it_comes_and_when_it_goes() -> None:
    changes = ProblemChanges()
    assert changes.update(["the feed is silent for 6 s"]) == ["red: the feed is silent for 6 s"]
    assert changes.update(["the feed is silent for 7 s", "Redis: away"]) == ["red: Redis: away"]
    assert changes.update(["Redis: away"]) == ["over: the feed is silent for 7 s"]
    assert changes.update([]) == ["over: Redis: away"]
    assert changes.update([]) == []
