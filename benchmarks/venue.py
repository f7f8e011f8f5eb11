"""A venue of 150 markets whose load is the same in each run: books, contexts, single signals, and bursts of them.

    python -m benchmarks.venue live|bursts|dense

prints its URL and runs until it is terminated.
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


class Counts(NamedTuple):
    """Numbers of events since the start."""

    jumps: int
    burst_jumps: int
    books: int
    contexts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Rates of books, signals and bursts; each market also gets a context every second."""

    books_per_s: float
    """Books per second of each market."""
    burst_interval_s: float | None = None
    burst_within_s: float = 0.0

    def expected(self, elapsed_s: float) -> Counts:
        books = int(elapsed_s * self.books_per_s * len(COINS))
        return Counts(int(elapsed_s * SIGNALS_PER_S), self._burst_jumps(elapsed_s), books, int(elapsed_s * len(COINS)))

    def _burst_jumps(self, elapsed_s: float) -> int:
        if self.burst_interval_s is None or elapsed_s < self.burst_interval_s:
            return 0
        begun, since_s = divmod(elapsed_s, self.burst_interval_s)
        share = min(1.0, since_s / self.burst_within_s) if self.burst_within_s else 1.0
        return len(BURST) * (int(begun) - 1) + int(len(BURST) * share)


PAGE = Load(books_per_s=2.5, burst_interval_s=10)
LIVE = Load(books_per_s=2.0)
"""450 frames a second: 300 books, 150 contexts."""
DENSE = Load(books_per_s=34.0)
"""5,100 states a second, eleven times live size."""
LOADS = {"live": LIVE, "bursts": replace(LIVE, burst_interval_s=6, burst_within_s=0.05), "dense": DENSE}
BUDGETED = "live", "bursts"


@asynccontextmanager
async def venue(load: Load) -> AsyncIterator[str]:
    """The URL of a venue that plays a load."""
    server = VenueServer({"xyz": [{"name": name, "szDecimals": 2} for name in COINS]}, limits=LIMITS)
    await server.start()
    task = asyncio.create_task(_Market(server).live(load))
    yield server.base_url
    task.cancel()
    await server.stop()


class _Market:
    """Books that follow their oracles with noise, and oracles that jump."""

    def __init__(self, server: VenueServer) -> None:
        self._server, self._chance = server, Random(7)
        self._mids_px, self._oracles_px = dict.fromkeys(COINS, 100.0), dict.fromkeys(COINS, 100.0)
        self._signs = dict.fromkeys(COINS, -1)

    async def live(self, load: Load) -> None:
        loop = asyncio.get_running_loop()
        began_s, done = loop.time(), Counts(0, 0, 0, 0)
        while True:
            expected = load.expected(loop.time() - began_s)
            for number in range(done.jumps, expected.jumps):
                self._jump(COINS[-1 - number % len(COINS)])
            for number in range(done.burst_jumps, expected.burst_jumps):
                self._jump(BURST[number % len(BURST)])
            for _ in range(done.books, expected.books):
                self._quote(self._chance.choice(COINS))
            for number in range(done.contexts, expected.contexts):
                self._publish_oracle(COINS[number % len(COINS)])
            done = expected
            await asyncio.sleep(TICK_S)

    def _jump(self, coin: str) -> None:
        """Move an oracle to the other side of 100: one signal, because a side fires once per oracle value."""
        self._signs[coin] *= -1
        self._oracles_px[coin] = 100.0 * (1 + self._signs[coin] * JUMP)
        self._publish_oracle(coin)

    def _quote(self, coin: str) -> None:
        self._mids_px[coin] += (self._oracles_px[coin] - self._mids_px[coin]) * 0.3
        mid_px = self._mids_px[coin] + self._chance.uniform(-0.01, 0.01)
        bid, ask = ((f"{mid_px + away:.3f}", f"{self._chance.uniform(1, 9):.2f}") for away in (-0.01, 0.01))
        self._server.publish_bbo(coin, bid, ask, time_ms=wall_ms())

    def _publish_oracle(self, coin: str) -> None:
        self._server.publish_ctx(coin, asset_ctx(oracle_px=f"{self._oracles_px[coin]:.3f}"))


def main(load: str) -> None:
    async def play() -> None:
        async with venue(LOADS[load]) as url:
            print(url, flush=True)
            await asyncio.Event().wait()

    asyncio.run(play())


if __name__ == "__main__":
    typer.run(main)
