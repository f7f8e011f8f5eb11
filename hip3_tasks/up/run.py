"""One run of a plan: start its processes, watch them, drain, stop them in order."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

import redis

from hip3_tasks.clock import wall_ms
from hip3_tasks.errors import Unavailable
from hip3_tasks.run_file import RunFile
from hip3_tasks.settings import Settings
from hip3_tasks.status.frame_rate import FrameRate
from hip3_tasks.status.line_counts import RunTally
from hip3_tasks.status.market_rows import seen_markets
from hip3_tasks.status.next_steps import report_command, shown
from hip3_tasks.status.redis_snapshot import Snapshot, notices, problems
from hip3_tasks.status.system_status import Pipeline, files_today
from hip3_tasks.status.terminal import Display
from hip3_tasks.status.view import View
from hip3_tasks.store.feed_status import FeedStatus
from hip3_tasks.store.keys import Keys, connect
from hip3_tasks.store.pending import Pending
from hip3_tasks.store.redis_url import place as redis_place
from hip3_tasks.up.child_process import ChildProcess, ProcessSpec
from hip3_tasks.up.embedded_redis import is_ready
from hip3_tasks.up.plan import Plan
from hip3_tasks.up.supervisor import Supervisor
from hip3_tasks.venue import venue_in_words

TICK_S = 0.05
POLL_INTERVAL_S = 0.5
SETTLING_S = 15.0
"""For this long, a missing feed status or a missing worker is no problem yet."""
START_TIMEOUT_S = 60.0
EXTERNAL_REDIS_TIMEOUT_S = 5.0
LIVE_TIMEOUT_S = 60.0
REDIS_TIMEOUT_S = 1.0


class Run:
    """What happened is in `tally`; what was left open is known at the end, or None if Redis was away."""

    def __init__(self, chosen: Settings, plan: Plan, *, supervisor: Supervisor, display: Display) -> None:
        self.tally = RunTally(chosen.data_dir)
        self._rate = FrameRate()
        self.left_open: int | None = None
        self.fault: str | None = None
        self._chosen, self._plan, self._supervisor, self._display = chosen, plan, supervisor, display
        self._client, self._keys = connect(plan.redis_url, timeout_s=REDIS_TIMEOUT_S), Keys(chosen.feed_name)
        self._feed: ChildProcess | None = None
        self._others: list[ChildProcess] = []
        self._urls: dict[str, str] = {}
        self._state = "starting"
        self._is_live = False
        self._started_at_s = self._polled_at_s = time.monotonic()
        self._detecting_since_s: float | None = None

    def run_until(self, is_stopped: Callable[[], bool], *, duration_s: float | None) -> None:
        """Until stopped, or for a time from when detection begins; then drain and end all but the server.

        Raises Unavailable when a part cannot live, or when there is a duration and detection does not begin.
        """
        for _ in self._start_steps():
            if is_stopped():
                break
            self._tick()
        while not is_stopped() and not self._is_over(duration_s):
            self._tick()
        self._end()

    def _start_steps(self) -> Iterator[None]:
        """Start what can be, and yield while waiting for what the next ones need."""
        plan = self._plan
        if plan.server:
            (self._chosen.data_dir / "redis").mkdir(exist_ok=True)
            self._start(plan.server)
        venue = plan.venue and self._start(plan.venue)
        self._write_run_file()
        timeout_s = START_TIMEOUT_S if plan.server else EXTERNAL_REDIS_TIMEOUT_S
        yield from _wait(lambda: is_ready(self._client), timeout_s, f"no Redis at {redis_place(plan.redis_url)}")
        # The feed has more to load than the venue, and asks again if it is early.
        self._feed = self._supervisor.start(plan.feed)
        if self._count_open():
            # What an earlier run left behind cannot be captured before the feed has said what became of it.
            yield from self._until_settled(lambda: self._is_live)
        self._start(plan.worker)
        if venue:
            yield from _wait(lambda: _listens(plan.venue_url), START_TIMEOUT_S, f"no venue at {plan.venue_url}")
        # Page and Flower cost a second of work that the others have better use for now.
        yield from self._until_settled(lambda: self._detecting_since_s is not None)
        for part in (plan.page, plan.flower):
            if part:
                self._start(part)
        self._display.announce(self._places(("page", "flower", "data")))

    def _until_settled(self, is_met: Callable[[], bool]) -> Iterator[None]:
        while not is_met() and self._age_s() < SETTLING_S:
            yield

    def _start(self, spec: ProcessSpec) -> ChildProcess:
        child = self._supervisor.start(spec.renewed())
        self._others.append(child)
        return child

    def _urls_now(self) -> dict[str, str]:
        """Where the parts for people listen, by name; those that are not started yet will listen there."""
        parts = {part.name: part for part in (self._plan.page, self._plan.flower) if part}
        parts |= {child.spec.name: child.spec for child in self._others if child.spec.url}
        return {name: part.url for name, part in parts.items() if part.url}

    def _write_run_file(self) -> None:
        self._urls = self._urls_now()
        RunFile(
            pid=os.getpid(),
            started_at_ms=wall_ms(),
            name=self._chosen.feed_name,
            redis_url=self._plan.redis_url,
            venue_url=self._plan.venue_url,
            flower_url=self._urls.get("flower"),
            page_url=self._urls.get("page"),
        ).write(self._chosen.data_dir)

    def _is_over(self, duration_s: float | None) -> bool:
        now_s = time.monotonic()
        if duration_s is None:
            return False
        if self._detecting_since_s is None:
            if self._age_s() > LIVE_TIMEOUT_S:
                raise Unavailable(f"no market became live within {LIVE_TIMEOUT_S:.0f} s, see logs/feed.log")
            return False
        return now_s - self._detecting_since_s >= duration_s

    def _age_s(self) -> float:
        return time.monotonic() - self._started_at_s

    def _tick(self) -> None:
        """Keep everything alive, look now and then, and wait a little."""
        for said in self._supervisor.poll():
            self._log(said)
        if self._urls != self._urls_now():
            self._write_run_file()
        if time.monotonic() - self._polled_at_s >= POLL_INTERVAL_S:
            self._poll()
        time.sleep(TICK_S)

    def _log(self, said: str, *, is_problem: bool = True) -> None:
        (self._display.say if is_problem else self._display.note)(said)
        at = datetime.fromtimestamp(wall_ms() / 1000, UTC)
        with suppress(OSError), (self._chosen.data_dir / "logs" / "up.log").open("a") as log:
            log.write(f"{at:%Y-%m-%d %H:%M:%S} {said}\n")

    def _poll(self) -> None:
        self._polled_at_s = time.monotonic()
        snapshot = Snapshot.take(self._client, self._keys)
        if snapshot.feed and (self._feed is None or snapshot.feed.pid != self._feed.pid):
            snapshot = replace(snapshot, feed=None)  # what an earlier one said
        if snapshot.feed:
            self.tally.start.first_worker_at_ms = snapshot.feed.first_worker_at_ms
            self._update_progress(snapshot.feed, at_ms=snapshot.at_ms)
        self.tally.update()
        if self._display.is_due():
            self._display.show(self._view(snapshot))

    def _update_progress(self, feed: FeedStatus, *, at_ms: int) -> None:
        """Note how far the feed has come."""
        self._is_live = self._is_live or feed.markets_live > 0
        if self._detecting_since_s is None and feed.detection_began_at_ms is not None:
            self._detecting_since_s = time.monotonic() - (at_ms - feed.detection_began_at_ms) / 1000
            self._state = "running"

    def _view(self, snapshot: Snapshot) -> View:
        is_settling = self._detecting_since_s is None and self._age_s() < SETTLING_S
        is_judged = self._state != "stopping" and not is_settling
        return View(
            title=f"hip3 up, {venue_in_words(self._chosen)}, {self._age_s():,.0f} s, {self._state}",
            pipeline=self._pipeline(snapshot),
            markets=seen_markets(self._client, self._keys, at_ms=snapshot.at_ms).rows,
            problems=self._problems(snapshot) if is_judged else [],
            notices=notices(snapshot),
            places=self._places(("flower", "venue", "data")),
            next_steps=self._next_steps(),
        )

    def _places(self, names: Sequence[str]) -> dict[str, str]:
        """Where else to look, by name."""
        places = {**self._urls, "venue": self._plan.venue_url, "data": shown(self._chosen.data_dir)}
        return {name: place for name, place in places.items() if place and name in names}

    def _next_steps(self) -> list[str]:
        page_url = self._urls.get("page") if self._state in ("starting", "running") else None
        return [*([f"open {page_url}"] if page_url else []), report_command(self._chosen.data_dir)]

    def _pipeline(self, snapshot: Snapshot) -> Pipeline:
        files = files_today(self._chosen.data_dir, at_ms=snapshot.at_ms)
        return Pipeline.of(self.tally, snapshot, files=files, frames_per_s=self._rate.of(snapshot.feed))

    def _problems(self, snapshot: Snapshot) -> list[str]:
        return problems(snapshot, data_dir=self._chosen.data_dir, min_free_mb=self._chosen.min_free_mb)

    def _end(self) -> None:
        """The feed first, which drains while all others still work for it; then those, but not the server."""
        if self._feed:
            self._state = "draining"
            self._log("no new signals; what is pending is waited for. Ctrl-C stops at once", is_problem=False)
            self._supervisor.stop([self._feed], meanwhile=self._tick)
            self.left_open = self._count_open()
            # Of SIGTERM itself it dies only when it has not begun.
            if self._feed.exit_code not in (0, -signal.SIGTERM):
                self.fault = f"the feed ended with {self._feed.exit_code}, see {self._feed.log}"
            elif self.left_open is None:
                self.fault = "Redis does not say how many captures are left open"
        self._state = "stopping"
        self._supervisor.stop(child for child in self._others if not child.spec.stop_last)
        self.tally.update()

    def summary(self) -> Pipeline:
        """What happened, and what was left open."""
        return Pipeline.of(self.tally, Snapshot(at_ms=wall_ms(), pending=self.left_open), files=[], frames_per_s=None)

    def _count_open(self) -> int | None:
        try:
            return Pending(self._client, self._keys).size()
        except redis.RedisError:
            return None


def _wait(is_met: Callable[[], bool], timeout_s: float, fault: str) -> Iterator[None]:
    until_s = time.monotonic() + timeout_s
    while not is_met():
        if time.monotonic() > until_s:
            raise Unavailable(f"{fault} within {timeout_s:.0f} s")
        yield


def _listens(url: str) -> bool:
    place = urlsplit(url)
    try:
        socket.create_connection((place.hostname, place.port), timeout=1).close()
    except OSError:
        return False
    return True
