"""The dispatcher between a real disk and a real server or fakeredis: bursts, and a server that is away."""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from feed.signal_publisher import ADD_MOST, Dispatcher
from hip3_tasks.clock import FeedClock
from hip3_tasks.domain.capture import DAY_MS
from hip3_tasks.domain.records import Signal
from hip3_tasks.files.signal_files import signals_path, signals_since
from hip3_tasks.settings import Settings
from hip3_tasks.store.keys import Keys
from hip3_tasks.store.pending import Pending
from tests.support.factories import a_signal
from tests.support.waiting import eventually_async as eventually


@pytest.fixture
def settings(tmp_path: Path, name: str) -> Settings:
    return Settings(venue="sim", data_dir=tmp_path, name=name, redis_url="redis://127.0.0.1:1/0")


@asynccontextmanager
async def dispatching(settings: Settings, client: redis.Redis, keys: Keys) -> AsyncIterator[Dispatcher]:
    """A dispatcher that writes and publishes."""
    dispatcher = Dispatcher(settings, pending=Pending(client, keys), clock=FeedClock())
    works = [asyncio.create_task(work()) for work in (dispatcher.write_signals, dispatcher.publish_signals)]
    try:
        yield dispatcher
    finally:
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)
        dispatcher.close(at_once=False)


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


async def published(dispatcher: Dispatcher) -> None:
    await eventually("all is published", lambda: not dispatcher.unwritten and not dispatcher.unpublished)


def test_a_burst_is_on_disk_pending_and_queued_exactly_once(
    settings: Settings, client: redis.Redis, keys: Keys
) -> None:
    async def script() -> None:
        signals = burst(7 * ADD_MOST + 1)
        async with dispatching(settings, client, keys) as dispatcher:
            for signal in signals:
                dispatcher.submit(signal)
            await published(dispatcher)
        at_ms = signals[0].timestamp_ms
        assert signals_since(settings.data_dir, at_ms, until_ms=at_ms) == signals
        assert client.zcard(keys.pending) == 3 * len(signals)
        headers = queued(client, keys)
        assert len(headers) == 3 * len(signals)
        assert {found["id"] for found in headers} == task_ids(signals)

    run(script())


def test_what_a_dead_feed_left_on_a_past_day_is_mended_at_the_start(
    settings: Settings, client: redis.Redis, keys: Keys
) -> None:
    async def script() -> None:
        path = signals_path(settings.data_dir, "2026-01-20")
        path.write_bytes(b'{"timestamp_ms":17')
        async with dispatching(settings, client, keys):
            await eventually("the torn tail is cut off", lambda: path.read_bytes() == b"")

    run(script())


def test_what_is_due_first_is_received_first(settings: Settings, client: redis.Redis, keys: Keys) -> None:
    async def script() -> None:
        async with dispatching(settings, client, keys) as dispatcher:
            for signal in burst(ADD_MOST):
                dispatcher.submit(signal)
            await published(dispatcher)
        etas = [found["eta"] for found in queued(client, keys)]
        assert etas == sorted(etas)
        assert len(set(etas)) == 3

    run(script())


def test_a_burst_over_midnight_is_written_to_both_days(settings: Settings, client: redis.Redis, keys: Keys) -> None:
    async def script() -> None:
        midnight_ms = (FeedClock().now_ms() // DAY_MS + 1) * DAY_MS
        signals = [a_signal(at_ms=midnight_ms + number) for number in range(-3, 3)]
        async with dispatching(settings, client, keys) as dispatcher:
            for signal in signals:
                dispatcher.submit(signal)
            await published(dispatcher)
        assert len(list(settings.data_dir.glob("signals_*.jsonl"))) == 2
        assert signals_since(settings.data_dir, midnight_ms - 10, until_ms=midnight_ms + 10) == signals
        assert {found["id"] for found in queued(client, keys)} == task_ids(signals)

    run(script())


def test_a_server_that_refuses_writes_is_given_everything_later_and_nothing_twice(
    settings: Settings, client: redis.Redis, keys: Keys
) -> None:
    async def script() -> None:
        signals = burst(2 * ADD_MOST)
        async with dispatching(settings, client, keys) as dispatcher:
            client.set(keys.pending, "not a sorted set")
            for signal in signals:
                dispatcher.submit(signal)
            await eventually("all is on disk", lambda: not dispatcher.unwritten)
            assert dispatcher.unpublished == len(signals)
            client.delete(keys.pending)
            await published(dispatcher)
        headers = queued(client, keys)
        assert len(headers) == 3 * len(signals)
        assert {found["id"] for found in headers} == task_ids(signals)

    run(script())
