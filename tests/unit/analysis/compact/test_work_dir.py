"""One process at a time works on a day, and the folders of dead ones are removed."""

import multiprocessing
import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from hip3_tasks.analysis.compact.work_dir import Busy, remove_stale, work_dir

DAY = "2026-01-20"


def test_a_work_dir_is_empty_at_first_and_removed_at_the_end(tmp_path: Path) -> None:
    for _ in range(2):
        with work_dir(tmp_path, DAY) as folder:
            assert folder.parent == tmp_path and list(folder.iterdir()) == []
            (folder / "half.parquet").touch()
        assert list(tmp_path.iterdir()) == []


def test_a_work_dir_is_removed_after_an_error(tmp_path: Path) -> None:
    with suppress(ZeroDivisionError), work_dir(tmp_path, DAY) as folder:
        (folder / "half.parquet").touch()
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_two_processes_do_not_work_on_one_day(tmp_path: Path) -> None:
    with work_dir(tmp_path, DAY) as folder, work_dir(tmp_path, "2026-01-21"):
        (folder / "half.parquet").touch()
        with pytest.raises(Busy), work_dir(tmp_path, DAY):
            pass
        remove_stale(tmp_path)
        assert (folder / "half.parquet").exists()


def _die_at_work(data_dir: Path) -> None:
    with work_dir(data_dir, DAY) as folder:
        (folder / "half.parquet").touch()
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("is_removed", [True, False])
def test_the_folder_of_a_dead_process_is_removed_or_taken_over(tmp_path: Path, is_removed: bool) -> None:
    dying = multiprocessing.get_context("forkserver").Process(target=_die_at_work, args=(tmp_path,))
    dying.start()
    dying.join()
    assert dying.exitcode == -signal.SIGKILL
    assert [path.name for path in tmp_path.rglob("half.parquet")] == ["half.parquet"]
    if is_removed:
        remove_stale(tmp_path)
        assert list(tmp_path.iterdir()) == []
    with work_dir(tmp_path, DAY) as folder:
        assert list(folder.iterdir()) == []
