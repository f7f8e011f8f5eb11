"""`python -m tests.releases.make VERSION`: store the files and keys that this checkout writes, and its source.

A real feed and a real worker run over a midnight; with libfaketime, they start shortly before the last midnight. Then
the feed is killed and replaced, which causes gaps and missed captures. Then all markets burst while the worker is
stopped, and the keys are read. The first day is compacted, and its lines are deleted. Takes half a minute.
"""

import lzma
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from hip3_tasks.analysis.compact.compact import CompactionState, compact_day
from hip3_tasks.clock import wall_ms
from hip3_tasks.domain.capture import DAY_MS
from hip3_tasks.files.day_files import days_of
from tests.faults.clocks import DAY_S, Clock
from tests.faults.row import Result
from tests.faults.system import System, signal_each
from tests.releases import keydump
from tests.releases.release import PLANNED, READ_TAPE, Release
from tests.support.process import ROOT
from tests.support.waiting import eventually

SOURCE = ("hip3_tasks", "feed", "workers", "simulator", "celeryconfig.py", "pyproject.toml", "requirements.lock")
BESIDE = ("README.md", "LICENSE")
BEFORE_MIDNIGHT_S = 12.0
COINS = 12
SIGNALS_PER_S = 3.0
MIN_DUE = 3


def main(
    version: str,
    commit: Annotated[str, typer.Option(help="commit of the source; it must be that of this checkout")] = "HEAD",
) -> None:
    release = Release(version)
    try:
        release.folder.mkdir()
    except FileExistsError:
        sys.exit(
            f"{release.folder} exists: the files of a release are made once; remove it first, or choose another version"
        )
    shutil.copyfile(PLANNED, release.planned)
    shutil.copyfile(READ_TAPE, release.read_tape)
    release.source.write_bytes(archived(commit, version))
    with tempfile.TemporaryDirectory() as folder:
        record(release, Path(folder))
    for path in sorted(filter(Path.is_file, release.folder.rglob("*"))):
        print(f"{path.stat().st_size:9,}  {path.relative_to(release.folder)}")


def archived(commit: str, version: str) -> bytes:
    """The source of a commit as an archive, with the same bytes each time."""
    archive = ["git", "archive", "--format=tar", f"--prefix=hip3-tasks-{version}/", commit, *SOURCE, *BESIDE]
    made = subprocess.run(archive, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return lzma.compress(made.stdout, preset=9 | lzma.PRESET_EXTREME)


def record(release: Release, folder: Path) -> None:
    """Run the product over midnight; store its files, and its keys in the middle of a burst."""
    clock, ahead_s = Clock(folder / "clock"), -(time.time() % DAY_S) - BEFORE_MIDNIGHT_S
    clock.set(ahead_s)
    environments = dict.fromkeys(("feed", "worker"), clock.environment)
    system = System(
        folder / "system",
        coins=COINS,
        signals_per_s=SIGNALS_PER_S,
        environments=environments,
        ahead_ms=int(ahead_s * 1000),
    )
    with system:
        eventually("a new day has follow-ups", lambda: len(list(system.data_dir.glob("followups_*.jsonl"))) == 2)
        system.replace_feed()
        eventually("a capture is missed", system.missed)
        keydump.write(release.keys, in_burst(system))
        result = Result()
        system.judge(result, when="the release")
        assert result.is_clean, result.broken
    keep(system.data_dir, release.data_dir)


def in_burst(system: System) -> bytes:
    """A dump of the keys while captures wait in the queue and in a worker, and some are due but not yet on disk."""
    (worker,) = system.workers
    eventually("the worker holds captures", lambda: system.client.hlen(system.keys.unacked))
    with stopped([worker.pid, *worker.children()]):
        system.venue.burst()
        eventually("the burst is queued", lambda: system.client.llen(system.keys.queue) >= 3 * COINS)
        eventually("some are due", lambda: overdue_captures(system) >= MIN_DUE)
        with stopped([system.feed.pid]):
            return keydump.dumped(system.client, system.keys, host=socket.gethostname())


@contextmanager
def stopped(pids: Sequence[int]) -> Iterator[None]:
    signal_each(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        signal_each(pids, signal.SIGCONT)


def overdue_captures(system: System) -> int:
    """The number of captures that are due by the watermark and not yet on disk."""
    return int(system.client.zcount(system.keys.due, "-inf", int(system.client.get(system.keys.watermark) or 0)))


def keep(recorded: Path, kept: Path) -> None:
    """Compact the first of two days, and copy the files that a feed reads: the days, and the feed's name."""
    first, _ = days_of(recorded)
    done = compact_day(recorded, first, at_ms=wall_ms() + DAY_MS, delete=True)
    assert done.state is CompactionState.COMPACTED and done.lines_deleted, done
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir()
    for path in [*recorded.glob("*_*.*"), recorded / ".feed"]:
        shutil.copyfile(path, kept / path.name)


if __name__ == "__main__":
    typer.run(main)
