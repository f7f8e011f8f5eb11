"""One process works on a day, and what a dead one left behind goes."""

import multiprocessing
import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from hip3_tasks.analysis.compact.work_dir import Busy, clear, workshop

DAY = "2026-01-20"


def test_a_workshop_is_empty_at_first_and_gone_at_the_end(tmp_path: Path) -> None:
    for _ in range(2):
        with workshop(tmp_path, DAY) as folder:
            assert folder.parent == tmp_path and list(folder.iterdir()) == []
            (folder / "half.parquet").touch()
        assert list(tmp_path.iterdir()) == []


def test_it_is_gone_after_an_error_too(tmp_path: Path) -> None:
    with suppress(ZeroDivisionError), workshop(tmp_path, DAY) as folder:
        (folder / "half.parquet").touch()
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_two_do_not_work_on_one_day(tmp_path: Path) -> None:
    with workshop(tmp_path, DAY) as folder, workshop(tmp_path, "2026-01-21"):
        (folder / "half.parquet").touch()
        with pytest.raises(Busy), workshop(tmp_path, DAY):
            pass
        clear(tmp_path)
        assert (folder / "half.parquet").exists()


def _die_at_work(data_dir: Path) -> None:
    with workshop(data_dir, DAY) as folder:
        (folder / "half.parquet").touch()
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("is_cleared", [True, False])
def test_what_a_dead_one_left_is_cleared_or_taken_over(tmp_path: Path, is_cleared: bool) -> None:
    dying = multiprocessing.get_context("forkserver").Process(target=_die_at_work, args=(tmp_path,))
    dying.start()
    dying.join()
    assert dying.exitcode == -signal.SIGKILL
    assert [path.name for path in tmp_path.rglob("half.parquet")] == ["half.parquet"]
    if is_cleared:
        clear(tmp_path)
        assert list(tmp_path.iterdir()) == []
    with workshop(tmp_path, DAY) as folder:
        assert list(folder.iterdir()) == []
