"""A venue of 150 markets whose load is the same in each run: books, contexts, single signals, and bursts of them.

    python -m benchmarks.venue live|bursts

prints its URL and plays until it is ended.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from random import Random
from typing import NamedTuple

import typer

from hip3_tasks.clock import wall_ms
from simulator.limits import Limits
from simulator.server import VenueServer
from simulator.wire import asset_ctx

LIMITS = Limits(connections=100, new_connections_per_minute=1000, subscriptions=10_000, messages_per_minute=100_000)
COINS = [f"xyz:B{number:03}" for number in range(150)]
SIGNALS_PER_S = 3
BURST = COINS[:100]
"""The markets that an oracle update moves together."""
JUMP = 0.003
TICK_S = 0.005


class Due(NamedTuple):
    """Counts of what is to have happened since the start."""

    jumps: int
    burst_jumps: int
    books: int
    contexts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Each market has a context a second besides."""

    books_per_s: float
    """Books of each market."""
    burst_every_s: float | None = None
    burst_within_s: float = 0.0

    def due(self, elapsed_s: float) -> Due:
        books = int(elapsed_s * self.books_per_s * len(COINS))
        return Due(int(elapsed_s * SIGNALS_PER_S), self._burst_jumps(elapsed_s), books, int(elapsed_s * len(COINS)))

    def _burst_jumps(self, elapsed_s: float) -> int:
        if self.burst_every_s is None or elapsed_s < self.burst_every_s:
            return 0
        begun, since_s = divmod(elapsed_s, self.burst_every_s)
        share = min(1.0, since_s / self.burst_within_s) if self.burst_within_s else 1.0
        return len(BURST) * (int(begun) - 1) + int(len(BURST) * share)


PAGE = Load(books_per_s=2.5, burst_every_s=10)
LIVE = Load(books_per_s=2.0)
"""450 frames a second: 300 books, 150 contexts."""
LOADS = {"live": LIVE, "bursts": replace(LIVE, burst_every_s=6, burst_within_s=0.05)}


@asynccontextmanager
async def venue(load: Load) -> AsyncIterator[str]:
    """Its URL, while its markets live."""
    server = VenueServer({"xyz": [{"name": name, "szDecimals": 2} for name in COINS]}, limits=LIMITS)
    await server.start()
    living = asyncio.create_task(_Market(server).live(load))
    yield server.base_url
    living.cancel()
    await server.stop()


class _Market:
    """Books that quiver around their oracles, and oracles that jump away and are followed."""

    def __init__(self, server: VenueServer) -> None:
        self._server, self._chance = server, Random(7)
        self._mids_px, self._oracles_px = dict.fromkeys(COINS, 100.0), dict.fromkeys(COINS, 100.0)
        self._ways = dict.fromkeys(COINS, -1)

    async def live(self, load: Load) -> None:
        loop = asyncio.get_running_loop()
        began_s, done = loop.time(), Due(0, 0, 0, 0)
        while True:
            due = load.due(loop.time() - began_s)
            for number in range(done.jumps, due.jumps):
                self._jump(COINS[-1 - number % len(COINS)])
            for number in range(done.burst_jumps, due.burst_jumps):
                self._jump(BURST[number % len(BURST)])
            for _ in range(done.books, due.books):
                self._quote(self._chance.choice(COINS))
            for number in range(done.contexts, due.contexts):
                self._say_oracle(COINS[number % len(COINS)])
            done = due
            await asyncio.sleep(TICK_S)

    def _jump(self, coin: str) -> None:
        """Move an oracle to the other side of 100: one signal, as a side fires once for an oracle's value."""
        self._ways[coin] *= -1
        self._oracles_px[coin] = 100.0 * (1 + self._ways[coin] * JUMP)
        self._say_oracle(coin)

    def _quote(self, coin: str) -> None:
        self._mids_px[coin] += (self._oracles_px[coin] - self._mids_px[coin]) * 0.3
        mid_px = self._mids_px[coin] + self._chance.uniform(-0.01, 0.01)
        bid, ask = ((f"{mid_px + away:.3f}", f"{self._chance.uniform(1, 9):.2f}") for away in (-0.01, 0.01))
        self._server.publish_bbo(coin, bid, ask, time_ms=wall_ms())

    def _say_oracle(self, coin: str) -> None:
        self._server.publish_ctx(coin, asset_ctx(oracle_px=f"{self._oracles_px[coin]:.3f}"))


def main(load: str) -> None:
    async def play() -> None:
        async with venue(LOADS[load]) as url:
            print(url, flush=True)
            await asyncio.Event().wait()

    asyncio.run(play())


if __name__ == "__main__":
    typer.run(main)
