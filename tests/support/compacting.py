"""Functions that tests of compaction run in other processes, some of which die at a step."""

import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import polars as pl

from hip3_tasks.analysis.compact.compact import CompactionState, compact_day
from hip3_tasks.analysis.compact.line_codec import lines_of
from hip3_tasks.domain.capture_result import CaptureResult
from hip3_tasks.domain.records import Signal
from hip3_tasks.files.day_files import KINDS, is_closed, jsonl_path, parquet_path
from hip3_tasks.files.journal import Journal
from hip3_tasks.files.line_reader import read_from
from hip3_tasks.files.signal_files import SignalWriter
from tests.support.factories import DAY, T0_MS, a_followup, a_missed, a_signal

LATER_MS = T0_MS + 3 * 86_400_000


def lines_in(data_dir: Path) -> dict[str, list[bytes]]:
    """The lines of the day by kind, sorted."""
    paths = {kind: jsonl_path(data_dir, kind, DAY) for kind in KINDS}
    return {kind: sorted(path.read_bytes().splitlines()) if path.exists() else [] for kind, path in paths.items()}


def rows_in(data_dir: Path) -> dict[str, list[bytes]]:
    """The lines that the Parquet of the day gives back, by kind, sorted."""
    return {kind: sorted(lines_of(pl.read_parquet(parquet_path(data_dir, kind, DAY)))) for kind in KINDS}


# Audit events of the interpreter, raised before each call; fsync is added. Polars works between two of them.
STEPS = ("open", "os.", "shutil.", "fcntl.")


def compact(data_dir: Path, *, delete: bool = False) -> CompactionState:
    return compact_day(data_dir, DAY, at_ms=LATER_MS, delete=delete).state


def compact_or_die(data_dir: Path, die_at: int) -> None:
    """Compact a day and delete its lines; die by SIGKILL right before step number `die_at`, or exit 0."""
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1
        if steps == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_event(event: str, args: tuple[Any, ...]) -> None:
        if event.startswith(STEPS) and (event.startswith("fcntl") or str(data_dir) in str(args)):
            step()

    os.fsync = _announced(os.fsync, step)
    sys.addaudithook(on_event)
    os._exit(0 if compact(data_dir, delete=True) in (CompactionState.COMPACTED, CompactionState.CLOSED) else 1)


def _announced(call: Callable[..., Any], step: Callable[[], None]) -> Callable[..., Any]:
    def announced(*args: Any) -> Any:
        step()
        return call(*args)

    return announced


def compact_again_and_again(data_dir: Path) -> None:
    """Compact until the day is closed, or this process is killed."""
    while compact(data_dir) not in (CompactionState.COMPACTED, CompactionState.CLOSED):
        pass


def compact_on_a_full_disk(data_dir: Path, limit_bytes: int) -> None:
    """Compact with a limit on the size of files; exit 0 if the day is refused."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, resource.RLIM_INFINITY))
    os._exit(0 if compact(data_dir) is CompactionState.REFUSED else 1)


def feed_until_the_day_is_closed(data_dir: Path, seed: int) -> None:
    """Append signals in bursts, with pauses in which no capture may be open."""
    chance, writer = random.Random(seed), SignalWriter(data_dir)
    numbers = count()
    while not is_closed(data_dir, DAY):
        writer.append([a_signal(at_ms=T0_MS + next(numbers)) for _ in range(chance.randint(1, 5))])
        time.sleep(chance.choice((0, 0.01, 0.3)))


def work_until_the_day_is_closed(data_dir: Path, seed: int, taken_path: Path) -> None:
    """Append outcomes of all signals in the file, beside other workers; record those that the journal accepted."""
    chance, journal, read_to = random.Random(seed), Journal(data_dir), 0
    with taken_path.open("ab", buffering=0) as taken:
        while not is_closed(data_dir, DAY):
            lines, read_to = read_from(jsonl_path(data_dir, "signals", DAY), read_to)
            for signal_ in map(Signal.from_line, lines):
                records = [
                    (a_missed if chance.random() < 0.2 else a_followup)(signal_, ms) for ms in signal_.offsets_ms
                ]
                for record, result in zip(records, journal.append(records), strict=True):
                    if result == CaptureResult.from_record(record):
                        taken.write(record.line())
            time.sleep(0.001)
