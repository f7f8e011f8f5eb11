"""The feed trims the tape, which waits within limits for open captures and for the recorder."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from feed.retention import TAPE_MARGIN_MS, Retention
from feed.threads import Threads
from hip3_tasks.clock import FeedClock
from hip3_tasks.settings import Settings
from hip3_tasks.store.keys import Keys, connect, connect_async
from hip3_tasks.store.recorder_status import RecorderStatus
from hip3_tasks.store.store import Store
from hip3_tasks.store.tape import stamp
from hip3_tasks.store.tape_writer import TapeWriter
from tests.support.backends import server_only
from tests.support.factories import T0_MS, a_market
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually_async

COIN = "xyz:TSLA"
RETENTION_MS = 900_000


@pytest.fixture
def store(client: redis.Redis, keys: Keys) -> Store:
    return Store(client, keys)


def recorded(up_to_ms: int | None) -> RecorderStatus:
    return RecorderStatus(at_ms=T0_MS, since_ms=0, written_ms=up_to_ms, read_ms=up_to_ms, bytes=0)


def retention(store: Store, data_dir: Path, **settings: Any) -> Retention:
    chosen = Settings(data_dir=data_dir, **settings)
    writer = TapeWriter(connect_async("redis://127.0.0.1:1/0"), store.keys, owner="a")
    return Retention(chosen, store=store, writer=writer, threads=Threads(), clock=FeedClock())


def before_ms(store: Store, data_dir: Path, **settings: Any) -> int:
    """The age of the oldest entry that is kept."""
    return T0_MS - retention(store, data_dir, **settings).trimmed_before_ms(T0_MS)


@pytest.mark.parametrize(
    ("behind_ms", "expected_ms"),
    [
        (None, RETENTION_MS),
        (70_000, RETENTION_MS),
        (RETENTION_MS, RETENTION_MS + TAPE_MARGIN_MS),
        (2 * RETENTION_MS, 2 * RETENTION_MS + TAPE_MARGIN_MS),
        (4 * RETENTION_MS, 4 * RETENTION_MS),
        (40 * RETENTION_MS, 4 * RETENTION_MS),
    ],
)
@server_only
def test_what_is_not_recorded_is_kept_up_to_four_times_the_retention(
    behind_ms: int | None, expected_ms: int, store: Store, tmp_path: Path
) -> None:
    store.write_recorder(recorded(None if behind_ms is None else T0_MS - behind_ms))
    assert before_ms(store, tmp_path) == expected_ms


@server_only
def test_without_a_recorder_to_come_trimming_does_not_wait(store: Store, tmp_path: Path) -> None:
    store.write_recorder(recorded(T0_MS - 2 * RETENTION_MS))
    assert before_ms(store, tmp_path, tape_days=0) == RETENTION_MS


def test_the_mark_outlives_the_time_that_is_waited_for_it_by_a_minute(store: Store) -> None:
    store.write_recorder(recorded(T0_MS))
    ttl_s = store.client.ttl(store.keys.recorded)
    assert 4 * 900 < ttl_s <= 4 * 900 + 60
    assert 0 < store.client.ttl(store.keys.recorder) <= 60
    assert store.recorded_ms() == T0_MS
    assert store.recorder_status() == recorded(T0_MS)


@server_only
@pytest.mark.parametrize("spoiled", [b"soon", b""])
def test_a_mark_that_cannot_be_read_does_not_keep_trimming_waiting(
    spoiled: bytes, store: Store, tmp_path: Path
) -> None:
    store.client.set(store.keys.recorded, spoiled)
    assert before_ms(store, tmp_path) == RETENTION_MS


@pytest.mark.parametrize("backend", ["fakeredis"], indirect=True)
def test_a_server_that_does_not_tell_its_memory_is_trimmed(store: Store, tmp_path: Path) -> None:
    with pytest.raises(redis.ResponseError):
        store.is_half_full()
    store.write_recorder(recorded(T0_MS - 2 * RETENTION_MS))
    assert before_ms(store, tmp_path) == RETENTION_MS


@pytest.fixture
def small_server(tmp_path: Path) -> Iterator[Store]:
    with RedisServer(tmp_path / "redis", "--maxmemory", "64mb") as server, connect(server.url) as client:
        yield Store(client, Keys("small"))


def test_a_server_that_is_half_full_is_trimmed_at_once(small_server: Store, tmp_path: Path) -> None:
    store = small_server
    store.write_recorder(recorded(T0_MS - 2 * RETENTION_MS))
    assert before_ms(store, tmp_path) > RETENTION_MS
    for number in range(40):
        store.client.set(f"hip3:small:{number}", b"x" * 1_000_000)
    assert before_ms(store, tmp_path) == RETENTION_MS
    store.client.config_set("maxmemory", 0)
    assert before_ms(store, tmp_path) > RETENTION_MS


@server_only
def test_the_tape_keeps_the_state_in_force_where_the_recorder_stands(
    store: Store, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("feed.retention.TRIM_INTERVAL_S", 0.01)
    clock = FeedClock()
    at_ms = [clock.now_ms() - behind_s * 1000 for behind_s in (3000, 2030, 1990, 1000, 1)]
    store.write_recorder(recorded(clock.now_ms() - 2_000_000))

    async def run() -> None:
        async with connect_async(redis_url) as client:
            writer = TapeWriter(client, store.keys, owner="a")
            await writer.take(at_ms=at_ms[0])
            entries = [stamp(COIN, instant_ms, 0, a_market(at_ms=instant_ms)) for instant_ms in at_ms]
            await writer.append(entries, watermark_ms=at_ms[-1], expected_ms=None)
            chosen = Settings(data_dir=tmp_path)
            trimmer = Retention(chosen, store=store, writer=writer, threads=Threads(), clock=clock)
            trimming = asyncio.create_task(trimmer.trim_tape())

            def instants() -> list[int]:
                return [int(entry_id.split(b"-")[0]) for entry_id, _ in store.client.xrange(store.keys.tape(COIN))]

            await eventually_async("the oldest is gone", lambda: instants() == at_ms[1:])
            # The recorder goes on, and with it the trimming.
            store.write_recorder(recorded(at_ms[-1]))
            await eventually_async("only the retention is kept", lambda: instants() == at_ms[4:])
            trimming.cancel()

    asyncio.run(run())
