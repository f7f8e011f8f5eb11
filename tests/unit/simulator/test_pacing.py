"""Pacing of the model by the clock: each event comes at its time, and a delay causes no burst."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from simulator.block_clock import BlockClock
from simulator.pacing import play
from simulator.pushes import BboPush, CtxPush, Push


class Tape:
    """Records the publications of the model, with their times."""

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


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(-500, 500), st.integers(220, 280)), max_size=20))
def test_a_block_is_later_than_the_one_before_it_and_has_one_time(steps: list[tuple[int, int, int]]) -> None:
    blocks, at_ms, now_ms = BlockClock(), 0, 1_700_000_000_000
    last_at_ms, last_time_ms = -1, 0
    for gap_ms, elapsed_ms, age_ms in steps:  # the wall clock may step back
        at_ms, now_ms = at_ms + gap_ms, now_ms + elapsed_ms
        time_ms = blocks.time_ms(at_ms, now_ms=now_ms, age_ms=age_ms)
        assert time_ms == last_time_ms if at_ms == last_at_ms else time_ms > last_time_ms
        last_at_ms, last_time_ms = at_ms, time_ms


def test_block_times_do_not_go_back_when_late_blocks_are_published_together() -> None:
    tape = Tape()
    ages_ms = (220, 280, 220, 280)
    late = (BboPush(at_ms=at_ms, coin="xyz:TSLA", bid=None, ask=None, age_ms=age) for at_ms, age in enumerate(ages_ms))
    asyncio.run(play(late, tape))
    block_times = [time_ms for _, time_ms in tape.bbo]
    assert block_times == sorted(set(block_times))
