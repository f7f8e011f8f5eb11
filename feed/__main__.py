"""`python -m feed`: build the feed from its settings, run it, stop it in order.

SIGTERM or Ctrl-C: detect no more, keep tape and watermark running until nothing is pending, then end. A second one
ends at once. The exit status is 1 when captures were left open, 2 when it could not run.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine, Iterator
from typing import Any

import aiohttp
import redis
import structlog

from feed.detection import DetectionStart
from feed.directory_lock import DirectoryClaim
from feed.feed import Feed
from feed.signal_publisher import Dispatcher
from feed.status_reporter import House
from feed.universe import InfoClient
from hip3_tasks import settings as settings_file
from hip3_tasks.clock import FeedClock
from hip3_tasks.domain.capture import DAY_MS
from hip3_tasks.domain.detector import Detector
from hip3_tasks.errors import Fenced, Hip3Error
from hip3_tasks.files.signal_files import signals_since
from hip3_tasks.logs import configure_logs
from hip3_tasks.run_file import located
from hip3_tasks.settings import Settings
from hip3_tasks.store.keys import connect_async
from hip3_tasks.store.store import Store
from hip3_tasks.store.tape_writer import LEASE_MS, TapeEnd, TapeWriter
from hip3_tasks.terminal_text import printable_lines

log = structlog.get_logger()

RESUME_MOST = 100_000


class _Stopped(Exception):
    """Ends the task group once all is drained."""


def main() -> int:
    try:
        settings = located(settings_file.load())
        configure_logs(settings.log_level)
        return asyncio.run(_run(settings))
    except* Hip3Error as group:
        for text in dict.fromkeys(map(str, _leaves(group))):
            print(f"hip3 feed: {printable_lines(text)}", file=sys.stderr)
    except* KeyboardInterrupt:
        pass
    return 2


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


async def _run(settings: Settings) -> int:
    claim = DirectoryClaim(settings.data_dir)
    store = Store.from_settings(settings)
    writer = TapeWriter(connect_async(str(settings.redis_url)), store.keys, owner=claim.owner)
    watermark_ms, tape_ends = await _take_up(writer)
    clock = FeedClock(not_before_ms=max([watermark_ms, *(end.at_ms for end in tape_ends.values())]) + 1)
    detector = Detector(settings.rules)
    now_ms = clock.now_ms()
    detector.resume(signals_since(settings.data_dir, now_ms - DAY_MS, until_ms=now_ms, limit=RESUME_MOST))
    dispatcher = Dispatcher(settings, pending=store.pending, clock=clock)
    feed = Feed(settings, clock=clock, writer=writer, dispatcher=dispatcher, detector=detector, tape_ends=tape_ends)
    feed.start(watermark_ms)
    house = House(settings, feed=feed, dispatcher=dispatcher, store=store, writer=writer, clock=clock)
    start = DetectionStart(settings, feed=feed, dispatcher=dispatcher, store=store, clock=clock)
    log.info("feed_started", name=settings.feed_name, venue=settings.base_url, data_dir=str(settings.data_dir))
    async with aiohttp.ClientSession() as session:
        info = InfoClient(session, settings.base_url)
        left_open = await _until_stopped(
            house, feed.run(info), start.run(), house.report(), house.trim(), house.keep_days()
        )
    dispatcher.close(at_once=left_open < 0)
    log.info("feed_stopped", left_open=left_open)
    if left_open < 0:
        os._exit(1)  # in a hurry: a thread may wait for a disk, a lock or Redis, and Python would wait for it
    return 1 if left_open else 0


async def _take_up(writer: TapeWriter) -> tuple[int, dict[str, TapeEnd]]:
    """Wait for Redis, claim the name, and see how far its tape goes. Raises Fenced."""
    loop = asyncio.get_running_loop()
    dead_by_s, told = loop.time() + 1.5 * LEASE_MS / 1000, False
    while True:
        try:
            await writer.append([], watermark_ms=None, confirmed_ms=None)
            return await writer.watermark_ms() or 0, await writer.ends(sorted(await writer.coins()))
        except Fenced:
            if loop.time() > dead_by_s:
                raise
        except redis.RedisError as error:
            if not told:
                log.error("redis_away", error=str(error))
            told = True
            dead_by_s = loop.time() + 1.5 * LEASE_MS / 1000
        await asyncio.sleep(0.5)


async def _until_stopped(house: House, *works: Coroutine[Any, Any, None]) -> int:
    """Run until a signal asks to stop, then drain; return what was left open, -1 if that is not known.

    Raises what a part of the feed raised.
    """
    stop, hurry = asyncio.Event(), asyncio.Event()

    def note() -> None:
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, note)
    left_open = -1

    async def stop_in_order() -> None:
        nonlocal left_open
        await stop.wait()
        drain = asyncio.create_task(house.drain())
        await asyncio.wait([drain, asyncio.create_task(hurry.wait())], return_when=asyncio.FIRST_COMPLETED)
        left_open = drain.result() if drain.done() else -1
        raise _Stopped

    try:
        async with asyncio.TaskGroup() as group:
            for work in (*works, stop_in_order()):
                group.create_task(work)
    except* _Stopped:
        pass
    return left_open


if __name__ == "__main__":
    sys.exit(main())
