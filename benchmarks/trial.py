"""One run: a fresh server, a peer's workers and a publisher, with their outcome and cost."""

import json
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from benchmarks.figures import Figures, Machine, outcome, published
from benchmarks.job import FOLDER
from benchmarks.peers import Peer
from benchmarks.processes import ROOT, Tree, started, stray_cores
from benchmarks.server import prepare, server
from benchmarks.usage import Parts, Used, cost
from benchmarks.workload import Plan, Workload
from hip3_tasks.settings import Settings, environment
from hip3_tasks.store.keys import Keys, connect
from hip3_tasks.store.pending import Pending
from hip3_tasks.up.embedded_redis import free_port

QUIET_CORES = 0.2
READY_TIMEOUT_S = 30
SETTLE_S = 1.0
IDLE_S = 2.0
LEAD_S = 3.0
SIGNALS_A_SECOND = 2_500
"""Signals, with their tape, that can be written and read again in a second, as a cautious estimate."""
DRAIN_TIMEOUT_S = 30


class Trial:
    """One run of a peer under a workload."""

    def __init__(self, peer: Peer, workload: Workload, *, repeat: int) -> None:
        self._peer, self._workload, self._repeat = peer, workload, repeat
        self._parts = Parts()

    def run(self, *, quiet_timeout_s: float) -> Figures:
        """Run the workload. Raises RuntimeError when a process does not start, or ends too soon."""
        load_average, stray = os.getloadavg()[0], _when_quiet(quiet_timeout_s)
        with tempfile.TemporaryDirectory(prefix="hip3-bench-") as folder, ExitStack() as running:
            path = Path(folder)
            self._parts["server"], url = running.enter_context(server(path))
            settings = self._settings(path, url)
            self._start_workers(running, settings, path)
            idle = self._idle()
            plan = self._lead(settings)
            self._start_publisher(running, settings, path)
            _sleep_until(plan.main_at_ms - 200)
            memory_before, used_before = self._parts.memory(), self._parts.used()
            by_minute = self._drain(plan, settings)
            used, memory = self._parts.used().since(used_before), self._parts.memory()
            running.close()  # before any file is read
            calls = json.loads((path / "publisher.json").read_text())
            calls = [call for call in calls if call[0] >= plan.main_at_ms]
            publish_s = sum(call[-1] for call in calls) / 1e9
            if not self._peer.processes:
                used = replace(used, worker=used.worker - publish_s)
            begun, done = published(calls, [signal.timestamp_ms for signal in plan.load])
            return Figures(
                peer=self._peer.name,
                workload=self._workload.name,
                repeat=self._repeat,
                at_ms=plan.main_at_ms,
                outcome=outcome(plan, settings.data_dir, path),
                cost=cost(
                    used,
                    idle,
                    captures=self._workload.captures,
                    publish_s=publish_s,
                    memory=memory,
                    before=memory_before,
                ),
                machine=Machine(
                    stray_before=round(stray, 3), stray_during=_stray(used, publish_s), load_average=load_average
                ),
                publish_begun_ms=begun,
                publish_done_ms=done,
                memory_by_minute=by_minute,
            )

    def _settings(self, path: Path, url: str) -> Settings:
        data_dir = path / "data"
        data_dir.mkdir()
        offsets_ms = tuple(sorted({1000, *self._workload.offsets_ms}))
        return Settings(
            data_dir=data_dir, name="bench", redis_url=url, offsets_ms=offsets_ms, retention_s=120, log_level="error"
        )

    def _start_workers(self, running: ExitStack, settings: Settings, path: Path) -> None:
        """Start the workers, and wait until each of their processes has made its Capturer."""
        if not self._peer.processes:
            return
        module = f"benchmarks.peers.{self._peer.module}"
        worker = self._parts["worker"] = self._started(running, settings, path, "worker", module)
        if self._peer.flower:
            options = "--address=127.0.0.1", f"--port={free_port()}", "--logging=error"
            self._parts["flower"] = self._started(
                running, settings, path, "flower", "celery", "-A", module, "flower", *options
            )
        until_s = time.monotonic() + READY_TIMEOUT_S
        while len(list(path.glob("*.stamps"))) < self._peer.processes:
            worker.must_run()
            if time.monotonic() > until_s:
                raise RuntimeError(f"{self._peer.name}: not ready within {READY_TIMEOUT_S} s")
            time.sleep(0.05)

    def _start_publisher(self, running: ExitStack, settings: Settings, path: Path) -> None:
        publisher = self._started(running, settings, path, "publisher", "benchmarks.publisher", self._peer.module)
        if not self._peer.processes:
            self._parts["worker"] = publisher

    def _started(self, running: ExitStack, settings: Settings, path: Path, name: str, *module: str) -> Tree:
        """`python -m module ...` in the peer's own environment."""
        search = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"
        env = environment(settings, **{FOLDER: str(path), "PYTHONPATH": str(ROOT), "PATH": search})
        command = [str(self._peer.python), "-m", *module]
        return running.enter_context(
            started(command, env=env | self._peer.environment, log=path / f"{name}.log"),
        )

    def _idle(self) -> Used:
        """The CPU used while there is no work."""
        time.sleep(SETTLE_S + 3 * self._peer.flower)
        before = self._parts.used()
        time.sleep(IDLE_S)
        return self._parts.used().since(before)

    def _lead(self, settings: Settings) -> Plan:
        """Plan the load some seconds ahead, and write the data that workers will read."""
        lead_s = LEAD_S + len(self._workload.instants_ms) / SIGNALS_A_SECOND
        plan = Plan(self._workload, begin_at_ms=int((time.time() + lead_s) * 1000))
        prepare(plan, settings, signals_too=not self._peer.publishes_signals)
        left_s = plan.signals[0].timestamp_ms / 1000 - time.time()
        if left_s < 1:
            raise RuntimeError(f"writing the tape took {lead_s - left_s:.1f} s of {lead_s:.1f} s")
        return plan

    def _drain(self, plan: Plan, settings: Settings) -> list[tuple[float, float]]:
        """Wait until no capture is pending, or until a timeout; return the memory of each minute until then."""
        began_s, by_minute = time.monotonic(), []
        with connect(str(settings.redis_url)) as client:
            pending = Pending(client, Keys(settings.feed_name))
            while time.time() * 1000 < plan.last_due_at_ms or pending.size():
                self._parts.must_run()
                if time.monotonic() - began_s > 60 * (len(by_minute) + 1):
                    memory = self._parts.memory()
                    by_minute.append((round(memory["worker"].now, 1), round(memory["server"].now, 1)))
                if time.time() > plan.last_due_at_ms / 1000 + DRAIN_TIMEOUT_S:
                    break
                time.sleep(0.25)
        time.sleep(0.5)  # a task is acknowledged after its line is written
        return by_minute


def _when_quiet(quiet_timeout_s: float) -> float:
    """Wait for a quiet machine, or until a timeout; return the cores that other processes still use."""
    until_s = time.monotonic() + quiet_timeout_s
    while (stray := stray_cores(1.0)) > QUIET_CORES and time.monotonic() < until_s:
        pass
    return stray


def _stray(used: Used, publish_s: float) -> float:
    known_s = used.worker + used.server + used.flower + used.own + publish_s
    return round((used.machine - known_s) / used.at_s, 3)


def _sleep_until(at_ms: int) -> None:
    time.sleep(max(0.0, at_ms / 1000 - time.time()))
