"""The one who looks, for all viewers together: at Redis and the ends of the files, twice a second."""

import asyncio
from dataclasses import dataclass
from typing import Any

import redis
import structlog
from pydantic import ValidationError

from hip3_tasks.clock import wall_ms
from hip3_tasks.domain.sessions import session_at
from hip3_tasks.errors import Unavailable
from hip3_tasks.status.frame_rate import FrameRate
from hip3_tasks.status.market_rows import MarketRow, markets_at
from hip3_tasks.status.redis_snapshot import RedisSnapshot, problems
from hip3_tasks.status.system_status import SystemStatus, files_today
from hip3_tasks.web.event_stream import Broadcast
from hip3_tasks.web.figures import lateness_figure
from hip3_tasks.web.file_feed import FileFeed
from hip3_tasks.web.recent_signals import SignalRow
from hip3_tasks.web.snapshot import PageState, RecentOutcomes, recent_outcomes
from hip3_tasks.web.system_locator import SystemLocator

EVERY_S = 0.5
PIPELINE_EVERY = 2
"""Looks: what says how the machinery stands is asked once a second."""
FIGURES_EVERY = 10
SIGNALS_SHOWN = 100
NOW_MS = 120_000
UNSAID = "the feed does not say what it follows"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Poll:
    """What one look found."""

    state: PageState
    changed: list[SignalRow]
    figures: dict[str, Any]


class Poller:
    """One thread at a time may look."""

    def __init__(self, locator: SystemLocator, files: FileFeed) -> None:
        self._locator, self._chosen, self._files = locator, locator.asked, files
        self._rate = FrameRate()
        self._snapshot = RedisSnapshot(at_ms=wall_ms(), fault="nothing was looked at yet")
        self._pipeline: SystemStatus | None = None
        self._late_now_ms: dict[str, int | None] = {}
        self._problems: list[str] = []
        self._recent_outcomes = RecentOutcomes()
        self._markets: list[MarketRow] = []
        self._known_until_ms: int | None = None
        self._is_simulated: bool | None = None
        self._looks = 0

    async def watch(self, broadcast: Broadcast) -> None:
        """Look and publish, until cancelled."""
        loop = asyncio.get_running_loop()
        next_s = loop.time()
        said = ""
        while True:
            try:
                look = await asyncio.to_thread(self.look)
                broadcast.publish(look.state, changed=look.changed, figures=look.figures)
                said = ""
            except Exception as fault:  # whatever it was, the next look may find it gone; until then the page is red
                if said != (said := repr(fault)):
                    log.exception("look_failed", fault=said)
            next_s = max(next_s + EVERY_S, loop.time())
            await asyncio.sleep(next_s - loop.time())

    def look(self) -> Poll:
        """Never raises for what is wrong with Redis or the files: that is a thing to show."""
        now_ms = wall_ms()
        looks_at_machinery = self._looks % PIPELINE_EVERY == 0
        if looks_at_machinery:
            self._snapshot = self._take_snapshot()
        self._files.update(now_ms)
        if looks_at_machinery:
            self._sum_up()
        at_ms = now_ms - (self._snapshot.feed.clock_behind_wall_ms if self._snapshot.feed else 0)
        self._look_at_the_markets(at_ms)
        figures = self._figures() if self._looks % FIGURES_EVERY == 0 else {}
        self._looks += 1
        if changed := self._files.recent_signals.changed():
            self._recent_outcomes = recent_outcomes(self._files.recent_signals.newest(2 * SIGNALS_SHOWN))
        return Poll(self._state(at_ms), changed, figures)

    def _take_snapshot(self) -> RedisSnapshot:
        try:
            snapshot = RedisSnapshot.take(self._locator.find())
        except Unavailable as error:
            return RedisSnapshot(at_ms=wall_ms(), fault=str(error))
        if snapshot.feed:
            self._files.window.start.first_worker_at_ms = snapshot.feed.first_worker_at_ms
            self._is_simulated = snapshot.feed.is_simulated
        return snapshot

    def _sum_up(self) -> None:
        self._late_now_ms = self._files.window.lateness_since(self._snapshot.at_ms - NOW_MS).summary()
        data_dir = self._chosen.data_dir
        self._problems = problems(self._snapshot, data_dir=data_dir, min_free_mb=self._chosen.min_free_mb)
        self._pipeline = SystemStatus.of(
            self._files.window.counts(),
            self._snapshot,
            files=files_today(data_dir, at_ms=self._snapshot.at_ms),
            frames_per_s=self._rate.of(self._snapshot.feed),
        )

    def _look_at_the_markets(self, at_ms: int) -> None:
        try:
            found = markets_at(self._locator.store, at_ms=at_ms)
            self._known_until_ms = found.watermark_ms or self._known_until_ms
            self._markets = found.rows or [row.unknown(UNSAID) for row in self._markets]
        except (redis.RedisError, Unavailable):
            self._markets = [row.unknown("Redis does not answer") for row in self._markets]
        except ValidationError:
            self._markets = [row.unknown("what the feed follows is not understood") for row in self._markets]

    def _figures(self) -> dict[str, Any]:
        return {"lateness": lateness_figure(self._files.window)}

    def _state(self, at_ms: int) -> PageState:
        newest = self._files.recent_signals.newest(SIGNALS_SHOWN)
        return PageState(
            name=self._locator.name,
            venue=self._chosen.venue,
            at_ms=at_ms,
            known_until_ms=self._known_until_ms,
            ok=not self._problems,
            problems=self._problems,
            session=session_at(at_ms),
            flower_url=self._locator.flower_url,
            late_now_ms=self._late_now_ms,
            verdicts=self._recent_outcomes,
            pipeline=self._pipeline,
            markets=self._markets,
            signals=newest,
            is_simulated=self._is_simulated,
        )
