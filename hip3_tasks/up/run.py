"""One run of a plan: start its processes, watch them, drain, stop them in order."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from hip3_tasks.clock import wall_ms
from hip3_tasks.errors import Unavailable
from hip3_tasks.run_file import RunFile, log_dir
from hip3_tasks.settings import Settings
from hip3_tasks.status.terminal import Display
from hip3_tasks.store.redis_url import place as redis_place
from hip3_tasks.up.child_process import ChildProcess, ProcessSpec
from hip3_tasks.up.monitor import Monitor
from hip3_tasks.up.plan import Plan
from hip3_tasks.up.supervisor import Supervisor

TICK_S = 0.05
START_TIMEOUT_S = 60.0
EXTERNAL_REDIS_TIMEOUT_S = 5.0
LIVE_TIMEOUT_S = 60.0


class Run:
    """The processes of one run. At its end `left_open` counts captures without a line; None: Redis did not answer."""

    def __init__(self, chosen: Settings, plan: Plan, *, supervisor: Supervisor, display: Display) -> None:
        self.monitor = Monitor(chosen, plan, display=display)
        self.left_open: int | None = None
        self.fault: str | None = None
        self._chosen, self._plan, self._supervisor, self._display = chosen, plan, supervisor, display
        self._feed: ChildProcess | None = None
        self._others: list[ChildProcess] = []

    def run_until(self, is_stopped: Callable[[], bool], *, duration_s: float | None) -> None:
        """Run until stopped, or until detection has run for `duration_s`. Then drain, and stop all but the server.

        Raises Unavailable when a required process fails, or when there is a duration and detection does not begin.
        """
        for _ in self._start_steps():
            if is_stopped():
                break
            self._tick()
        while not is_stopped() and not self._is_over(duration_s):
            self._tick()
        self._stop()

    def _start_steps(self) -> Iterator[None]:
        """Start the processes in order; yields while the next one has to wait for another."""
        plan, monitor = self._plan, self.monitor
        if plan.server:
            (self._chosen.data_dir / "redis").mkdir(exist_ok=True)
            self._start(plan.server)
        venue = plan.venue and self._start(plan.venue)
        self._write_run_file()
        yield from self._wait_for_redis()
        # The feed takes longer to load than the venue, and retries when the venue is not there yet.
        self._feed = self._supervisor.start(plan.feed)
        monitor.feed_pid = self._feed.pid
        if monitor.count_open():
            # Captures of an earlier run wait until the feed has restored what it knew of their markets.
            yield from self._until_settled(lambda: monitor.is_live)
        self._start(plan.worker)
        if venue:
            is_met, fault = (lambda: _listens(plan.venue_url)), f"no venue at {plan.venue_url}"
            yield from _wait(is_met, START_TIMEOUT_S, fault, way_out=f"see {venue.log}")
        # Started last: each costs a second of CPU that delays the first capture.
        yield from self._until_settled(lambda: monitor.detecting_since_s is not None)
        for spec in filter(None, (plan.recorder, plan.page, plan.flower)):
            self._start(spec)
        if self._chosen.tape_days and not plan.recorder:
            self._log("the tape is not kept: polars is not installed (extra analysis)", is_problem=False)
        self._display.announce(monitor.places("page", "flower", "data"))

    def _wait_for_redis(self) -> Iterator[None]:
        timeout_s, way_out = EXTERNAL_REDIS_TIMEOUT_S, "start it, or set another HIP3_REDIS_URL"
        if self._plan.server:
            timeout_s, way_out = START_TIMEOUT_S, f"see {self._log_path('redis')}"
        fault = f"no Redis at {redis_place(self._plan.redis_url)}"
        yield from _wait(self.monitor.is_redis_ready, timeout_s, fault, way_out=way_out)

    def _until_settled(self, is_met: Callable[[], bool]) -> Iterator[None]:
        while not is_met() and self.monitor.is_settling():
            yield

    def _start(self, spec: ProcessSpec) -> ChildProcess:
        child = self._supervisor.start(spec.renewed())
        self._others.append(child)
        return child

    def _current_urls(self) -> dict[str, str]:
        """The addresses of page and Flower by name: those of their processes, else those that are planned."""
        planned = filter(None, (self._plan.page, self._plan.flower))
        specs = (*planned, *(child.spec for child in self._others))
        return {spec.name: spec.url for spec in specs if spec.url}

    def _write_run_file(self) -> None:
        urls = self.monitor.urls = self._current_urls()
        RunFile(
            pid=os.getpid(),
            started_at_ms=wall_ms(),
            name=self._chosen.feed_name,
            control_name=self._chosen.control_name,
            redis_url=self._plan.redis_url,
            venue_url=self._plan.venue_url,
            flower_url=urls.get("flower"),
            page_url=urls.get("page"),
        ).write(self._chosen.data_dir)

    def _is_over(self, duration_s: float | None) -> bool:
        if duration_s is None:
            return False
        if self.monitor.detecting_since_s is None:
            if self.monitor.age_s() > LIVE_TIMEOUT_S:
                raise Unavailable(f"no market became live within {LIVE_TIMEOUT_S:.0f} s: see {self._log_path('feed')}")
            return False
        return time.monotonic() - self.monitor.detecting_since_s >= duration_s

    def _tick(self) -> None:
        """Keep the processes running, update the display, and wait a little."""
        for event in self._supervisor.poll():
            self._log(event)
        self.monitor.feed_pid = self._feed.pid if self._feed else None
        if self.monitor.urls != self._current_urls():
            self._write_run_file()
        self.monitor.poll()
        time.sleep(TICK_S)

    def _log_path(self, name: str) -> Path:
        return log_dir(self._chosen.data_dir) / f"{name}.log"

    def _log(self, message: str, *, is_problem: bool = True) -> None:
        (self._display.say if is_problem else self._display.note)(message)
        now = datetime.fromtimestamp(wall_ms() / 1000, UTC)
        with suppress(OSError), self._log_path("up").open("a") as log:
            log.write(f"{now:%Y-%m-%d %H:%M:%S} {message}\n")

    def _stop(self) -> None:
        """Stop the feed first, which drains while all others still run; then the others, but not the server.

        The recorder ends with what the feed wrote last on disk.
        """
        if self._feed:
            self.monitor.stage = "draining"
            self._log("no new signals, waiting for pending captures; Ctrl-C stops at once", is_problem=False)
            self._supervisor.stop([self._feed], meanwhile=self._tick)
            self.left_open = self.monitor.count_open()
            # It dies of SIGTERM itself only before it has begun.
            if self._feed.exit_code not in (0, -signal.SIGTERM):
                self.fault = f"the feed ended with exit status {self._feed.exit_code}, see {self._feed.log}"
            elif self.left_open is None:
                self.fault = "captures may be left open: Redis does not answer"
        self.monitor.stage = "stopping"
        self._supervisor.stop(child for child in self._others if not child.spec.stop_last)
        self.monitor.tally.update()


def _wait(is_met: Callable[[], bool], timeout_s: float, fault: str, *, way_out: str) -> Iterator[None]:
    until_s = time.monotonic() + timeout_s
    while not is_met():
        if time.monotonic() > until_s:
            raise Unavailable(f"{fault} within {timeout_s:.0f} s: {way_out}")
        yield


def _listens(url: str) -> bool:
    place = urlsplit(url)
    try:
        socket.create_connection((place.hostname, place.port), timeout=1).close()
    except OSError:
        return False
    return True
