"""Reads Redis and the ends of the files twice a second, for all viewers together."""

import asyncio
import time
from dataclasses import replace
from typing import Any

import redis
import structlog
from pydantic import ValidationError

from hip3_tasks.clock import wall_ms
from hip3_tasks.domain.records import Dark
from hip3_tasks.domain.sessions import session_at
from hip3_tasks.errors import Unavailable
from hip3_tasks.status.market_rows import MarketRow, markets_at
from hip3_tasks.status.redis_snapshot import RedisSnapshot, notices, problems
from hip3_tasks.status.system_status import FrameRate, SystemStatus
from hip3_tasks.web.decay_cache import DecayCache
from hip3_tasks.web.event_stream import Broadcast
from hip3_tasks.web.figures import lateness_figure
from hip3_tasks.web.file_feed import FileFeed
from hip3_tasks.web.recent_signals import SignalRow
from hip3_tasks.web.snapshot import PageState, recent_outcomes
from hip3_tasks.web.system_locator import SystemLocator

POLL_INTERVAL_S = 0.5
SYSTEM_INTERVAL_S = 1.0
FIGURES_INTERVAL_S = 5.0
MAX_SIGNALS = 100
LATE_NOW_MS = 120_000

log = structlog.get_logger()


class Interval:
    """Tells at which polls something is done that is not done at each."""

    def __init__(self, interval_s: float) -> None:
        # A poll that comes a little early counts: to wait for the next one would be late by a whole poll.
        self._interval_s, self._next_s = interval_s - POLL_INTERVAL_S / 2, float("-inf")

    def is_over(self) -> bool:
        now_s = time.monotonic()
        if now_s < self._next_s:
            return False
        self._next_s = now_s + self._interval_s
        return True


class Poller:
    """Only one thread at a time may poll. The last state has the values that are kept when Redis is away."""

    def __init__(self, locator: SystemLocator, files: FileFeed, decay: DecayCache) -> None:
        self._locator, self._settings, self._files, self._decay = locator, locator.settings, files, decay
        self._frame_rate = FrameRate()
        self._system_interval, self._figures_interval = Interval(SYSTEM_INTERVAL_S), Interval(FIGURES_INTERVAL_S)
        now_ms = wall_ms()
        self._snapshot = RedisSnapshot(at_ms=now_ms, fault="Redis was not read yet")
        self._dark: list[Dark] | None = None
        self._state = PageState(name=locator.name, venue=self._settings.venue, at_ms=now_ms, session=session_at(now_ms))

    async def run(self, broadcast: Broadcast) -> None:
        """Poll and publish until cancelled."""
        loop = asyncio.get_running_loop()
        next_s = loop.time()
        last_fault = ""
        while True:
            try:
                state, changed, figures = await asyncio.to_thread(self.poll)
                state = replace(state, taken=await self._decay.taken())
                broadcast.publish(state, changed=changed, figures=figures)
                last_fault = ""
            except Exception as error:  # whatever it is, the next poll may succeed; until then the page is red
                if last_fault != (fault := repr(error)):
                    log.exception("poll_failed", fault=fault)
                last_fault = fault
            next_s = max(next_s + POLL_INTERVAL_S, loop.time())
            await asyncio.sleep(next_s - loop.time())

    def poll(self) -> tuple[PageState, list[SignalRow], dict[str, Any]]:
        """Read everything that is new; return the state, the signals that changed, and the figures drawn again.

        Errors of Redis and of the files become problems, and are not raised.
        """
        now_ms, is_system_read = wall_ms(), self._system_interval.is_over()
        if is_system_read:
            self._snapshot = self._read_redis()
        self._files.update(now_ms)
        feed, signals = self._snapshot.feed, self._files.recent_signals
        at_ms = now_ms - (feed.clock_behind_wall_ms if feed else 0)
        changes = self._markets(at_ms) | (self._system() if is_system_read else {})
        changed = signals.changed()
        if changed:
            changes["verdicts"] = recent_outcomes(signals.newest(2 * MAX_SIGNALS))
        changes |= {"at_ms": at_ms, "session": session_at(at_ms), "signals": signals.newest(MAX_SIGNALS)}
        self._state = replace(self._state, **changes)
        figures = {"lateness": lateness_figure(self._files.window)} if self._figures_interval.is_over() else {}
        return self._state, changed, figures

    def _read_redis(self) -> RedisSnapshot:
        try:
            snapshot = RedisSnapshot.take(self._locator.find())
        except Unavailable as error:
            return RedisSnapshot(at_ms=wall_ms(), fault=str(error))
        if snapshot.feed:
            self._files.window.start.first_worker_at_ms = snapshot.feed.first_worker_at_ms
        return snapshot

    def _system(self) -> dict[str, Any]:
        """The fields of the state that tell about the system."""
        snapshot, settings, window = self._snapshot, self._settings, self._files.window
        red = problems(snapshot, settings)
        return {
            "name": self._locator.name,
            "flower_url": self._locator.flower_url,
            "ok": not red,
            "problems": red,
            "notices": notices(snapshot),
            "is_simulated": snapshot.feed.is_simulated if snapshot.feed else self._state.is_simulated,
            "late_now_ms": window.lateness_since(snapshot.at_ms - LATE_NOW_MS).summary(),
            "pipeline": SystemStatus.from_parts(
                window.counts(), snapshot, data_dir=settings.data_dir, rate=self._frame_rate, dark=self._dark
            ),
        }

    def _markets(self, at_ms: int) -> dict[str, Any]:
        """The fields of the state that tell about the markets; without new rows the last ones stay, as gaps."""
        known_until_ms, rows, why = self._state.known_until_ms, list[MarketRow](), ""
        self._dark = None
        try:
            watermark_ms, rows, self._dark = markets_at(self._locator.store, at_ms=at_ms)
            known_until_ms = watermark_ms or known_until_ms
            why = "the feed does not say which markets it follows"
        except (redis.RedisError, Unavailable):
            why = "Redis does not answer"
        except ValidationError:
            why = "the feed's list of markets is not understood"
        return {"known_until_ms": known_until_ms, "markets": rows or [row.unknown(why) for row in self._state.markets]}
