"""The health file of a process, and the command with which a container checks it."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from hip3_tasks.health import FILE_RED_S, read_health_file, waiting_for_disk, write_health_file
from tests.support.factories import T0_MS


def test_a_fresh_health_file_lists_the_problems(tmp_path: Path) -> None:
    path = tmp_path / "feed"
    write_health_file(path, [])
    assert read_health_file(path) == []
    write_health_file(path, ["the watermark has stood for 7 s", "no market is live: ?"])
    assert read_health_file(path) == ["the watermark has stood for 7 s", "no market is live: ?"]


def test_an_old_health_file_is_red(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "worker"
    write_health_file(path, [])
    later_s = time.monotonic() + FILE_RED_S + 1
    monkeypatch.setattr(time, "monotonic", lambda: later_s)
    assert read_health_file(path) == [f"{path}: not updated for 16 s"]


def test_a_missing_health_file_is_red(tmp_path: Path) -> None:
    assert read_health_file(tmp_path / "feed") == [f"{tmp_path / 'feed'}: No such file or directory"]


def test_the_health_command_imports_little_and_sets_its_exit_status(tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "hip3_tasks.health", str(tmp_path / "feed")]
    write_health_file(tmp_path / "feed", [])
    well = subprocess.run(command, capture_output=True, text=True)
    write_health_file(tmp_path / "feed", ["the watermark is missing"])
    red = subprocess.run(command, capture_output=True, text=True)
    assert (well.returncode, well.stdout) == (0, "all is well\n")
    assert (red.returncode, red.stdout) == (1, "the watermark is missing\n")
    assert not {"pydantic", "redis", "celery", "asyncio"} & {
        line.split("|")[-1].strip() for line in red.stderr.split("\n")
    }


@pytest.mark.parametrize(
    ("signals", "oldest_age_ms", "expected"),
    [
        (0, None, []),
        (1, 999, []),
        (40, 3, []),
        (1, 1_000, ["1 signal waits for the disk, for 1 s"]),
        (1_200, 4_200, ["1,200 signals wait for the disk, for 4 s"]),
    ],
)
def test_signals_that_wait_for_their_sync_are_red_once_the_oldest_has_waited_a_second(
    signals: int, oldest_age_ms: int | None, expected: list[str]
) -> None:
    oldest_at_ms = None if oldest_age_ms is None else T0_MS - oldest_age_ms
    assert waiting_for_disk(signals, oldest_at_ms=oldest_at_ms, at_ms=T0_MS) == expected
