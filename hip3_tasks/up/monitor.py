"""The monitor of one `hip3 up`: reads the state of its system from Redis and the data files, and shows it."""

import time
from collections.abc import Sequence

import redis

from hip3_tasks.clock import wall_ms
from hip3_tasks.settings import Settings
from hip3_tasks.status.line_counts import RunLineCounts
from hip3_tasks.status.market_rows import markets_or_empty
from hip3_tasks.status.next_steps import report_command, shown
from hip3_tasks.status.redis_snapshot import RedisSnapshot, notices, problems
from hip3_tasks.status.system_status import FrameRate, SystemStatus
from hip3_tasks.status.terminal import Display
from hip3_tasks.status.trips import Taker
from hip3_tasks.status.view import View
from hip3_tasks.store.feed_status import FeedStatus
from hip3_tasks.store.keys import Keys, connect
from hip3_tasks.store.store import Store
from hip3_tasks.up.embedded_redis import is_ready
from hip3_tasks.up.plan import Plan
from hip3_tasks.venue import venue_in_words

POLL_INTERVAL_S = 0.5
SETTLING_S = 15.0
"""For this long after the start, a missing feed status or a missing worker is no problem."""
REDIS_TIMEOUT_S = 1.0


class Monitor:
    """The state of a run's system: `tally` counts its lines, `detecting_since_s` is None until detection begins."""

    def __init__(self, chosen: Settings, plan: Plan, *, display: Display) -> None:
        self.tally = RunLineCounts(chosen.data_dir, Taker.from_settings(chosen))
        self.stage = "starting"
        self.urls: dict[str, str] = {}
        self.feed_pid: int | None = None
        self.is_live = False
        self.detecting_since_s: float | None = None
        self._chosen, self._plan, self._display = chosen, plan, display
        self._store = Store(connect(plan.redis_url, timeout_s=REDIS_TIMEOUT_S), Keys(chosen.feed_name))
        self._rate = FrameRate()
        self._started_at_s = self._polled_at_s = time.monotonic()

    def poll(self) -> None:
        """Read the state and show it, unless it was read less than POLL_INTERVAL_S ago."""
        if time.monotonic() - self._polled_at_s < POLL_INTERVAL_S:
            return
        self._polled_at_s = time.monotonic()
        snapshot = RedisSnapshot.take(self._store)
        if snapshot.feed and snapshot.feed.pid != self.feed_pid:
            snapshot = snapshot.model_copy(update={"feed": None})  # the status of an earlier feed
        if snapshot.feed:
            self._update_progress(snapshot.feed, at_ms=snapshot.at_ms)
        self.tally.update()
        if self._display.is_due():
            self._display.show(self._view(snapshot))

    def is_redis_ready(self) -> bool:
        """Whether Redis answers. Raises Unavailable when it refuses the login."""
        return is_ready(self._store.client)

    def age_s(self) -> float:
        """The time since the start of the run."""
        return time.monotonic() - self._started_at_s

    def is_settling(self) -> bool:
        """Whether the run is young enough for its processes not to have reported yet."""
        return self.age_s() < SETTLING_S

    def count_open(self) -> int | None:
        """The number of captures without a line, or None when Redis does not answer."""
        try:
            return self._store.pending.size()
        except redis.RedisError:
            return None

    def places(self, *names: str) -> dict[str, str]:
        """The addresses and directories with these names, as far as the run has them."""
        places = {**self.urls, "venue": self._plan.venue_url, "data": shown(self._chosen.data_dir)}
        return {name: place for name, place in places.items() if place and name in names}

    def summary(self, *, left_open: int | None) -> SystemStatus:
        """The counts of the whole run."""
        snapshot = RedisSnapshot(at_ms=wall_ms(), pending=left_open)
        return SystemStatus.from_parts(self.tally, snapshot)

    def _update_progress(self, feed: FeedStatus, *, at_ms: int) -> None:
        self.tally.start.first_worker_at_ms = feed.first_worker_at_ms
        self.is_live = self.is_live or feed.markets_live > 0
        if self.detecting_since_s is None and feed.detection_began_at_ms is not None:
            self.detecting_since_s = time.monotonic() - (at_ms - feed.detection_began_at_ms) / 1000
            self.stage = "running"

    def _view(self, snapshot: RedisSnapshot) -> View:
        table = markets_or_empty(self._store, at_ms=snapshot.at_ms)
        return View(
            title=f"hip3 up, {venue_in_words(self._chosen)}, {self.age_s():,.0f} s, {self.stage}",
            status=SystemStatus.from_parts(
                self.tally, snapshot, data_dir=self._chosen.data_dir, rate=self._rate, dark=table.dark
            ),
            markets=table.rows,
            problems=self._problems(snapshot),
            notices=notices(snapshot),
            places=self.places("flower", "venue", "data"),
            next_steps=self._next_steps(),
        )

    def _problems(self, snapshot: RedisSnapshot) -> Sequence[str]:
        if self.stage == "stopping" or (self.detecting_since_s is None and self.is_settling()):
            return []
        return problems(snapshot, self._chosen)

    def _next_steps(self) -> list[str]:
        page_url = self.urls.get("page") if self.stage in ("starting", "running") else None
        return [*([f"open {page_url}"] if page_url else []), report_command(self._chosen.data_dir)]
