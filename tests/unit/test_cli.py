"""The messages of the command line before a command starts its work."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from hip3_tasks.cli import main

COMMANDS = (
    "up",
    "page",
    "feed",
    "simulate",
    "probe",
    "record",
    "import",
    "audit",
    "bundle",
    "compact",
    "quarantine",
    "recapture",
    "report",
    "schema",
    "status",
    "tail",
)
START_S = 30


@dataclass(frozen=True)
class Shown:
    returncode: int
    stdout: str
    stderr: str


Hip3 = Callable[..., Shown]


@pytest.fixture
def hip3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Hip3:
    """Run the command line in this process, without settings in the directory and the environment."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("HIP3_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> Shown:
        monkeypatch.setattr(sys, "argv", ["hip3", *arguments])
        returncode = main()
        return Shown(returncode, *capsys.readouterr())

    return run


def test_help_names_every_command(hip3: Hip3) -> None:
    shown = hip3("--help")
    assert shown.returncode == 0
    assert all(f" {command} " in shown.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "simulate"])
def test_each_command_explains_itself(command: str, hip3: Hip3) -> None:
    shown = hip3(command, "--help")
    assert shown.returncode == 0
    assert "Usage:" in shown.stdout


def test_help_needs_none_of_the_slow_imports() -> None:
    slow = ("redis", "pydantic", "celery", "polars")
    code = f"import sys; import hip3_tasks.cli; print([m for m in {slow} if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=START_S)
    assert shown.stdout.strip() == "[]"


def test_the_page_needs_nothing_that_its_extra_lacks() -> None:
    code = "import sys; import hip3_tasks.web.command; print([m for m in ('plotly', 'polars') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=START_S)
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["up", "--rat", "3"], "No such option: --rat"),
        (["up", "--duration", "0"], "--duration: expected a number of seconds above 0, was 0"),
        (["up", "--duration", "nan"], "--duration: expected a number of seconds above 0, was nan"),
        (["up", "--venue", "moon"], "HIP3_VENUE: expected mainnet, testnet, sim or a base URL, was 'moon'"),
        (["up", "--venue", "mainnet", "--seed", "3"], "--seed: only the simulated venue has this, not mainnet"),
        (
            ["up", "--venue", "mainnet", "--fault", "rate-limit"],
            "--fault: only the simulated venue has this, not mainnet",
        ),
        (["up", "--fault", "frozen-bo"], "--fault: no fault is named 'frozen-bo'; close to it: frozen-bbo"),
        (["up", "--fault", "late-coin:xyz:TLSA"], "--fault: the venue lists no 'xyz:TLSA'; close to it: xyz:TSLA"),
        (["up", "--from", "absent.json"], "file 'absent.json' does not exist"),
        (["audit"], "data/sim/signals: No such file or directory: nothing to read"),
        (["audit", "--replay"], "data/sim/signals: no tape of this time is kept"),
        (["replay", "data", "--out", "/"], "/: it holds data already; give a new directory"),
        (["replay", "data", "--out", "new"], "data: no tape of this time is kept"),
        (["replay", "data", "--out", "new", "--offsets", "0"], "--offsets: Input should be greater than 0"),
        (["replay", "data", "--out", "new", "--offsets", "3600001"], "--offsets: Input should be less than"),
        (["replay", "data", "--out", "new", "--since", "1h", "--until", "2h"], "--since 1h is not before --until 2h"),
        (
            ["replay", "data", "--out", "new", "--thresholds", "absent"],
            "--thresholds: expected a file that can be read",
        ),
        (["replay", "d", "--out", "n", "--min-edge", "4", "--thresholds", "x"], "expected either --min-edge or"),
        (["compact"], "data/sim/signals: No such file or directory: nothing to read"),
        (["quarantine", "drop"], "drop: expected either ID... or --all"),
        (["recapture"], "expected either SIGNAL_ID... or --open"),
        (["recapture", "xyz:TSLA-1795338701358", "--open"], "expected either SIGNAL_ID... or --open"),
        (["recapture", "xyz:TSLA-1795338701358", "--since-hours", "1"], "expected either SIGNAL_ID... or --open"),
        (["recapture", "--open", "--since-hours", "inf"], "Invalid value for '--since-hours'"),
        (["page", "--data-dir", "/dev/null"], "/dev/null: not a directory; choose another --data-dir"),
        (["recapture", "--open"], "no Redis: HIP3_REDIS_URL is not set and no `hip3 up` runs in"),
    ],
)
def test_a_mistake_is_one_clear_line_and_exit_2(arguments: list[str], words: str, hip3: Hip3) -> None:
    shown = hip3(*arguments)
    assert shown.returncode == 2
    assert shown.stderr.startswith("hip3: ") and words in shown.stderr
    assert len(shown.stderr.splitlines()) == 1
    assert shown.stdout == ""


def test_every_bad_setting_is_named(hip3: Hip3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIP3_MIN_EDGE_BPS", "ten")
    monkeypatch.setenv("HIP3_COIN", "xyz:TSLA")
    shown = hip3("up")
    assert shown.returncode == 2
    assert "HIP3_MIN_EDGE_BPS: expected a number, was 'ten'" in shown.stderr
    assert "HIP3_COIN: no such setting" in shown.stderr


def test_a_data_directory_that_cannot_be_made_is_an_error(hip3: Hip3, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    shown = hip3("up", "--data-dir", "file/within")
    assert shown.returncode == 2
    assert "Not a directory; choose another --data-dir" in shown.stderr
    assert len(shown.stderr.splitlines()) == 1


@pytest.mark.parametrize("arguments", [["--help"], ["--port", "0", "--help"]])
def test_simulate_passes_all_arguments_on(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "hip3_tasks.cli", "simulate", *arguments]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=START_S)
    assert shown.returncode == 0
    assert "python -m simulator" in shown.stdout


def test_status_of_a_stopped_system_is_red_with_a_reason(hip3: Hip3, tmp_path: Path) -> None:
    shown = hip3("status", "--check", "--data-dir", str(tmp_path))
    assert shown.returncode == 1
    assert "no `hip3 up` runs in" in shown.stderr


def test_status_without_check_shows_and_succeeds(hip3: Hip3, tmp_path: Path) -> None:
    shown = hip3("status", "--data-dir", str(tmp_path))
    assert shown.returncode == 0
    lines = shown.stdout.splitlines()
    assert "signals     0" in lines and any(line.startswith("red  ") for line in lines)
    assert all(len(line) < 160 for line in lines)
