"""`python -m feed.raw_recorder`, the process of `hip3 record --raw`: hears the venue, and keeps the frames as received.

It subscribes, watches and reconnects as a feed does, with the same parts; it makes no tape and needs no Redis.
"""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import Sequence

import aiohttp
import structlog

from feed.followed_markets import FollowedMarkets
from feed.liveness import Liveness
from feed.proxy import proxy_of
from feed.raw_frames import RawFrames
from feed.universe import InfoClient, Universe
from feed.wire import Bbo, Ctx
from hip3_tasks import settings as settings_file
from hip3_tasks.cli.exit_status import exit_status
from hip3_tasks.clock import FeedClock
from hip3_tasks.errors import MalformedFrame
from hip3_tasks.files.lock import lock_directory
from hip3_tasks.health import write_health_file
from hip3_tasks.logs import configure_logs
from hip3_tasks.settings import Settings

log = structlog.get_logger()

REPORT_INTERVAL_S, HEALTH_INTERVAL_S = 60.0, 5.0
NO_DATA_RED_MS = 10_000
"""Each market has a ctx a second, and a connection that was lost is back after a few."""


class _NoTape:
    """The place of entries that are not kept."""

    def append(self, *_: object) -> None: ...
    def forget(self, coin: str) -> None: ...


class RawRecorder:
    """The raw recorder of one venue; the listener of its connections."""

    def __init__(self, chosen: Settings) -> None:
        self._settings, self._clock, self._group = chosen, FeedClock(), asyncio.TaskGroup()
        self.frames = Counter[str]()
        self._heard_at_ms = self._clock.now_ms()
        self._trouble = "the venue has not answered yet"
        self.raw = RawFrames(chosen.data_dir, min_free_mb=chosen.min_free_mb)
        self.markets = FollowedMarkets(
            chosen,
            clock=self._clock,
            tape=_NoTape(),
            listener=self,
            tape_ends={},
            last_signals={},
            group=self._group,
            raw=self.raw,
        )

    async def run(self) -> None:
        """Record until cancelled."""
        chosen, liveness = self._settings, Liveness(self.markets, clock=self._clock)
        try:
            async with aiohttp.ClientSession() as session, self._group as group:
                info = InfoClient(session, chosen.base_url, proxy=proxy_of(chosen))
                for work in (liveness.run(), self.markets.try_fresh_coins(), self._report(), self._keep_health()):
                    group.create_task(work)
                await info.watch(chosen, self._on_universe)
        finally:
            self.raw.close()

    def _on_universe(self, universe: Universe) -> None:
        live = {coin: fee_bps for coin, fee_bps in universe.live.items() if self._settings.wants(coin)}
        self._trouble = universe.trouble or self._trouble
        if universe.dexes_read:
            self.markets.follow(live, unread=universe.dexes - universe.dexes_read)

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(REPORT_INTERVAL_S)
            log.info("raw_frames_kept", **self.frames, dropped=self.raw.dropped, markets=len(self.markets.states))

    async def _keep_health(self) -> None:
        while self._settings.health_dir is not None:
            path, problems = self._settings.health_dir / "raw-recorder", self.problems(self._clock.now_ms())
            await asyncio.to_thread(write_health_file, path, problems)
            await asyncio.sleep(HEALTH_INTERVAL_S)

    def problems(self, at_ms: int) -> list[str]:
        """The reasons why frames are not kept at present."""
        silent_ms, disk = at_ms - self._heard_at_ms, self.raw.trouble
        silence = [f"no data for {silent_ms / 1000:.0f} s: {self._trouble}"] if silent_ms > NO_DATA_RED_MS else []
        return silence + ([f"raw frames not written: {disk}"] if disk else [])

    def on_data(self, frame: Bbo | Ctx, at_ms: int) -> None:
        self.frames["data"] += 1
        self._heard_at_ms = at_ms

    def on_frame(self, kind: str) -> None:
        self.frames["others"] += 1

    def on_malformed(self, error: MalformedFrame, at_ms: int) -> None:
        self.frames["malformed"] += 1

    def on_refusal(self, text: str) -> None:
        log.warning("venue_error", text=text[:200])

    def on_stall(self, coins: Sequence[str], *, last_data_at_ms: int, at_ms: int) -> None: ...
    def on_loss(self, coins: Sequence[str], *, last_data_at_ms: int, cause: str) -> None: ...

    def on_trouble(self, trouble: str) -> None:
        self._trouble = trouble

    def on_rejected(self, coin: str) -> None:
        self.markets.reject(coin)


def main() -> int:
    return exit_status(_record)


def _record() -> int:
    chosen = settings_file.load()
    configure_logs(chosen.log_level)
    lock_fd = lock_directory(chosen.data_dir, role="raw-recorder")
    try:
        asyncio.run(_until_stopped(chosen))
    finally:
        os.close(lock_fd)
    return 0


async def _until_stopped(chosen: Settings) -> None:
    recorder = RawRecorder(chosen)
    task = asyncio.ensure_future(recorder.run())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    log.info("raw_recorder_started", venue=chosen.base_url, data_dir=str(chosen.data_dir))
    try:
        await task
    except asyncio.CancelledError:
        log.info("raw_recorder_stopped", **recorder.frames, dropped=recorder.raw.dropped)


if __name__ == "__main__":
    sys.exit(main())
