"""`python -m tests.releases.make VERSION`: keep what the product of this checkout writes, and its source.

Real feed and worker run over a midnight: libfaketime lets them begin before the last one. After it the feed is killed
and another takes over, so that there are gaps and missed captures; then all markets burst while the worker stands
still, and the keys are read. The first day is compacted, and its lines deleted. Takes half a minute.
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
from tests.faults.row import Found
from tests.faults.system import System, signal_each
from tests.releases import keydump
from tests.releases.release import PLANNED, Release
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
SOURCE = ("hip3_tasks", "feed", "workers", "simulator", "celeryconfig.py", "pyproject.toml", "requirements.lock")
BESIDE = ("README.md", "LICENSE")
BEFORE_MIDNIGHT_S = 12.0
COINS = 12
SIGNALS_PER_S = 3.0
DUE_AT_LEAST = 3


def main(
    version: str, commit: Annotated[str, typer.Option(help="whose source is kept; it must be this checkout's")] = "HEAD"
) -> None:
    release = Release(version)
    try:
        release.folder.mkdir()
    except FileExistsError:
        sys.exit(f"{release.folder} exists: what a release wrote is made once; remove it first, or name another")
    shutil.copyfile(PLANNED, release.planned)
    release.source.write_bytes(archived(commit, version))
    with tempfile.TemporaryDirectory() as folder:
        record(release, Path(folder))
    for path in sorted(filter(Path.is_file, release.folder.rglob("*"))):
        print(f"{path.stat().st_size:9,}  {path.relative_to(release.folder)}")


def archived(commit: str, version: str) -> bytes:
    """Pack the source of a commit; the same bytes each time."""
    archive = ["git", "archive", "--format=tar", f"--prefix=hip3-tasks-{version}/", commit, *SOURCE, *BESIDE]
    made = subprocess.run(archive, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return lzma.compress(made.stdout, preset=9 | lzma.PRESET_EXTREME)


def record(release: Release, folder: Path) -> None:
    """Run the product over midnight; keep its files and, of the middle of a burst, its keys."""
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
        eventually("something is missed", system.missed)
        keydump.write(release.keys, in_burst(system))
        row = Found()
        system.judge(row, when="the release")
        assert row.is_clean, row.broken
    keep(system.data_dir, release.data_dir)


def in_burst(system: System) -> bytes:
    """The keys while some captures wait in the queue, some in a worker, and some are due that are not yet on disk."""
    (worker,) = system.workers
    eventually("the worker holds captures", lambda: system.client.hlen(system.keys.unacked))
    with stopped([worker.pid, *worker.children()]):
        system.venue.burst()
        eventually("the burst is queued", lambda: system.client.llen(system.keys.queue) >= 3 * COINS)
        eventually("some are due", lambda: due(system) >= DUE_AT_LEAST)
        with stopped([system.feed.pid]):
            return keydump.dumped(system.client, system.keys, host=socket.gethostname())


@contextmanager
def stopped(pids: Sequence[int]) -> Iterator[None]:
    signal_each(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        signal_each(pids, signal.SIGCONT)


def due(system: System) -> int:
    """How many captures are due, by the tape, and not on disk."""
    return int(system.client.zcount(system.keys.due, "-inf", int(system.client.get(system.keys.watermark) or 0)))


def keep(recorded: Path, kept: Path) -> None:
    """Compact the first of two days, and copy what a feed takes up: the days, and whose directory it is."""
    first, _ = days_of(recorded)
    done = compact_day(recorded, first, at_ms=wall_ms() + DAY_MS, delete=True)
    assert done.state is CompactionState.COMPACTED and done.lines_deleted, done
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir()
    for path in [*recorded.glob("*_*.*"), recorded / ".feed"]:
        shutil.copyfile(path, kept / path.name)


if __name__ == "__main__":
    typer.run(main)
