"""Several processes append to one journal: some are killed, some reach a limit, some fork."""

import multiprocessing
import os
import random
import signal
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from hip3_tasks.domain.records import Followup, Missed, key_of
from tests.support.factories import texts
from tests.support.journals import FIRST, followups_path, keys_in, missed_path, opened
from tests.support.processes import (
    append_at_random,
    append_in_a_forked_child_as_well,
    append_until_the_file_is_full,
    record_of,
)
from tests.support.waiting import eventually

START_S = 30
spawn = multiprocessing.get_context("spawn")


def run(target: Callable[..., None], *arguments: Any) -> int | None:
    process = spawn.Process(target=target, args=arguments)
    process.start()
    process.join(START_S)
    try:
        return process.exitcode
    finally:
        process.kill()
        process.join()
        process.close()


def answered(paths: Sequence[Path]) -> set[int]:
    return {int(line) for path in paths if path.exists() for line in path.read_bytes().split(b"\n")[:-1]}


def test_processes_that_are_killed_leave_each_key_once_and_nothing_torn(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    chance = random.Random(20261122)
    numbers = range(1200)
    logs: list[Path] = []
    running: list[BaseProcess] = []

    def start(seed: int) -> None:
        logs.append(tmp_path / f"answered-{seed}")
        some = chance.sample(numbers, 700)
        running.append(spawn.Process(target=append_at_random, args=(data_dir, some, seed, logs[-1])))
        running[-1].start()

    for seed in range(3):
        start(seed)
    for seed in range(3, 6):
        victim = chance.choice(running)
        before = len(answered(logs))
        eventually("60 more", lambda n=before: len(answered(logs)) > n + 60, interval_s=0.001)
        os.kill(victim.pid or 0, signal.SIGKILL)
        start(seed)
    for process in running:
        process.join(START_S)
        assert process.exitcode in (0, -signal.SIGKILL)
        process.close()

    files = followups_path(data_dir), missed_path(data_dir)
    with opened(data_dir) as journal:
        outcomes = texts(journal.append([record_of(number) for number in numbers]))
    assert all(outcomes[number].startswith("already") for number in answered(logs))
    assert sorted(keys_in(*files)) == sorted(key_of(record_of(number).line()) for number in numbers)
    for file, kind in zip(files, (Followup, Missed), strict=True):
        content = file.read_bytes()
        assert content.endswith(b"\n")
        assert [kind.from_line(line) for line in content.splitlines()]


def test_a_file_at_its_size_limit_has_only_complete_lines(tmp_path: Path) -> None:
    limit_bytes = len(FIRST.line()) * 5 + 100
    assert run(append_until_the_file_is_full, tmp_path, limit_bytes) == 0
    content = followups_path(tmp_path).read_bytes()
    assert content.endswith(b"\n")
    assert len(content) <= limit_bytes
    with opened(tmp_path) as journal:
        journal.append([record_of(number) for number in range(100)])
    keys = keys_in(followups_path(tmp_path), missed_path(tmp_path))
    assert len(keys) == len(set(keys)) == 100


def test_a_forked_child_has_its_own_lock(tmp_path: Path) -> None:
    assert run(append_in_a_forked_child_as_well, tmp_path) == 0
    assert keys_in(followups_path(tmp_path)) == [key_of(record_of(number).line()) for number in (1, 2)]
