"""The real command on outputs that cannot encode its text or refuse it."""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.support.factories import a_followup, a_signal
from tests.support.generators import OFFSETS_MS, Directory
from tests.support.process import environment

HIP3 = (sys.executable, "-m", "hip3_tasks")
TIMEOUT_S = 60


@pytest.fixture(scope="module")
def work_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with data in `données`: one signal with its follow-ups, one without."""
    path = tmp_path_factory.mktemp("work")
    answered, open_one = a_signal(), a_signal("xyz:OPEN")
    Directory(path / "données").add(answered, open_one, *(a_followup(answered, ms) for ms in OFFSETS_MS))
    return path


def hip3(
    work_dir: Path, *arguments: str, encoding: str = "utf-8", stdout: int = subprocess.PIPE
) -> tuple[int, str, str]:
    env = environment(PYTHONIOENCODING=encoding, HIP3_DATA_DIR="données")
    ended = subprocess.run(
        [*HIP3, *arguments], cwd=work_dir, env=env, stdout=stdout, stderr=subprocess.PIPE, timeout=TIMEOUT_S
    )
    return ended.returncode, (ended.stdout or b"").decode(encoding), ended.stderr.decode(encoding)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize(
    ("arguments", "status", "shown"),
    [
        (["report"], 0, "2 signals of 2 markets"),
        (["report", "--help"], 0, "Usage: hip3 report"),
        (["audit", "données"], 1, "donn"),
        (["compact"], 1, "donn"),
        (["status"], 0, "signals     0\n"),
        ([], 2, "Usage: hip3"),
    ],
)
def test_characters_that_an_output_cannot_encode_are_replaced(
    work_dir: Path, arguments: list[str], status: int, shown: str, encoding: str
) -> None:
    returncode, out, err = hip3(work_dir, *arguments, encoding=encoding)
    assert (returncode, err) == (status, "")
    assert shown in out


def test_a_minus_stays_a_minus_where_the_encoding_has_only_ascii(work_dir: Path) -> None:
    _, in_utf8, _ = hip3(work_dir, "report", "--cost-bps", "90")
    _, in_ascii, _ = hip3(work_dir, "report", "--cost-bps", "90", encoding="ascii")
    assert in_utf8.count("\N{MINUS SIGN}") > 0
    assert in_ascii.count("-") > in_utf8.count("\N{MINUS SIGN}")
    assert "?" not in in_ascii and "\\u" not in in_ascii


@pytest.mark.parametrize("arguments", [["report"], ["audit", "données", "--json"], ["--version"]])
def test_an_output_that_takes_nothing_is_one_line(work_dir: Path, arguments: list[str]) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        returncode, _, err = hip3(work_dir, *arguments, stdout=full)
    finally:
        os.close(full)
    assert (returncode, err) == (2, "hip3: No space left on device\n")


@pytest.mark.parametrize("arguments", [["report"], ["audit", "données", "--json"], ["--version"]])
def test_a_reader_that_went_away_is_no_news(work_dir: Path, arguments: list[str]) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        returncode, _, err = hip3(work_dir, *arguments, stdout=write_end)
    finally:
        os.close(write_end)
    assert (returncode, err) == (1, "")


def test_an_audit_that_finds_faults_prints_json_and_nothing_else(work_dir: Path) -> None:
    returncode, out, err = hip3(work_dir, "audit", "données", "--json")
    assert (returncode, err) == (1, "")
    assert json.loads(out)["ok"] is False


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_the_version_is_that_of_the_package(work_dir: Path, flag: str) -> None:
    assert hip3(work_dir, flag) == (0, f"hip3 {version('hip3-tasks')}\n", "")


def test_a_bare_command_prints_only_its_help(work_dir: Path) -> None:
    returncode, out, err = hip3(work_dir)
    assert (returncode, err) == (2, "")
    assert " report " in out
