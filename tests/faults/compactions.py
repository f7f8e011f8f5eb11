"""Row 27: compaction of a day that a feed and two workers still write, killed at random until the day is closed."""

import multiprocessing
import random
from collections import Counter
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

from hip3_tasks.files.day_files import is_closed
from tests.faults.row import Result, Setting
from tests.support import compacting

DAYS = 100
KILLS = 20
"""Largest number of kills for a day; fewer when the day is closed earlier."""
LIFE_S = 0.005, 0.25
END_TIMEOUT_S = 60

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["tests.support.compacting"])


def compaction_killed(setting: Setting) -> Result:
    """A hundred days, each closed at the end; its Parquet has each accepted outcome once, and no other."""
    result, chance, days = Result(), random.Random(27), setting.share(DAYS, least=2)
    for number in range(days):
        data_dir = setting.folder / f"{number}"
        data_dir.mkdir()
        outcome_files = [setting.folder / f"{number}.{worker}" for worker in range(2)]
        writers = [_run(compacting.feed_until_the_day_is_closed, data_dir, number)]
        writers += [
            _run(compacting.work_until_the_day_is_closed, data_dir, seed, path)
            for seed, path in enumerate(outcome_files)
        ]
        for _ in range(KILLS):
            if is_closed(data_dir, compacting.DAY):
                break
            compaction = _run(compacting.compact_again_and_again, data_dir)
            compaction.join(chance.uniform(*LIFE_S))
            if compaction.exitcode is None:
                compaction.kill()
                result.injected += 1
            compaction.join()
        for process in (_run(compacting.compact_again_and_again, data_dir), *writers):
            process.join(END_TIMEOUT_S)
            assert process.exitcode == 0, f"day {number}: exit {process.exitcode}"
        _judge(data_dir, outcome_files, result)
        setting.advance(number + 1, days)
    return result


def _run(target: Callable[..., None], *args: object) -> BaseProcess:
    process = processes.Process(target=target, args=args)
    process.start()
    return process


def _judge(data_dir: Path, outcome_files: list[Path], result: Result) -> None:
    taken = Counter(line for path in outcome_files for line in path.read_bytes().splitlines())
    rows = compacting.rows_in(data_dir)
    kept = Counter(rows["followups"] + rows["missed"])
    result.wanted += len(taken)
    result.lost += len(taken - kept)
    result.duplicated += sum(times - 1 for times in kept.values()) + abs(3 * len(rows["signals"]) - len(kept))
    result.wrong += len(kept - taken)
    if rows != compacting.lines_in(data_dir):
        result.add_broken(f"{data_dir}: Parquet and lines differ")
