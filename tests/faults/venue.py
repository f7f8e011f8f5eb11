"""A scripted venue that knows the truth.

The sizes in each book are the number of its state; the last digits of an oracle away from calm are the number of its
move. So each follow-up names its state, and each signal its move. What the venue has is one thing, and what a fault of
its server sends of it another: states are numbered and moves noted whether they are sent or not.
"""

import asyncio
import math
import threading
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

from hip3_tasks.domain.edge import Side
from simulator.server import VenueServer
from simulator.wire import asset_ctx
from tests.support.feed import LAG_MS, LOOSE, universe

T = TypeVar("T")

TICK_S = 0.02
MAX_CATCH_UP_S = 0.1
"""After a longer stop of this process, what it did not send in the rest of that time is left out."""
CALM_PX, AWAY_PX, DIGIT_PX = 100.0, 0.3, 1e-6
IMPACT_PX = 0.005
"""How much worse than the touch an order of the venue's impact notional is filled."""
REPEAT_INTERVAL_S = 0.5
STALE_MS = 2_000
"""How long a state may be shown after the venue has sent the next, unless frames were late: see `receptions.py`."""
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
    """Moves each book `books_per_s` times per second, oracles at the rate of signals; runs on its own thread."""

    def __init__(
        self, *, coins: int = 20, others: int = 0, signals_per_s: float = 10.0, books_per_s: float = 10.0
    ) -> None:
        self.coins = [f"xyz:C{number:03}" for number in range(coins)]
        self.coins += [f"para:P{number:03}" for number in range(others)]
        self.repeat_interval_s = REPEAT_INTERVAL_S
        self.still: set[str] = set()
        """The coins whose books do not change."""
        self.signals_per_s, self._books_per_s = signals_per_s, books_per_s
        self.server = VenueServer(universe(*self.coins), limits=LOOSE)
        self.clock_ms = CLOCK_MS
        self.ahead_ms = 0
        """How far the system's clocks are ahead of this one."""
        self.is_received = True
        """False while frames are lost on their way, so that their states do not count."""
        self._sent_at_ms: dict[str, list[float]] = defaultdict(list)
        self._calm_px = dict.fromkeys(self.coins, CALM_PX)
        self._drift_px = dict.fromkeys(self.coins, 0.0)
        """The change of price with each book."""
        self._touch_px: dict[str, tuple[float, float]] = {}
        self._oracle_px = dict.fromkeys(self.coins, CALM_PX)
        self._contexts_at_ms: dict[str, list[float]] = defaultdict(list)
        self._oracles: dict[str, list[tuple[float, float]]] = defaultdict(list)
        """The oracle prices of each coin, each with the time since which it has been in force."""
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

    def sent_at_ms(self, coin: str, number: int) -> float | None:
        """When the state of this number was sent; None when it was not."""
        sent = self._sent_at_ms[coin]
        return sent[number - 1] if 1 <= number <= len(sent) else None

    def jump(self, coins: Iterable[str], by_px: float) -> None:
        """Move oracle and book of each coin by as much, which makes no signal."""
        self.do(lambda: [self._jump(coin, by_px) for coin in coins])

    def drift(self, coins: Iterable[str], px_per_book: float) -> None:
        """Let book and oracle of each coin move by as much with each book from now on."""
        self.do(lambda: self._drift_px.update(dict.fromkeys(coins, px_per_book)))

    def ctx_age_ms(self, coin: str, at_ms: int) -> float:
        """The time since the last context of a coin was sent, as of a whole millisecond."""
        sent = self._contexts_at_ms[coin]
        return at_ms - sent[max(0, bisect_right(sent, at_ms + 1) - 1)]

    def problem_of_oracle(self, coin: str, oracle_px: float, due_at_ms: int, *, stale_ms: float) -> str | None:
        """The problem of a record with this oracle price as of `due_at_ms`; None if it was in force shortly before."""
        times = self._oracles[coin]
        first = max(0, bisect_right(times, (due_at_ms - stale_ms - self.clock_ms, math.inf)) - 1)
        last = bisect_right(times, (due_at_ms + self.clock_ms, math.inf))
        in_force = [px for _, px in times[first:last]]
        return None if oracle_px in in_force else f"the oracle was {in_force[-1:]}, not {oracle_px}"

    def problem_of_state(self, coin: str, number: int, due_at_ms: int, *, stale_ms: float = STALE_MS) -> str | None:
        """The problem of a record that shows this state as of `due_at_ms`; None when it is correct."""
        sent = self._sent_at_ms[coin]
        if not 1 <= number <= len(sent):
            return f"no state has the number {number}"
        if sent[number - 1] > due_at_ms + self.clock_ms:
            return f"the state was sent {sent[number - 1] - due_at_ms:.0f} ms after it was due"
        if number < len(sent) and sent[number] + stale_ms + self.clock_ms < due_at_ms:
            return f"the next state was sent {due_at_ms - sent[number]:.0f} ms before it was due"
        return None

    async def _serve(self) -> None:
        await self.server.start()
        for coin in self.coins:
            self._move_book(coin)
            self._publish_oracle(coin)
        self._is_up.set()
        repeats = asyncio.create_task(self._repeat_oracles())
        await self._script()
        repeats.cancel()
        await self.server.stop()

    async def _script(self) -> None:
        signals, books, oracles = 0.0, 0.0, 0
        done, last_s = 0, time.monotonic()
        while not self._ends.is_set():
            now_s = time.monotonic()
            passed_s, last_s = min(now_s - last_s, MAX_CATCH_UP_S), now_s
            books += self._books_per_s * len(self.coins) * passed_s
            while done < int(books):
                done += 1
                if (coin := self.coins[done % len(self.coins)]) not in self.still:
                    self._move_book(coin)
            signals += self.signals_per_s * passed_s * 2  # every second move of an oracle is back to calm
            while signals >= 1:
                signals -= 1
                oracles += 1
                self._move_oracle(self.coins[oracles % len(self.coins)])
            await asyncio.sleep(max(0.0, TICK_S - (time.monotonic() - now_s)))

    async def _repeat_oracles(self) -> None:
        while True:
            await asyncio.sleep(self.repeat_interval_s)
            for coin in self.coins:
                self._publish_oracle(coin)

    def _move_book(self, coin: str) -> None:
        sent = self._sent_at_ms[coin]
        now_ms = self._now_ms()
        if self.is_received:
            sent.append(now_ms)
        number = max(1, len(sent))
        self._shift(coin, self._drift_px[coin])
        self._quote(coin)
        bid, ask = ((f"{px:.3f}", f"{number}.0") for px in self._touch_px[coin])
        self.server.publish_bbo(coin, bid, ask, time_ms=int(now_ms) - LAG_MS)

    def _quote(self, coin: str) -> None:
        bid_px = self._calm_px[coin] - 0.015 + (len(self._sent_at_ms[coin]) % 7) * 0.001
        self._touch_px[coin] = bid_px, bid_px + 0.02

    def _jump(self, coin: str, by_px: float) -> None:
        self._shift(coin, by_px)
        self._quote(coin)
        self._publish_oracle(coin)
        self._move_book(coin)

    def _shift(self, coin: str, by_px: float) -> None:
        """Move the calm price, and the oracle there; both are sent with the next book and context."""
        if by_px:
            if self._oracle_px[coin] != self._calm_px[coin]:
                self._moves[coin][-1] = self._moves[coin][-1]._replace(until_ms=self._now_ms())
            self._calm_px[coin] = self._oracle_px[coin] = round(self._calm_px[coin] + by_px, 3)

    def _move_oracle(self, coin: str) -> None:
        """Move up, to calm, down, to calm, and so on: each move away from calm is one signal."""
        moves, now_ms = self._moves[coin], self._now_ms()
        if self._oracle_px[coin] != self._calm_px[coin]:
            moves[-1] = moves[-1]._replace(until_ms=now_ms)
            self._oracle_px[coin] = self._calm_px[coin]
        else:
            side = Side.SELL if len(moves) % 2 else Side.BUY
            away_px = round(self._calm_px[coin] + side.sign * (AWAY_PX + len(moves) * DIGIT_PX), 6)
            moves.append(Move(coin, side, away_px, now_ms, math.inf))
            self._oracle_px[coin] = away_px
        self._publish_oracle(coin)

    def _now_ms(self) -> float:
        return time.time() * 1000 + self.ahead_ms

    def _steps_to_signal(self, coin: str) -> int:
        return 1 if self._oracle_px[coin] == self._calm_px[coin] else 2

    def _publish_oracle(self, coin: str) -> None:
        oracle_px, (bid_px, ask_px) = self._oracle_px[coin], self._touch_px[coin]
        self._contexts_at_ms[coin].append(self._now_ms())
        oracles = self._oracles[coin]
        if not oracles or oracles[-1][1] != oracle_px:
            oracles.append((self._now_ms(), oracle_px))
        impact_pxs = f"{bid_px - IMPACT_PX:.4f}", f"{ask_px + IMPACT_PX:.4f}"
        mid_px = f"{(bid_px + ask_px) / 2:.4f}"
        self.server.publish_ctx(coin, asset_ctx(oracle_px=f"{oracle_px}", mid_px=mid_px, impact_pxs=impact_pxs))
