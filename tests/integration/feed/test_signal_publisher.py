"""The publisher between a real disk and a real server or fakeredis: bursts, and a server that is away."""

import asyncio
import errno
import json
import os
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from structlog.testing import capture_logs

from feed.signal_publisher import MAX_ADDED, SignalPublisher
from feed.threads import Threads
from hip3_tasks.clock import FeedClock
from hip3_tasks.domain.capture import DAY_MS
from hip3_tasks.domain.records import Signal
from hip3_tasks.files.rules_log import RulesNote
from hip3_tasks.files.signal_files import signals_since
from hip3_tasks.settings import Settings
from hip3_tasks.store.keys import Keys
from hip3_tasks.store.store import Store
from tests.support.factories import T0_MS, a_signal
from tests.support.waiting import eventually_async as eventually


@pytest.fixture
def settings(tmp_path: Path, name: str) -> Settings:
    return Settings(venue="sim", data_dir=tmp_path, name=name, redis_url="redis://127.0.0.1:1/0")


@asynccontextmanager
async def publishing(settings: Settings, client: redis.Redis, keys: Keys) -> AsyncIterator[SignalPublisher]:
    """A publisher that writes and publishes."""
    threads = Threads()
    rules = RulesNote(settings.data_dir, settings.rules, from_ms=T0_MS)
    publisher = SignalPublisher(settings, store=Store(client, keys), threads=threads, clock=FeedClock(), rules=rules)
    works = [asyncio.create_task(work()) for work in (publisher.write_signals, publisher.publish_signals)]
    try:
        yield publisher
    finally:
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)
        threads.close(at_once=False)


def run(script: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(script, 60))


def burst(most: int) -> list[Signal]:
    at_ms = FeedClock().now_ms()
    return [a_signal(f"xyz:B{number}", at_ms=at_ms) for number in range(most)]


def queued(client: redis.Redis, keys: Keys) -> list[dict[str, Any]]:
    """Task headers in the order in which a worker takes them."""
    return [json.loads(message)["headers"] for message in reversed(client.lrange(keys.queue, 0, -1))]


def task_ids(signals: Sequence[Signal]) -> set[str]:
    return {capture.task_id for signal in signals for capture in signal.captures()}


async def published(publisher: SignalPublisher) -> None:
    await eventually("all is published", lambda: not publisher.unwritten and not publisher.unpublished)


def test_a_burst_is_on_disk_pending_and_queued_exactly_once(
    settings: Settings, client: redis.Redis, keys: Keys
) -> None:
    async def script() -> None:
        signals = burst(7 * MAX_ADDED + 1)
        async with publishing(settings, client, keys) as publisher:
            publisher.submit(signals)
            await published(publisher)
        at_ms = signals[0].timestamp_ms
        assert signals_since(settings.data_dir, at_ms, until_ms=at_ms) == signals
        assert client.zcard(keys.pending) == 3 * len(signals)
        headers = queued(client, keys)
        assert len(headers) == 3 * len(signals)
        assert {header["id"] for header in headers} == task_ids(signals)

    run(script())


def test_the_earliest_due_task_is_received_first(settings: Settings, client: redis.Redis, keys: Keys) -> None:
    async def script() -> None:
        async with publishing(settings, client, keys) as publisher:
            publisher.submit(burst(MAX_ADDED))
            await published(publisher)
        etas = [header["eta"] for header in queued(client, keys)]
        assert etas == sorted(etas)
        assert len(set(etas)) == 3

    run(script())


def test_a_burst_over_midnight_is_written_to_both_days(settings: Settings, client: redis.Redis, keys: Keys) -> None:
    async def script() -> None:
        midnight_ms = (FeedClock().now_ms() // DAY_MS + 1) * DAY_MS
        signals = [a_signal(at_ms=midnight_ms + number) for number in range(-3, 3)]
        async with publishing(settings, client, keys) as publisher:
            publisher.submit(signals)
            await published(publisher)
        assert len(list(settings.data_dir.glob("signals_*.jsonl"))) == 2
        assert signals_since(settings.data_dir, midnight_ms - 10, until_ms=midnight_ms + 10) == signals
        assert {header["id"] for header in queued(client, keys)} == task_ids(signals)

    run(script())


def test_a_server_that_refuses_writes_is_given_everything_later_and_nothing_twice(
    settings: Settings, client: redis.Redis, keys: Keys
) -> None:
    async def script() -> None:
        signals = burst(2 * MAX_ADDED)
        async with publishing(settings, client, keys) as publisher:
            client.set(keys.pending, "not a sorted set")
            publisher.submit(signals)
            await eventually("all is on disk", lambda: not publisher.unwritten)
            assert publisher.unpublished == len(signals)
            client.delete(keys.pending)
            await published(publisher)
        headers = queued(client, keys)
        assert len(headers) == 3 * len(signals)
        assert {header["id"] for header in headers} == task_ids(signals)

    run(script())


def test_a_signal_is_not_written_before_its_state_is_sealed(
    settings: Settings, client: redis.Redis, keys: Keys
) -> None:
    async def script() -> None:
        now_ms = FeedClock().now_ms()
        third, first, second = (a_signal(f"xyz:B{ms}", at_ms=now_ms + ms) for ms in (9, 3, 5))
        async with publishing(settings, client, keys) as publisher:
            for signal in third, first, second:
                publisher.hold(signal)
            for sealed_ms in 0, 2:
                publisher.on_sealed(now_ms + sealed_ms)
                await asyncio.sleep(0.02)
                assert on_file(settings) == []
            assert (publisher.signals, publisher.unwritten, publisher.is_idle) == (0, 0, False)
            publisher.on_sealed(now_ms + 5)
            await published(publisher)
            assert on_file(settings) == [first, second]
            assert client.zcard(keys.pending) == 6
            publisher.on_sealed(now_ms + 9)
            await published(publisher)
            assert on_file(settings) == [first, second, third]
            assert publisher.signals == 3

    run(script())


def test_no_signal_passes_for_detected_before_it_is_in_its_file(
    settings: Settings, client: redis.Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script() -> None:
        at_ms = FeedClock().now_ms()
        first, second = (a_signal(f"xyz:B{ms}", at_ms=at_ms + ms) for ms in (10, 20))
        async with publishing(settings, client, keys) as publisher:
            assert publisher.detected_ms(at_ms) == at_ms
            publisher.hold(first)
            publisher.hold(second)
            assert [publisher.detected_ms(at_ms + ms) for ms in (5, 10, 30)] == [at_ms + 5, at_ms + 9, at_ms + 9]
            with monkeypatch.context() as patch, capture_logs() as logs:
                patch.setattr("hip3_tasks.files.append_file._sync", refuse)
                publisher.on_sealed(at_ms + 10)
                await eventually("the disk refuses", lambda: logs)
                assert (publisher.unwritten, publisher.detected_ms(at_ms + 30)) == (1, at_ms + 9)
            await published(publisher)
            assert publisher.detected_ms(at_ms + 30) == at_ms + 19
            publisher.on_sealed(at_ms + 30)
            await published(publisher)
            assert publisher.detected_ms(at_ms + 30) == at_ms + 30

    run(script())


def refuse(_: int) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def on_file(settings: Settings) -> list[Signal]:
    now_ms = FeedClock().now_ms()
    return signals_since(settings.data_dir, now_ms - 60_000, until_ms=now_ms)
