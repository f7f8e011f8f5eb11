"""One probe from its lists to its measurement."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, field

import aiohttp

from feed.probe.info import ListReader
from feed.probe.measurement import Measurement
from feed.probe.socket_notes import SocketNotes
from feed.probe.sockets import ProbeLimits, ProbeSocket
from feed.probe.twins import Twins
from feed.probe.venue_lists import VenueLists
from hip3_tasks.clock import FeedClock
from hip3_tasks.errors import BadSelection, Unavailable
from hip3_tasks.terminal_text import nearest

DEFAULT_COINS, MAX_COINS = 40, 50
"""Two channels on two sockets: at most 200 subscriptions."""
PROGRESS_INTERVAL_S = 0.5


@dataclass(slots=True, kw_only=True)
class Probe:
    """Measures a venue until the time is over or `stop` is set."""

    base_url: str
    seconds: float
    coins: Sequence[str] = ()
    """The markets to hear; the busiest if empty."""
    number: int = DEFAULT_COINS
    """How many of the busiest."""
    proxy: str | None = None
    progress: Callable[[float, str], None] = lambda done, text: None
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> Measurement:
        """Read the lists, then hear two sockets. Raises Unavailable and BadSelection."""
        clock, twins = FeedClock(), Twins()
        sockets = SocketNotes(0, twins), SocketNotes(1, twins)
        self.progress(0, "reading the lists of markets")
        async with aiohttp.ClientSession() as session:
            reader = ListReader(session, self.base_url, proxy=self.proxy)
            await self._unless_stopped(reader.read())
        began_at_ms = clock.now_ms()
        if not self.stop.is_set():
            coins = self._chosen(reader.lists)
            limits, url = ProbeLimits(), f"{self.base_url.replace('http', 'ws', 1)}/ws"
            works = [
                ProbeSocket(url, coins, notes=notes, clock=clock, limits=limits, proxy=self.proxy).run()
                for notes in sockets
            ]
            await self._unless_stopped(*works, self._wait(sockets))
        ended_at_ms = clock.now_ms()
        for notes in sockets:
            if notes.connects:
                notes.finish(ended_at_ms)
        twins.finish(ended_at_ms)
        return Measurement(lists=reader.lists, sockets=sockets, twins=twins, elapsed_ms=ended_at_ms - began_at_ms)

    def _chosen(self, lists: VenueLists) -> list[str]:
        if not self.coins and lists.trouble:
            raise Unavailable(lists.trouble)
        coins = list(self.coins) or lists.busiest(self.number)
        if not coins:
            raise Unavailable(f"{self.base_url}: the venue shows no live market: {'; '.join(lists.broken.values())}")
        for coin in coins:
            # A coin of a dex that could not be read may be right.
            if lists.trouble is None and coin not in lists.volumes and coin.partition(":")[0] in lists.lists:
                raise BadSelection(f"--coins: the venue has no live market {coin}{_similar(coin, lists.volumes)}")
        return coins

    async def _wait(self, sockets: Collection[SocketNotes]) -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        while (passed_s := loop.time() - began_s) < self.seconds:
            frames = sum(notes.frames.total() for notes in sockets)
            self.progress(passed_s / self.seconds, f"{frames:,} frames")
            await asyncio.sleep(min(PROGRESS_INTERVAL_S, self.seconds - passed_s))

    async def _unless_stopped(self, *works: Coroutine[None, None, None]) -> None:
        """Run until the first of the works ends or `stop` is set; raises the error of a work."""
        tasks = [asyncio.ensure_future(work) for work in (*works, self.stop.wait())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()


def _similar(coin: str, names: Collection[str]) -> str:
    similar = nearest(coin, names)
    return f"; did you mean {similar}?" if similar else ""
