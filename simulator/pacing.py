"""Connects model and server in real time; with server.py the only one that reads the clock."""

import asyncio
import time
from collections.abc import Iterable
from itertools import groupby

import structlog

from simulator.block_clock import BlockClock
from simulator.pushes import BboPush, Push
from simulator.server import VenueServer

log = structlog.get_logger()

# The model catches up after a shorter delay. After a longer one its time is shifted, and it continues from now.
MAX_DELAY_S = 0.25
BLOCK_AGE_MS = 250


async def play(pushes: Iterable[Push], venue: VenueServer) -> None:
    """Publish each push at its instant, until there are no more."""
    loop = asyncio.get_running_loop()
    began_at_s, blocks = loop.time(), BlockClock()
    for at_ms, together in groupby(pushes, key=lambda push: push.at_ms):
        wait_s = began_at_s + at_ms / 1e3 - loop.time()
        if wait_s < -MAX_DELAY_S:
            log.warning("simulator_fell_behind", behind_s=round(-wait_s, 3))
            began_at_s -= wait_s
        await asyncio.sleep(max(0.0, wait_s))
        _publish(together, venue, blocks, now_ms=time.time_ns() // 1_000_000)


def _publish(pushes: Iterable[Push], venue: VenueServer, blocks: BlockClock, *, now_ms: int) -> None:
    for push in pushes:
        if isinstance(push, BboPush):
            time_ms = blocks.time_ms(push.at_ms, now_ms=now_ms, age_ms=push.age_ms)
            venue.publish_bbo(push.coin, push.bid, push.ask, time_ms=time_ms)
        else:
            venue.publish_ctx(push.coin, push.ctx)
            if push.trade is not None:
                time_ms = blocks.time_ms(push.at_ms, now_ms=now_ms, age_ms=BLOCK_AGE_MS)
                venue.publish_trade(push.coin, push.trade, time_ms=time_ms)
