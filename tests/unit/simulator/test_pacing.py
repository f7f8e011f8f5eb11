"""The model's time on the clock's: what is due comes when due, and a delay is not made up for in a burst."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

from simulator.pacing import play
from simulator.pushes import BboPush, CtxPush, Push


class Tape:
    """Takes what a venue would publish, with the time of it."""

    def __init__(self) -> None:
        self.bbo: list[tuple[float, int]] = []
        self.ctxs: list[dict[str, Any]] = []

    def publish_bbo(self, coin: str, bid: object, ask: object, *, time_ms: int) -> None:
        self.bbo.append((time.monotonic(), time_ms))

    def publish_ctx(self, coin: str, ctx: dict[str, Any]) -> None:
        self.ctxs.append(ctx)


def bbo(at_ms: int) -> BboPush:
    return BboPush(at_ms=at_ms, coin="xyz:TSLA", bid=None, ask=None, age_ms=250)


def test_pushes_come_at_their_instants_with_block_times_of_their_age() -> None:
    tape = Tape()
    began_at_s, began_at_ms = time.monotonic(), time.time_ns() // 1_000_000
    asyncio.run(play([bbo(0), CtxPush(at_ms=0, coin="xyz:TSLA", ctx={}), bbo(100), bbo(200)], tape))
    assert len(tape.ctxs) == 1
    for due_ms, (published_at_s, time_ms) in zip((0, 100, 200), tape.bbo, strict=True):
        assert published_at_s - began_at_s >= due_ms / 1e3 - 0.01
        assert time_ms >= began_at_ms + due_ms - 260


def test_after_a_long_delay_the_market_goes_on_at_its_own_pace() -> None:
    def halting() -> Iterator[Push]:
        yield bbo(0)
        time.sleep(0.6)
        yield from (bbo(at_ms) for at_ms in range(50, 301, 50))

    tape = Tape()
    asyncio.run(play(halting(), tape))
    published_at_s = [at_s for at_s, _ in tape.bbo]
    assert published_at_s[-1] - published_at_s[1] >= 0.24
    block_times = [time_ms for _, time_ms in tape.bbo]
    assert block_times[1] - block_times[0] >= 590
