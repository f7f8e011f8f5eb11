"""`python -m feed`: build the feed from its settings, run it, drain it on SIGTERM or Ctrl-C.

A drain ends detection, and keeps tape and watermark running until no capture is pending; a second signal ends the feed
at once. The exit status is 1 when captures were left open, 2 when the feed could not run.
"""

import asyncio
import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import aiohttp
import structlog

from feed.detection import DetectionStart
from feed.directory_lock import DirectoryLock
from feed.feed import Feed
from feed.past import resume, signals_on_file, take_tape
from feed.proxy import proxy_of
from feed.raw_frames import RawFrames
from feed.refusal import shown_proxy
from feed.retention import Retention
from feed.shutdown import drain, run_until_stopped
from feed.signal_publisher import SignalPublisher
from feed.status_reporter import StatusReporter
from feed.sweeper import Sweeper
from feed.threads import Threads
from feed.universe import InfoClient
from hip3_tasks import settings as settings_file
from hip3_tasks.clock import FeedClock, wall_ms
from hip3_tasks.domain.detector import Detector
from hip3_tasks.domain.records import RulesInForce
from hip3_tasks.errors import Hip3Error, JournalError
from hip3_tasks.files.rules_log import RulesNote, read_rules
from hip3_tasks.logs import configure_logs
from hip3_tasks.run_file import located
from hip3_tasks.settings import Settings
from hip3_tasks.store.keys import connect_async
from hip3_tasks.store.store import Store
from hip3_tasks.store.tape_writer import TapeWriter
from hip3_tasks.terminal_text import printable_lines

log = structlog.get_logger()


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
    proxy = proxy_of(settings)
    directory = DirectoryLock(settings.data_dir)
    store, threads = Store.from_settings(settings), Threads()
    store.refuse_cluster()
    writer = TapeWriter(connect_async(str(settings.redis_url)), store.keys, owner=directory.owner)
    tape = await take_tape(writer)
    at_ms = max(wall_ms(), tape.marks.watermark_ms or 0)
    on_file, noted = signals_on_file(settings.data_dir, at_ms=at_ms), rules_noted(settings.data_dir)
    past = resume(Detector(settings.rules), tape, on_file, noted=noted)
    clock = FeedClock(not_before_ms=past.last_ms + 1)
    from_ms = past.last_ms + 1 if past.last_ms else clock.now_ms()
    rules = RulesNote(settings.data_dir, settings.rules, from_ms=from_ms)
    write_now(rules)
    publisher = SignalPublisher(settings, store=store, threads=threads, clock=clock, rules=rules)
    sweeper = Sweeper(store, threads=threads, clock=clock, on_lost_data=publisher.on_lost_data)
    raw = RawFrames(settings.data_dir, min_free_mb=settings.min_free_mb) if settings.raw else None
    feed = Feed(settings, clock=clock, writer=writer, publisher=publisher, past=past, raw=raw)
    feed.start()
    reporter = StatusReporter(
        settings, feed=feed, publisher=publisher, sweeper=sweeper, store=store, threads=threads, clock=clock
    )
    retention = Retention(settings, store=store, writer=writer, threads=threads, clock=clock)
    start = DetectionStart(feed, store=store, threads=threads, wait_s=settings.worker_wait_s)
    log.info("feed_started", name=settings.feed_name, venue=settings.base_url, data_dir=str(settings.data_dir))
    if proxy:
        log.info("proxy_used", to=settings.base_url, proxy=shown_proxy(proxy))
    async with aiohttp.ClientSession() as session:
        left_open = await run_until_stopped(
            partial(drain, feed, publisher, sweeper, max_offset_ms=max(settings.offsets_ms)),
            feed.run(InfoClient(session, settings.base_url, proxy=proxy)),
            sweeper.run(),
            start.run(),
            reporter.report(),
            retention.trim_tape(),
            retention.delete_days(),
        )
    if raw is not None:
        raw.close()
    threads.close(at_once=left_open < 0)
    log.info("feed_stopped", left_open=left_open)
    if left_open < 0:
        os._exit(1)  # Python would wait for a thread that waits for a disk, a lock or Redis
    return 1 if left_open else 0


def rules_noted(data_dir: Path) -> list[RulesInForce]:
    """The rules of the feeds before; none when they cannot be read."""
    try:
        return read_rules(data_dir)
    except OSError as error:
        log.warning("rules_not_read", error=str(error))
        return []


def write_now(rules: RulesNote) -> None:
    """Write the rules down; a feed that cannot do so yet runs, and does it before its first signal is written."""
    try:
        rules.write()
    except JournalError as error:
        log.warning("rules_not_noted", error=str(error))


if __name__ == "__main__":
    sys.exit(main())
