"""`make compose-test`: test the deployed system on the Docker engine of this machine.

Builds, starts, queries, scales, kills, upgrades and ends a separate project on the simulated venue, then two projects
that share one Redis; only the images remain. The exit code is 1 when a step fails.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hip3_tasks.clock import wall_ms
from hip3_tasks.domain.records import Followup
from hip3_tasks.files.line_reader import read_from
from hip3_tasks.store.task_message import CAPTURE_FOLLOWUP
from hip3_tasks.up.embedded_redis import free_port
from tests.compose import flower
from tests.compose.hosts import SERVICES, two_hosts
from tests.compose.lateness import quantiles_ms, shown
from tests.compose.project import Project, eventually, run
from tests.support.process import ProcessUnderTest

QUIET_S = 30.0
SETTLED_S = 8.0
KEEPALIVE_S = 8
HEALTHY_TIMEOUT_S = 30.0
MAX_LATE_MS = 100
STOP_TIMEOUT_S = 45.0
BASE_IMAGE = "python:3.13-slim-bookworm"
BURST = """
from hip3_tasks import settings
from hip3_tasks.domain.capture import Capture
from hip3_tasks.clock import wall_ms
from hip3_tasks.store.task_message import task_message
from hip3_tasks.store.keys import Keys, connect
chosen = settings.load()
queue, soon_ms = Keys(chosen.feed_name).queue, wall_ms() + 60_000
# Captures of future signals: a job waits half a second for the tape before it fails.
captures = [Capture.from_ids(f"xyz:TSLA-{soon_ms + number}", 1000) for number in range(2_000)]
with connect(chosen.redis_url) as client:
    client.lpush(queue, *(task_message(capture, queue=queue) for capture in captures))
"""


class Story:
    """The steps of the test on one project, in order."""

    def __init__(self) -> None:
        self.port, self.page_port, self.called = free_port(), free_port(), ""
        self.project = Project(
            "hip3-compose-test",
            HIP3_FLOWER_PORT=str(self.port),
            HIP3_PAGE_PORT=str(self.page_port),
            HIP3_PAGE_PASSWORD=flower.PASSWORD,
            FLOWER_USER=flower.USER,
            FLOWER_PASSWORD=flower.PASSWORD,
            REDIS_PASSWORD="fortheduration",
            AUTOSCALE_KEEPALIVE=str(KEEPALIVE_S),
            HIP3_RETENTION_S="120",
        )

    def steps(self) -> Iterator[Callable[[], str]]:
        yield self.bare_processes_for_comparison
        yield self.build
        yield self.up
        yield self.a_quiet_while
        yield self.flower_asks_for_its_password
        yield self.the_page_asks_for_its_password
        yield self.one_capture_by_hand
        yield self.flower_remembers
        yield self.the_pool_grows_and_shrinks
        yield self.three_workers
        yield self.a_killed_worker
        yield self.a_killed_redis
        yield self.a_killed_feed
        yield self.workers_upgraded_one_by_one
        yield self.a_feed_restarted
        yield self.down
        yield two_hosts

    def bare_processes_for_comparison(self) -> str:
        with TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "hip3_tasks.cli", "up", "--venue", "sim", "--data-dir", folder]
            run(*command, "--duration", str(QUIET_S + SETTLED_S))
            lines = [line for path in Path(folder).glob("followups_*.jsonl") for line in read_from(path)[0]]
        records = [Followup.from_line(line) for line in lines]
        settled_ms = min(record.due_at_ms for record in records) + SETTLED_S * 1000
        lateness = quantiles_ms([record for record in records if record.due_at_ms >= settled_ms])
        return f"lateness {shown(lateness)}, from {SETTLED_S:.0f} s after the start on"

    def build(self) -> str:
        began_s = time.monotonic()
        self.project.compose("build", within_s=600)
        size, base = (_size_mb(image) for image in ("hip3-tasks:latest", BASE_IMAGE))
        return (
            f"{time.monotonic() - began_s:.0f} s; the image is {size:.0f} MB, {size - base:.0f} MB of it over its base"
        )

    def up(self) -> str:
        began_s = time.monotonic()
        self.project.compose("up", "-d")
        self.project.until_healthy(*SERVICES)
        took_s = time.monotonic() - began_s
        assert took_s <= HEALTHY_TIMEOUT_S, f"healthy after {took_s:.0f} s"
        return f"all healthy after {took_s:.0f} s"

    def a_quiet_while(self) -> str:
        eventually("a signal", self.project.signals)
        lateness = self._lateness_during(lambda: time.sleep(QUIET_S))
        return f"lateness {shown(lateness)}; {self.project.audit()}"

    def flower_asks_for_its_password(self) -> str:
        pages, api = self._statuses(self.port, "/"), self._statuses(self.port, "/api/tasks?limit=1")
        assert pages == api == [401, 401, 200], (pages, api)
        query = f"/api/tasks?taskname={CAPTURE_FOLLOWUP}&state=SUCCESS&limit=1"
        _, body = flower.ask(self.port, query, flower.CREDENTIALS)
        ((task_id, task),) = json.loads(body).items()
        assert task["runtime"] and task["args"] and task["result"], task
        return f"401, 401 and 200; shows {task_id} {task['args']}: {task['result']} in {task['runtime'] * 1000:.0f} ms"

    def the_page_asks_for_its_password(self) -> str:
        statuses = self._statuses(self.page_port, "/")
        assert statuses == [401, 401, 200], statuses
        state = json.loads(flower.ask(self.page_port, "/api/state", flower.CREDENTIALS)[1])
        live = [row for row in state["markets"] if row["state"] == "live"]
        assert state["ok"] and live and state["signals"] and state["pipeline"]["workers"], state["problems"]
        assert flower.ask(self.page_port, "/healthz", "")[0] == 200
        return f"401, 401 and 200; shows {len(live)} live markets and {len(state['signals'])} signals"

    def one_capture_by_hand(self) -> str:
        record = self.project.followups()[0]
        arguments = json.dumps([record.signal_id, record.offset_ms])
        call = ["celery", "-A", "hip3_tasks", "call", CAPTURE_FOLLOWUP, "--args", arguments]
        task_id = self.project.compose("exec", "-T", "worker", *call).split()[-1]
        done = eventually("Flower shows its result", lambda: self._result_of(task_id), within_s=20)
        assert done == "'already captured'", done
        self.called = task_id
        return f"celery call {record.signal_id} {record.offset_ms}: {done}"

    def flower_remembers(self) -> str:
        self.project.compose("restart", "flower")
        self.project.until_healthy("flower")
        eventually("the earlier task is known", lambda: self._result_of(self.called))
        return f"after a restart it still shows {self.called}"

    def the_pool_grows_and_shrinks(self) -> str:
        (worker,) = self.project.ids("worker")
        before = self.project.processes(worker)
        with _beside("docker", "exec", worker, "python", "-c", BURST):
            began_s = time.monotonic()
            eventually("more processes", lambda: self.project.processes(worker) > before, within_s=30)
            grew_s = time.monotonic() - began_s
        grown = self.project.processes(worker)
        began_s = time.monotonic()
        eventually("fewer processes", lambda: self.project.processes(worker) == before, within_s=15 * KEEPALIVE_S)
        shrank_s = time.monotonic() - began_s
        return f"{before} to {grown} within {grew_s:.1f} s, back to {before} after {shrank_s:.0f} s"

    def three_workers(self) -> str:
        self._scale(3)
        self.project.until_healthy("worker")
        self._wait_for_captures(20)
        return f"{len(self.project.ids('worker'))} healthy; {self.project.audit()}"

    def a_killed_worker(self) -> str:
        return self._survives(self.project.ids("worker")[0], "worker")

    def a_killed_redis(self) -> str:
        return self._survives(self.project.ids("redis")[0], "redis")

    def a_killed_feed(self) -> str:
        return self._survives(self.project.ids("feed")[0], "feed")

    def workers_upgraded_one_by_one(self) -> str:
        """Upgrade the worker as docs/deployment.md describes it."""
        self._scale(1)
        self.project.until_healthy("worker", "feed")
        run("docker", "tag", "hip3-tasks:latest", "hip3-tasks:compose-test")
        (old,) = self.project.ids("worker")

        def upgrade() -> None:
            self._scale(2, IMAGE="hip3-tasks:compose-test")
            self.project.until_healthy("worker")
            run("docker", "stop", "--time", "40", old)
            run("docker", "rm", old)

        lateness = self._lateness_during(upgrade)
        (new,) = self.project.ids("worker")
        assert self.project.inspect(new)["Config"]["Image"] == "hip3-tasks:compose-test"
        assert lateness["max"] <= MAX_LATE_MS, f"lateness {shown(lateness)}"
        return f"lateness {shown(lateness)}; {self.project.audit()}"

    def a_feed_restarted(self) -> str:
        before = {(record.signal_id, record.offset_ms) for record in self.project.missed()}
        began_s = time.monotonic()
        self.project.compose("restart", "feed")
        self.project.until_healthy("feed")
        took_s = time.monotonic() - began_s
        self._wait_for_captures(10)
        missed = [record for record in self.project.missed() if (record.signal_id, record.offset_ms) not in before]
        reasons = ", ".join(sorted({record.reason for record in missed}))
        return f"back after {took_s:.0f} s; missed meanwhile {len(missed)} ({reasons})"

    def down(self) -> str:
        began_s = time.monotonic()
        self.project.compose("stop")
        took_s = time.monotonic() - began_s
        exits = {name: self.project.inspect(self.project.ids(name)[0])["State"]["ExitCode"] for name in SERVICES}
        audit = self.project.audit()
        must_be_0 = [exits[name] for name in ("feed", "worker", "recorder")]
        assert took_s <= STOP_TIMEOUT_S and not any(must_be_0), (took_s, exits)
        assert "+ 0 open" in audit, audit
        return f"all ended within {took_s:.0f} s, exit codes {exits}; {audit}"

    # Shared by the steps

    def _scale(self, workers: int, **settings: str) -> None:
        up = ["up", "-d", "--no-deps", "--no-recreate", "--scale", f"worker={workers}", "worker"]
        self.project.compose(*up, **settings)
        eventually(f"{workers} workers", lambda: len(self.project.ids("worker")) == workers)

    def _survives(self, container: str, service: str) -> str:
        missed = len(self.project.missed())
        began_s = time.monotonic()
        self.project.kill(container)
        self.project.until_healthy(*SERVICES)
        took_s = time.monotonic() - began_s
        self._wait_for_captures(10)
        newly_missed = len(self.project.missed()) - missed
        return f"{service} killed: all healthy {took_s:.0f} s later, {newly_missed} missed; {self.project.audit()}"

    def _wait_for_captures(self, number: int) -> None:
        """Wait until `number` captures that are due from now on are on disk, and none is overdue."""
        now_ms = wall_ms()
        eventually(
            f"{number} captures due from now on",
            lambda: sum(record.due_at_ms > now_ms for record in self.project.followups()) >= number,
        )
        status = ["hip3", "status", "--json"]
        inside = self.project.inside()
        eventually("nothing is overdue", lambda: json.loads(self.project.execute(inside, *status))["overdue"] == 0)

    def _lateness_during(self, act: Callable[[], None]) -> dict[str, int]:
        """The lateness of the captures that are due while `act` runs; waits for all of them."""
        began_ms = wall_ms()
        act()
        ended_ms = wall_ms()
        self._wait_for_captures(1)
        expected = {
            (signal.signal_id, offset_ms)
            for signal in self.project.signals()
            for offset_ms in signal.offsets_ms
            if began_ms <= signal.timestamp_ms + offset_ms <= ended_ms
        }
        return quantiles_ms(eventually("each has its line", lambda: self._captured(expected)))

    def _captured(self, expected: set[tuple[str, int]]) -> list[Followup]:
        """The captured ones of the expected captures; empty until each is captured or missed."""
        records = {
            (record.signal_id, record.offset_ms): record
            for record in [*self.project.followups(), *self.project.missed()]
        }
        outcomes = [records[capture] for capture in expected & records.keys()]
        return [record for record in outcomes if isinstance(record, Followup)] if len(outcomes) == len(expected) else []

    def _statuses(self, port: int, path: str) -> list[int]:
        """The answers without a password, with a wrong password and with the right password."""
        return [flower.ask(port, path, credentials)[0] for credentials in ("", "compose:wrong", flower.CREDENTIALS)]

    def _result_of(self, task_id: str) -> Any:
        status, body = flower.ask(self.port, f"/api/task/info/{task_id}", flower.CREDENTIALS)
        return status == 200 and json.loads(body).get("result")


@contextmanager
def _beside(*command: str) -> Iterator[None]:
    """Run a command beside the block, and wait for its end."""
    with TemporaryDirectory() as folder, ProcessUnderTest(*command, log=Path(folder) / "beside.log") as process:
        yield
        process.wait(120)


def _size_mb(image: str) -> float:
    return int(run("docker", "image", "inspect", "--format", "{{.Size}}", image)) / 1e6


def main() -> int:
    story, failed = Story(), 0
    try:
        for step in story.steps():
            name = step.__name__.replace("_", " ")
            try:
                print(f"  ok    {name}: {step()}", flush=True)
            except (AssertionError, LookupError, ValueError, subprocess.TimeoutExpired) as error:
                failed += 1
                print(f"  FAIL  {name}: {error}", flush=True)
    finally:
        story.project.compose("down", "--volumes")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
