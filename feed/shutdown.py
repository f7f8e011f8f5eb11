"""Runs the feed until a signal stops it, then drains it: SIGTERM or Ctrl-C once to drain, twice to end at once."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import redis
import structlog

from feed.feed import Feed
from feed.signal_publisher import SignalPublisher
from feed.sweeper import Sweeper

log = structlog.get_logger()

MARGIN_S = 10.0
POLL_S = 0.05
HASTEN_INTERVAL_S = 3.0


class _Stopped(Exception):
    """Ends the task group after the drain."""


async def run_until_stopped(drain: Callable[[], Coroutine[Any, Any, int]], *works: Coroutine[Any, Any, None]) -> int:
    """Run until a signal asks to stop, then drain; return the number of open captures, -1 if it is not known.

    Raises the errors of the works.
    """
    stop, stop_now = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        (stop_now if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    left_open = -1

    async def stop_in_order() -> None:
        nonlocal left_open
        await stop.wait()
        draining = asyncio.create_task(drain())
        await asyncio.wait([draining, asyncio.create_task(stop_now.wait())], return_when=asyncio.FIRST_COMPLETED)
        left_open = draining.result() if draining.done() else -1
        raise _Stopped

    try:
        async with asyncio.TaskGroup() as group:
            for work in (*works, stop_in_order()):
                group.create_task(work)
    except* _Stopped:
        pass
    return left_open


async def drain(feed: Feed, publisher: SignalPublisher, sweeper: Sweeper, *, max_offset_ms: int) -> int:
    """Stop detection; wait until no capture is open, at most the longest offset + 10 s. Return how many are open."""
    feed.stop_detecting()
    log.info("feed_draining")
    loop = asyncio.get_running_loop()
    until_s = loop.time() + max_offset_ms / 1000 + MARGIN_S
    left, hastened_s = -1, 0.0
    while loop.time() < until_s:
        if publisher.is_idle:
            try:
                left = await sweeper.count_open()
                if left and loop.time() - hastened_s > HASTEN_INTERVAL_S:
                    hastened_s = loop.time()
                    await sweeper.hasten()
            except redis.RedisError as error:
                log.warning("drain_waits", outage=error)
            if left == 0:
                return 0
        await asyncio.sleep(POLL_S)
    return left
