"""A scripted venue that knows the truth.

The sizes in each book are the number of its state; the last digits of an oracle away from calm are the number of its
move. So each follow-up names its state, and each signal its move.
"""

import asyncio
import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from hip3_tasks.domain.edge import Side
from simulator.server import VenueServer
from simulator.wire import asset_ctx
from tests.support.feed import LOOSE, universe

T = TypeVar("T")

TICK_S = 0.02
CALM_PX, AWAY_PX, DIGIT_PX = 100.0, 0.3, 1e-6
REPEAT_INTERVAL_S = 0.5
STALE_MS = 2_000
"""How long a state may be shown after the venue has sent the next: the feed trusts a silent socket for 1.5 s."""
CLOCK_MS = 50
"""Apparent difference between the clocks of two processes on a busy machine."""


class Move(NamedTuple):
    """A dislocation: an oracle that moved away from calm, which makes one signal."""

    coin: str
    side: Side
    oracle_px: float
    """No other move of the coin has this price."""
    sent_at_ms: float
    until_ms: float
    """When the oracle moved again."""


class Venue:
    """Moves each book some ten times per second, and oracles at the rate of signals; runs on its own thread."""

    def __init__(self, *, coins: int = 20, signals_per_s: float = 10.0) -> None:
        self.coins = [f"xyz:C{number:03}" for number in range(coins)]
        self.signals_per_s = signals_per_s
        self.server = VenueServer(universe(*self.coins), limits=LOOSE)
        self.clock_ms = CLOCK_MS
        self.ahead_ms = 0
        """How far the system's clocks are ahead of this one."""
        self.is_received = True
        """False while frames are lost on their way, so that their states do not count."""
        self._sent_at_ms: dict[str, list[float]] = defaultdict(list)
        self._oracle_px = dict.fromkeys(self.coins, CALM_PX)
        self._moves: dict[str, list[Move]] = defaultdict(list)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()), daemon=True)
        self._is_up, self._ends = threading.Event(), asyncio.Event()

    def __enter__(self) -> "Venue":
        self._thread.start()
        assert self._is_up.wait(10), "the venue did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ends.set)
        self._thread.join()
        self._loop.close()

    def do(self, function: Callable[[], T]) -> T:
        """Call a function on the venue's thread, and return its result."""

        async def on_loop() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(on_loop(), self._loop).result(10)

    def burst(self) -> None:
        """Move every oracle at once: as many signals as there are coins."""
        self.do(lambda: [self._move_oracle(coin) for coin in self.coins for _ in range(self._steps_to_signal(coin))])

    def moves(self) -> list[Move]:
        """The dislocations of the coins so far."""
        return self.do(lambda: [move for coin in self.coins for move in self._moves[coin]])

    def problem_of_state(self, coin: str, number: int, due_at_ms: int) -> str | None:
        """The problem of a follow-up that shows this state as of `due_at_ms`; None when it is correct."""
        sent = self._sent_at_ms[coin]
        if not 1 <= number <= len(sent):
            return f"no state has the number {number}"
        if sent[number - 1] > due_at_ms + self.clock_ms:
            return f"the state was sent {sent[number - 1] - due_at_ms:.0f} ms after it was due"
        if number < len(sent) and sent[number] + STALE_MS + self.clock_ms < due_at_ms:
            return f"the next state was sent {due_at_ms - sent[number]:.0f} ms before it was due"
        return None

    async def _serve(self) -> None:
        await self.server.start()
        for coin in self.coins:
            self._publish_oracle(coin)
            self._move_book(coin)
        self._is_up.set()
        repeats = asyncio.create_task(self._repeat_oracles())
        await self._script()
        repeats.cancel()
        await self.server.stop()

    async def _script(self) -> None:
        signals, turn = 0.0, 0
        while not self._ends.is_set():
            began_s = time.monotonic()
            for _ in range(max(1, len(self.coins) // 5)):
                turn += 1
                self._move_book(self.coins[turn % len(self.coins)])
            signals += self.signals_per_s * TICK_S * 2  # every second move of an oracle is back to calm
            while signals >= 1:
                signals -= 1
                turn += 1
                self._move_oracle(self.coins[turn % len(self.coins)])
            await asyncio.sleep(max(0.0, TICK_S - (time.monotonic() - began_s)))

    async def _repeat_oracles(self) -> None:
        while True:
            await asyncio.sleep(REPEAT_INTERVAL_S)
            for coin in self.coins:
                self._publish_oracle(coin)

    def _move_book(self, coin: str) -> None:
        sent = self._sent_at_ms[coin]
        now_ms = self._now_ms()
        if self.is_received:
            sent.append(now_ms)
        number = max(1, len(sent))
        level_px, size = (number % 7) * 0.001, f"{number}.0"
        bid, ask = (f"{99.985 + level_px:.3f}", size), (f"{100.005 + level_px:.3f}", size)
        self.server.publish_bbo(coin, bid, ask, time_ms=int(now_ms))

    def _move_oracle(self, coin: str) -> None:
        """Move up, to calm, down, to calm, and so on: each move away from calm is one signal."""
        moves, now_ms = self._moves[coin], self._now_ms()
        if self._oracle_px[coin] != CALM_PX:
            moves[-1] = moves[-1]._replace(until_ms=now_ms)
            self._oracle_px[coin] = CALM_PX
        else:
            side = Side.SELL if len(moves) % 2 else Side.BUY
            away_px = round(CALM_PX + side.sign * (AWAY_PX + len(moves) * DIGIT_PX), 6)
            moves.append(Move(coin, side, away_px, now_ms, math.inf))
            self._oracle_px[coin] = away_px
        self._publish_oracle(coin)

    def _now_ms(self) -> float:
        return time.time() * 1000 + self.ahead_ms

    def _steps_to_signal(self, coin: str) -> int:
        return 1 if self._oracle_px[coin] == CALM_PX else 2

    def _publish_oracle(self, coin: str) -> None:
        self.server.publish_ctx(coin, asset_ctx(oracle_px=f"{self._oracle_px[coin]}"))
