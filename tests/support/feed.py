"""A real feed process between a scripted venue and a real server, with helpers for tests."""

import asyncio
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import redis

from hip3_tasks.clock import wall_ms
from hip3_tasks.domain.capture import Capture
from hip3_tasks.domain.capture_result import PENDING
from hip3_tasks.domain.records import Followup, Missed, Signal
from hip3_tasks.files.journal import Journal
from hip3_tasks.store.feed_status import FeedStatus
from hip3_tasks.store.keys import Keys
from hip3_tasks.store.store import Store
from simulator.limits import Limits
from simulator.server import VenueServer
from simulator.wire import asset_ctx
from tests.support.process import ProcessUnderTest, environment
from tests.support.waiting import TIMEOUT_S
from tests.support.waiting import eventually_async as eventually
from tools.data_files import DataFiles
from workers.capturer import Capturer

LAG_MS = 250
"""The time from a book's block to its frame, as at the real venue."""
LOOSE = Limits(connections=100, new_connections_per_minute=1000, subscriptions=10_000, messages_per_minute=100_000)


def universe(*coins: str, **flags: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Growth-mode markets (threshold 6.9 bps) by dex; `flags` by the coin's name without its dex."""
    dexes: dict[str, list[dict[str, Any]]] = {}
    for coin in coins:
        dex, name = coin.split(":")
        market = {"name": coin, "szDecimals": 3, "maxLeverage": 10, "growthMode": "enabled"}
        dexes.setdefault(dex, []).append(market | flags.get(name, {}))
    return dexes


class FeedRig(DataFiles):
    """The venue, the feed process and a worker's capturer, with one name and one directory."""

    def __init__(self, redis_url: str, name: str, data_dir: Path, *coins: str, **settings: Any) -> None:
        self.url, self.keys, self.data_dir = redis_url, Keys(name), data_dir
        self.coins = coins or ("xyz:TSLA", "xyz:AAPL")
        self.venue = VenueServer(universe(*self.coins), limits=LOOSE)
        self.client = redis.Redis.from_url(redis_url)
        self.store = Store(self.client, self.keys)
        self.pending = self.store.pending
        self.capturer = Capturer(
            self.store,
            journal=Journal(data_dir),
            data_dir=data_dir,
        )
        self._settings = {
            "name": name,
            "data_dir": data_dir,
            "redis_url": redis_url,
            "worker_wait_s": 0,
        } | settings
        self._feeds: list[ProcessUnderTest] = []
        self._heartbeat: asyncio.Task[None] | None = None
        self.prices: dict[str, tuple[float, float, float]] = {}

    async def __aenter__(self) -> "FeedRig":
        await self.venue.start()
        for coin in self.coins:
            self.quote(coin, bid=99.99, ask=100.01, oracle=100.0)
        self._heartbeat = asyncio.create_task(self._beat())
        return self

    async def __aexit__(self, *_: object) -> None:
        for feed in self._feeds:
            feed.kill()
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        await self.venue.stop()
        self.capturer.close()
        self.client.close()

    @property
    def feed(self) -> ProcessUnderTest:
        return self._feeds[-1]

    @property
    def log(self) -> str:
        return self.feed.log

    def quote(self, coin: str, *, bid: float, ask: float, oracle: float) -> None:
        """Publish the state of a market: the context first, then the book, which may cause a signal."""
        self.prices[coin] = (bid, ask, oracle)
        self._publish_ctx(coin)
        self.venue.publish_bbo(coin, (f"{bid:.4f}", "3.5"), (f"{ask:.4f}", "2.25"), time_ms=wall_ms() - LAG_MS)

    def start(self, **settings: Any) -> ProcessUnderTest:
        """Start a feed; `settings` override the rig's, None removes one."""
        chosen = {"venue_url": self.venue.base_url} | self._settings | settings
        env = environment(**{f"HIP3_{key.upper()}": str(value) for key, value in chosen.items() if value is not None})
        self.data_dir.mkdir(exist_ok=True)
        log = self.data_dir / "feed.log"
        self._feeds.append(ProcessUnderTest(sys.executable, "-m", "feed", log=log, env=env).start())
        return self.feed

    async def started(self, *, live: int | None = None, **settings: Any) -> None:
        """Start a feed and wait until `live` markets are live; all by default."""
        began = self.start(**settings)
        wanted = len(self.coins) if live is None else live
        await eventually(
            f"{wanted} markets live",
            lambda: (status := self.status()) and status.pid == began.pid and status.markets_live == wanted,
        )

    async def ended(self, *, within_s: float = TIMEOUT_S) -> int:
        await eventually("the feed has ended", lambda: not self.feed.is_running, within_s=within_s)
        return self.feed.wait()

    def kill(self) -> None:
        self.feed.kill()

    def status(self) -> FeedStatus | None:
        return self.store.feed_status()

    def watermark_ms(self) -> int:
        return int(self.client.get(self.keys.watermark) or 0)

    async def captured(self, signals: Iterable[Signal]) -> dict[tuple[str, int], Followup | Missed]:
        """Run all captures of the signals in this process until each has its line; return all lines."""
        for capture in [capture for signal in signals for capture in signal.captures()]:
            await eventually(f"{capture.member} is on disk", lambda c=capture: self._try(c))
        records: list[Followup | Missed] = [*self.followups(), *self.missed()]
        outcomes = {(record.signal_id, record.offset_ms): record for record in records}
        assert len(outcomes) == len(records), "a capture has two lines"
        return outcomes

    def _try(self, capture: Capture) -> bool:
        return self.capturer.capture(capture) != PENDING

    def _publish_ctx(self, coin: str) -> None:
        oracle = f"{self.prices[coin][2]:.4f}"
        self.venue.publish_ctx(coin, asset_ctx(oracle_px=oracle))

    async def _beat(self) -> None:
        """Contexts come every second, changed or not."""
        while True:
            await asyncio.sleep(0.5)
            for coin in list(self.prices):
                self._publish_ctx(coin)
