"""Commands find the server and the name of a running system by its data directory."""

import os
from pathlib import Path

import pytest

from hip3_tasks import settings
from hip3_tasks.errors import Unavailable
from hip3_tasks.run_file import RunFile, located


def run_file(data_dir: Path, *, pid: int = 0) -> None:
    RunFile(
        pid=pid or os.getpid(),
        started_at_ms=0,
        name="mainnet-1a2b",
        control_name="desk",
        redis_url="redis://127.0.0.1:7/0",
        venue_url="http://v",
    ).write(data_dir)


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("HIP3_")]:
        monkeypatch.delenv(name)


def test_server_and_name_come_from_the_running_system_for_any_venue(tmp_path: Path) -> None:
    run_file(tmp_path)
    settings_in_use = located(settings.load(data_dir=tmp_path))
    assert (settings_in_use.redis_url, settings_in_use.feed_name) == ("redis://127.0.0.1:7/0", "mainnet-1a2b")
    assert settings_in_use.control_name == "desk"
    assert located(settings.load(data_dir=tmp_path, control_name="mine")).control_name == "mine"


def test_a_given_server_is_taken_and_a_name_that_is_another_one_refused(tmp_path: Path) -> None:
    run_file(tmp_path)
    given = settings.load(data_dir=tmp_path, redis_url="redis://127.0.0.1:8/0", name="mine")
    assert located(given) is given
    with pytest.raises(Unavailable, match="HIP3_NAME is 'mine'"):
        located(settings.load(data_dir=tmp_path, name="mine"))


def test_the_run_file_of_a_dead_system_is_ignored(tmp_path: Path) -> None:
    run_file(tmp_path, pid=2**22 + 1)
    with pytest.raises(Unavailable, match="no `hip3 up` runs in"):
        located(settings.load(data_dir=tmp_path))


def test_the_run_file_is_readable_only_by_its_owner(tmp_path: Path) -> None:
    RunFile.path(tmp_path).with_suffix(".part").touch(mode=0o666)
    run_file(tmp_path)
    assert RunFile.path(tmp_path).stat().st_mode & 0o777 == 0o600
    run = RunFile.read(tmp_path)
    assert run is not None and "redis://" not in repr(run)
