"""`make compose-test`: the deployed system on the Docker engine of this machine, through a life in short.

Builds, starts, asks, scales, kills, upgrades and ends a project of its own on the simulated venue, then two projects
that share one Redis; nothing of them stays but the images. The exit code is 1 when anything was not as promised.
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
HEALTHY_WITHIN_S = 30.0
LATE_MS = 100
STOP_WITHIN_S = 45.0
BASE_IMAGE = "python:3.13-slim-bookworm"
BURST = """
from hip3_tasks import settings
from hip3_tasks.domain.capture import Capture
from hip3_tasks.clock import wall_ms
from hip3_tasks.store.task_message import task_message
from hip3_tasks.store.keys import Keys, connect
chosen = settings.load()
queue, soon_ms = Keys(chosen.feed_name).queue, wall_ms() + 60_000
# Of signals that are not there yet: a job waits half a second for the tape before it says so.
captures = [Capture.from_ids(f"xyz:TSLA-{soon_ms + number}", 1000) for number in range(2_000)]
with connect(chosen.redis_url) as client:
    client.lpush(queue, *(task_message(capture, queue=queue) for capture in captures))
"""


class Story:
    """One project, and what is to be seen of it in turn."""

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
        settled_ms = min(one.due_at_ms for one in records) + SETTLED_S * 1000
        lateness = quantiles_ms([one for one in records if one.due_at_ms >= settled_ms])
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
        assert took_s <= HEALTHY_WITHIN_S, f"healthy after {took_s:.0f} s"
        return f"all healthy after {took_s:.0f} s"

    def a_quiet_while(self) -> str:
        eventually("a signal", self.project.signals)
        lateness = self._lateness_during(lambda: time.sleep(QUIET_S))
        return f"lateness {shown(lateness)}; {self.project.audit()}"

    def flower_asks_for_its_password(self) -> str:
        found = {who: flower.ask(self.port, "/", who)[0] for who in ("", "compose:wrong", flower.LET_IN)}
        api = {who: flower.ask(self.port, "/api/tasks?limit=1", who)[0] for who in ("", "compose:wrong", flower.LET_IN)}
        assert list(found.values()) == list(api.values()) == [401, 401, 200], (found, api)
        tasks = json.loads(
            flower.ask(self.port, f"/api/tasks?taskname={CAPTURE_FOLLOWUP}&state=SUCCESS&limit=1", flower.LET_IN)[1]
        )
        ((task_id, task),) = tasks.items()
        assert task["runtime"] and task["args"] and task["result"], task
        return f"401, 401 and 200; shows {task_id} {task['args']}: {task['result']} in {task['runtime'] * 1000:.0f} ms"

    def the_page_asks_for_its_password(self) -> str:
        found = {who: flower.ask(self.page_port, "/", who)[0] for who in ("", "compose:wrong", flower.LET_IN)}
        assert list(found.values()) == [401, 401, 200], found
        state = json.loads(flower.ask(self.page_port, "/api/state", flower.LET_IN)[1])
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
        eventually("the task of before is known", lambda: self._result_of(self.called))
        return f"after a restart it still shows {self.called}"

    def the_pool_grows_and_shrinks(self) -> str:
        (worker,) = self.project.ids("worker")
        least = self.project.processes(worker)
        with _beside("docker", "exec", worker, "python", "-c", BURST):
            began_s = time.monotonic()
            eventually("more processes", lambda: self.project.processes(worker) > least, within_s=30)
            grew_s = time.monotonic() - began_s
        most = self.project.processes(worker)
        began_s = time.monotonic()
        eventually("fewer processes", lambda: self.project.processes(worker) == least, within_s=15 * KEEPALIVE_S)
        return f"{least} to {most} within {grew_s:.1f} s, back to {least} after {time.monotonic() - began_s:.0f} s"

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
        """As the README tells it."""
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
        assert lateness["max"] <= LATE_MS, f"lateness {shown(lateness)}"
        return f"lateness {shown(lateness)}; {self.project.audit()}"

    def a_feed_restarted(self) -> str:
        before = {(one.signal_id, one.offset_ms) for one in self.project.missed()}
        began_s = time.monotonic()
        self.project.compose("restart", "feed")
        self.project.until_healthy("feed")
        took_s = time.monotonic() - began_s
        self._wait_for_captures(10)
        costs = [one for one in self.project.missed() if (one.signal_id, one.offset_ms) not in before]
        return (
            f"back after {took_s:.0f} s; missed meanwhile {len(costs)} ({', '.join(sorted({c.reason for c in costs}))})"
        )

    def down(self) -> str:
        began_s = time.monotonic()
        self.project.compose("stop")
        took_s = time.monotonic() - began_s
        exits = {name: self.project.inspect(self.project.ids(name)[0])["State"]["ExitCode"] for name in SERVICES}
        said = self.project.audit()
        assert took_s <= STOP_WITHIN_S and not exits["feed"] and not exits["worker"], (took_s, exits)
        assert "+ 0 open" in said, said
        return f"all ended within {took_s:.0f} s, exit codes {exits}; {said}"

    # What happens in more than one of them

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
        costs = len(self.project.missed()) - missed
        return f"{service} killed: all healthy {took_s:.0f} s later, {costs} missed; {self.project.audit()}"

    def _wait_for_captures(self, number: int) -> None:
        """Until so many that fall due from now on are on disk, and none is overdue."""
        now_ms = wall_ms()
        eventually(
            f"{number} captures due from now on",
            lambda: sum(one.due_at_ms > now_ms for one in self.project.followups()) >= number,
        )
        status = ["hip3", "status", "--json"]
        inside = self.project.inside()
        eventually("nothing is overdue", lambda: json.loads(self.project.execute(inside, *status))["overdue"] == 0)

    def _lateness_during(self, act: Callable[[], None]) -> dict[str, int]:
        """Of the captures that fell due while something happened; all of them are waited for."""
        began_ms = wall_ms()
        act()
        ended_ms = wall_ms()
        self._wait_for_captures(1)
        owed = {
            (signal.signal_id, offset_ms)
            for signal in self.project.signals()
            for offset_ms in signal.offsets_ms
            if began_ms <= signal.timestamp_ms + offset_ms <= ended_ms
        }
        return quantiles_ms(eventually("each has its line", lambda: self._captured(owed)))

    def _captured(self, owed: set[tuple[str, int]]) -> list[Followup]:
        """Those of them that were captured; empty until each is captured or missed."""
        records = {(one.signal_id, one.offset_ms): one for one in [*self.project.followups(), *self.project.missed()]}
        found = [records[capture] for capture in owed & records.keys()]
        return [one for one in found if isinstance(one, Followup)] if len(found) == len(owed) else []

    def _result_of(self, task_id: str) -> Any:
        status, body = flower.ask(self.port, f"/api/task/info/{task_id}", flower.LET_IN)
        return status == 200 and json.loads(body).get("result")


@contextmanager
def _beside(*command: str) -> Iterator[None]:
    """Something that runs meanwhile; it is waited for."""
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
