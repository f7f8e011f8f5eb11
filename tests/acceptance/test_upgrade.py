"""An upgrade with open captures: no capture is lost, whether feed or worker is replaced first."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from hip3_tasks.audit.audit import audit
from hip3_tasks.clock import wall_ms
from hip3_tasks.store.keys import Keys
from tests.faults.venue import Venue
from tests.releases.release import PLANNED, Program, Release
from tests.support.process import ROOT, ProcessUnderTest
from tests.support.waiting import eventually
from tools.data_files import DataFiles

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

OFFSETS_MS = (500, 1000, 1500)
SIGNALS_AT_LEAST = 10


class Upgrade(DataFiles):
    """Feed and worker of a stored release on one market; each can be replaced by the current version."""

    def __init__(self, release: Release, *, folder: Path, running: ExitStack, **settings: str) -> None:
        self.data_dir, self._folder, self._running = folder / "data", folder, running
        self.venue = running.enter_context(Venue(coins=10, signals_per_s=8))
        self._settings = settings | {
            "HIP3_DATA_DIR": str(self.data_dir),
            "HIP3_VENUE_URL": self.venue.server.base_url,
            "HIP3_OFFSETS_MS": ",".join(map(str, OFFSETS_MS)),
            "HIP3_AUTOSCALE": "2,1",
        }
        self.old = self._program(release.unpacked(folder / "old"), script=release.planned)
        self.new = self._program(ROOT, script=PLANNED)
        self.parts = {name: self._started(name, self.old) for name in ("feed", "worker")}

    def replace(self, name: str) -> None:
        """End the old process with SIGTERM, as an operator does, and start the new one."""
        self.end(name)
        self.parts[name] = self._started(name, self.new)

    def end(self, name: str) -> None:
        self.parts[name].terminate()
        assert self.parts[name].wait(20) == 0, self.parts[name].log

    def wait_for_outcomes(self) -> None:
        """Wait until signals from now on have all their outcomes."""
        since_ms = wall_ms()

        def settled() -> int:
            counts = Counter(signal_id for signal_id, _ in self.outcomes())
            fresh = [record.signal_id for record in self.signals() if record.timestamp_ms > since_ms]
            return sum(counts[signal_id] == len(OFFSETS_MS) for signal_id in fresh)

        eventually("new signals have their outcomes", lambda: settled() >= SIGNALS_AT_LEAST)

    def outcomes(self) -> list[tuple[str, int]]:
        return [(record.signal_id, record.offset_ms) for record in [*self.followups(), *self.missed()]]

    def _program(self, root: Path, *, script: Path) -> Program:
        program = Program.planned(script, root=root, cwd=self._folder, settings=self._settings)
        assert program.origin.is_relative_to(root), program.origin
        return program

    def _started(self, name: str, program: Program) -> ProcessUnderTest:
        command, environment = program.parts[name]
        # Celery looks for its app in the working directory first.
        log = self._folder / f"{name}.log"
        return self._running.enter_context(ProcessUnderTest(*command, log=log, cwd=self._folder, env=environment))


@pytest.fixture
def upgrade(redis_url: str, name: str, tmp_path: Path) -> Iterator[Upgrade]:
    with ExitStack() as running:
        yield Upgrade(Release("0.1.0"), folder=tmp_path, running=running, HIP3_REDIS_URL=redis_url, HIP3_NAME=name)


@pytest.mark.parametrize("order", [("worker", "feed"), ("feed", "worker")], ids=" first, then ".join)
def test_an_upgrade_part_by_part_settles_every_capture_once(
    upgrade: Upgrade, server_client: redis.Redis, keys: Keys, order: tuple[str, str]
) -> None:
    upgrade.wait_for_outcomes()
    for part in order:
        upgrade.replace(part)
        upgrade.wait_for_outcomes()
    upgrade.end("feed")
    upgrade.end("worker")
    expected = [(record.signal_id, offset_ms) for record in upgrade.signals() for offset_ms in record.offsets_ms]
    assert sorted(upgrade.outcomes()) == sorted(expected)
    assert server_client.zcard(keys.pending) == 0
    audited = audit(upgrade.data_dir, at_ms=wall_ms())
    assert audited.ok and not audited.total.open, audited.problems
