"""A venue for the benchmark of the live page: 150 markets, each with a new book 2.5 times a second."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

from hip3_tasks.clock import wall_ms
from simulator.limits import Limits
from simulator.server import VenueServer
from simulator.wire import asset_ctx

LIMITS = Limits(connections=100, new_connections_per_minute=1000, subscriptions=10_000, messages_per_minute=100_000)
COINS = [f"xyz:B{number:03}" for number in range(150)]
BOOKS_PER_S = 2.5
SIGNALS_PER_S = 3
BURST_EVERY_S, BURST = 10, 100
"""An oracle update that moves many markets at once."""
JUMP = 0.003


@asynccontextmanager
async def venue() -> AsyncIterator[str]:
    """Its URL, while its markets live."""
    server = VenueServer({"xyz": [{"name": name, "szDecimals": 2} for name in COINS]}, limits=LIMITS)
    await server.start()
    living = asyncio.create_task(_Market(server).live())
    yield server.base_url
    living.cancel()
    await server.stop()


class _Market:
    """Books that quiver around their oracles, and oracles that jump away and are followed."""

    def __init__(self, server: VenueServer) -> None:
        self._server, self._chance = server, Random(7)
        self._mids_px, self._oracles_px = dict.fromkeys(COINS, 100.0), dict.fromkeys(COINS, 100.0)

    async def live(self) -> None:
        loop = asyncio.get_running_loop()
        began_s, books, contexts, jumps, bursts = loop.time(), 0, 0, 0, 0
        while True:
            elapsed_s = loop.time() - began_s
            while jumps < elapsed_s * SIGNALS_PER_S:
                self._jump([self._chance.choice(COINS)], way=self._chance.choice((-1, 1)))
                jumps += 1
            while bursts < elapsed_s // BURST_EVERY_S:
                self._jump(COINS[:BURST], way=1 - bursts % 2 * 2)
                bursts += 1
            while books < elapsed_s * BOOKS_PER_S * len(COINS):
                self._quote(self._chance.choice(COINS))
                books += 1
            while contexts < elapsed_s * len(COINS):
                self._say_oracle(COINS[contexts % len(COINS)])
                contexts += 1
            await asyncio.sleep(0.005)

    def _jump(self, coins: list[str], *, way: int) -> None:
        for coin in coins:
            self._oracles_px[coin] = 100.0 * (1 + way * JUMP)
            self._say_oracle(coin)

    def _quote(self, coin: str) -> None:
        self._mids_px[coin] += (self._oracles_px[coin] - self._mids_px[coin]) * 0.3
        mid_px = self._mids_px[coin] + self._chance.uniform(-0.01, 0.01)
        bid, ask = ((f"{mid_px + away:.3f}", f"{self._chance.uniform(1, 9):.2f}") for away in (-0.01, 0.01))
        self._server.publish_bbo(coin, bid, ask, time_ms=wall_ms())

    def _say_oracle(self, coin: str) -> None:
        self._server.publish_ctx(coin, asset_ctx(oracle_px=f"{self._oracles_px[coin]:.3f}"))
