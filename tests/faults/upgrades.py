"""Row 28: an upgrade from each stored release in the middle of bursts, in both orders, and back, and forward again.

The data directory begins with a day of the release. A day that both versions write and a day that only this version
writes follow; compact, report and audit run over all of them.
"""

import shutil
import sys
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import polars as pl

from hip3_tasks.analysis import lines_of, load
from hip3_tasks.analysis.compact.compact import CompactionState, compact_day
from hip3_tasks.clock import wall_ms
from hip3_tasks.domain.capture import DAY_MS
from hip3_tasks.domain.market import CONDITIONS_FIELD, STATE_FIELD
from hip3_tasks.files.day_files import days_of, parquet_path
from tests.faults.clocks import DAY_S, Clock
from tests.faults.row import Result, Setting
from tests.faults.system import EDGE_MS, System
from tests.releases.release import HERE, PLANNED, Program, Release
from tests.support.process import HIP3, ROOT, ProcessUnderTest, run
from tests.support.waiting import eventually

COINS = 60
OLD, NEW = "old", "new"
ORDERS = ("feed", "worker"), ("worker", "feed")
VERSIONS = NEW, OLD, NEW
"""The system begins with the old version; this is where it goes."""
OPEN_S = 0.03, 0.8, 2.0
"""How long after the start of a burst a part is replaced; the follow-ups of a signal are due after 1, 3 and 5 s."""
END_TIMEOUT_S = 30.0


class Upgrade(System):
    """A system whose feed and worker are each of a stored release, or of this version."""

    def __init__(self, folder: Path, release: Release, **options: Any) -> None:
        super().__init__(folder, **options)
        self._release, self._programs = release, dict[str, Program]()
        self.versions = {"feed": OLD, "worker": OLD}

    def part(self, name: str, *command: str, **environment: str) -> ProcessUnderTest:
        """The command of the version that its kind has now; the recorder is always of this one."""
        kind = name.rstrip("0123456789")
        if kind == "recorder":
            return super().part(name, *command, **environment)
        command, variables = self.program(self.versions[kind]).parts[kind]
        # Celery looks for its app in the working directory first.
        part = ProcessUnderTest(*command, log=self._folder / f"{name}.log", cwd=self._folder, env=variables)
        self._running.callback(part.kill)
        return part

    def program(self, version: str) -> Program:
        if version not in self._programs:
            root = self._release.unpacked(self._folder / "release") if version == OLD else ROOT
            script = self._release.planned if version == OLD else PLANNED
            program = Program.planned(script, root=root, cwd=self._folder, settings=self._known())
            assert program.origin.is_relative_to(root), program.origin
            self._programs[version] = program
        return self._programs[version]

    def replace(self, kind: str, version: str, *, is_killed: bool) -> None:
        """End a part in the middle of a burst, and start it in another version."""
        self.versions[kind] = version
        if kind == "worker":
            _end(self.workers.pop(), is_killed=is_killed)
            self.start_worker()
            return
        with self.hole():
            _end(self.feed, is_killed=is_killed)
            self.feed = self.part("feed").start()
            self.wait_until_live()
            eventually("it writes as its version does", lambda: self._is_version(version))

    def burst_outside_holes(self) -> None:
        """A burst that a feed, whatever its version, certainly detects on; returns when the next hole may begin."""
        eventually("the last hole is over", lambda: not self._is_in_hole(self.now_ms()))
        self.venue.burst()
        time.sleep(EDGE_MS / 1000 + 0.2)

    def _is_version(self, version: str) -> bool:
        """Whether the newest state on a tape is of a feed of this version: only that one writes conditions."""
        entries = self.client.xrevrange(self.keys.tape(self.venue.coins[0]), count=1)
        return any(STATE_FIELD in fields and (CONDITIONS_FIELD in fields) == (version == NEW) for _, fields in entries)

    def _known(self) -> dict[str, str]:
        """The settings that every version knows."""
        names = {f"HIP3_{name}" for name in ("DATA_DIR", "NAME", "REDIS_URL", "RETENTION_S", "VENUE_URL")}
        return {name: self._environment[name] for name in names} | {"HIP3_AUTOSCALE": "2,1"}


def upgraded(setting: Setting) -> Result:
    """Up, back and up again; parts are killed and ended alternately, each in a burst."""
    result, killed = Result(), cycle((True, False, False, True, True))
    versions = sorted(path.parent.name for path in HERE.glob("*/source.tar.xz"))
    cases = [(Release(version), order) for version in versions for order in ORDERS]
    for done, (release, order) in enumerate(cases):
        folder = setting.folder / f"{release.version}-{'-'.join(order)}"
        folder.mkdir()
        data_dir = _with_old_day(release, folder / "data")
        with Upgrade(folder, release, coins=COINS, signals_per_s=10, retention_s=600, recorded=True) as system:
            for version in VERSIONS:
                for kind in order:
                    system.burst_outside_holes()
                    system.venue.burst()
                    time.sleep(OPEN_S[result.injected % len(OPEN_S)])
                    system.replace(kind, version, is_killed=next(killed))
                    system.recovered(result)
                    result.injected += 1
            system.judge(result, when=f"{' first, then '.join(order)}")
            old = system.program(OLD)
        _judge_days(data_dir, folder, old, result)
        setting.advance(done + 1, len(cases))
    return result


def _end(part: ProcessUnderTest, *, is_killed: bool) -> None:
    if is_killed:
        part.kill()
    else:
        part.terminate()
        part.wait(END_TIMEOUT_S)


def _with_old_day(release: Release, data_dir: Path) -> Path:
    """A data directory with the first day of a release, and the name of its feed."""
    first, _ = days_of(release.data_dir)
    data_dir.mkdir()
    for path in [*release.data_dir.glob(f"*_{first}.*"), release.data_dir / ".feed"]:
        shutil.copyfile(path, data_dir / path.name)
    return data_dir


def _judge_days(data_dir: Path, folder: Path, old: Program, result: Result) -> None:
    """Compact the day that both versions wrote, then a day of this version; report and audit before and after."""
    _read(data_dir, old, "old and mixed days", result)
    _compact(data_dir, "mixed day", result)
    _read(data_dir, old, "mixed day as Parquet", result)
    clock = Clock(folder / "clock")
    clock.set(DAY_S)
    environments = dict.fromkeys(("feed", "worker"), clock.environment)
    ahead = System(folder / "next", data_dir=data_dir, environments=environments, ahead_ms=DAY_MS)
    with ahead as system:
        system.venue.burst()
        system.judge(result, when="a new day")
    _read(data_dir, old, "old, mixed and new days", result)
    _compact(data_dir, "new day", result)
    _read(data_dir, old, "all days as Parquet", result)


def _read(data_dir: Path, old: Program, when: str, result: Result) -> None:
    """Audit and report, in this version and in the release."""
    for command in ("audit", str(data_dir)), ("report", str(data_dir), "--cost-bps", "1"):
        answer = run(*HIP3, *command)
        if answer.returncode or "Traceback" in answer.stderr:
            result.wrong += 1
            result.add_broken(f"{when}: hip3 {command[0]}: {answer.stdout[-300:]}{answer.stderr[-300:]}")
        root = old.origin.parents[1]
        answer = run(sys.executable, "-P", *HIP3[1:], *command, cwd=root, PYTHONPATH=str(root))
        if answer.returncode or "Traceback" in answer.stderr:
            result.wrong += 1
            result.add_broken(f"{when}: {command[0]} of the release: {answer.stdout[-300:]}{answer.stderr[-300:]}")


def _compact(data_dir: Path, when: str, result: Result) -> None:
    """Compact the last day and delete its lines; compare the lines, and what the analysis reads, before and after."""
    *_, (day, files) = days_of(data_dir).items()
    before = list(_heights(data_dir))
    lines = {kind: sorted(path.read_bytes().splitlines()) for kind, path in files.jsonl.items()}
    done = compact_day(data_dir, day, at_ms=wall_ms() + 3 * DAY_MS, delete=True)
    if done.state is not CompactionState.COMPACTED or not done.lines_deleted or list(_heights(data_dir)) != before:
        result.wrong += 1
        result.add_broken(f"{when}: {done}: {before} rows before, {list(_heights(data_dir))} after")
        return
    for kind, kind_lines in lines.items():
        if sorted(lines_of(pl.read_parquet(parquet_path(data_dir, kind, day)))) != kind_lines:
            result.wrong += 1
            result.add_broken(f"{when}: the Parquet of {kind} does not give back every line")


def _heights(data_dir: Path) -> Iterator[int]:
    data = load(data_dir)
    yield from (data.signals.height, data.followups.height, data.missed.height)
