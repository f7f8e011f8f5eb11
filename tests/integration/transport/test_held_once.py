"""A message that a living worker holds is delivered once, whatever its countdown; that of a dead one comes back."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from hip3_tasks.store.keys import connect
from hip3_tasks.transport.qos import CHUNK_SIZE, QoS
from tests.support.malformed_messages import task
from tests.support.receiver import Receiver, queued, unacked
from tests.support.recording_worker import working
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

VISIBILITY_TIMEOUT_S = 3
SWEEP_INTERVAL_S = 1


def ages_s(client: redis.Redis, name: str) -> list[float]:
    scores = client.zrange(f"{name}:unacked_index", 0, -1, withscores=True)
    return [time.time() - score for _, score in scores]


def test_a_countdown_of_three_timeouts_is_delivered_once_and_runs_once(
    redis_url: str, client: redis.Redis, name: str, tmp_path: Path
) -> None:
    changes = {"visibility_timeout": VISIBILITY_TIMEOUT_S}
    with working(redis_url, name, tmp_path, **changes) as worker:
        eta_ms = time.time_ns() // 1_000_000 + 3_000 * VISIBILITY_TIMEOUT_S
        client.lpush(name, task(7, queue=name, eta_ms=eta_ms))
        eventually("it is held", lambda: unacked(client, name) == 1)
        eventually("it ran", worker.ran, interval_s=0.2)
        assert time.time_ns() // 1_000_000 >= eta_ms
        eventually("it is acknowledged", lambda: unacked(client, name) == 0)
        assert worker.ran() == [7] and worker.log.count("received") == 1


def test_a_killed_workers_message_comes_back_within_the_timeout(
    redis_url: str, client: redis.Redis, name: str, tmp_path: Path
) -> None:
    with working(redis_url, name, tmp_path, visibility_timeout=VISIBILITY_TIMEOUT_S) as worker:
        client.lpush(name, task(7, queue=name, eta_ms=time.time_ns() // 1_000_000 + 600_000))
        eventually("it is held", lambda: unacked(client, name) == 1)
        (received_s,) = client.zrange(f"{name}:unacked_index", 0, -1, withscores=True)[0][1:]
        eventually("it is touched", lambda: ages_s(client, name)[0] < time.time() - received_s - 1)
        worker.process.kill()
        died_s = time.monotonic()
    with Receiver(redis_url, name, visibility_timeout=VISIBILITY_TIMEOUT_S) as receiver:
        assert receiver.receive(1, within_s=VISIBILITY_TIMEOUT_S + SWEEP_INTERVAL_S + 5) == [7]
    assert time.monotonic() - died_s < VISIBILITY_TIMEOUT_S + SWEEP_INTERVAL_S + 1


def test_what_is_held_is_touched_in_calls_of_limited_size_and_before_its_time(
    redis_url: str, client: redis.Redis, name: str, fill: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    run = QoS._run

    def note(qos: QoS, script: str, keys: list[str], args: list[object], connection: object) -> object:
        if script == "TOUCH":
            sizes.append(len(args) - 1)
        return run(qos, script, keys, args, connection)

    monkeypatch.setattr(QoS, "_run", note)
    count = 2 * CHUNK_SIZE + 10
    fill(count)
    with Receiver(redis_url, name, visibility_timeout=VISIBILITY_TIMEOUT_S) as receiver:
        receiver.receive(count)
        oldest_s = 0.0
        until_s = time.monotonic() + 2 * VISIBILITY_TIMEOUT_S
        while time.monotonic() < until_s:
            receiver.turn(0.2)
            oldest_s = max(oldest_s, *ages_s(client, name))
        assert oldest_s < VISIBILITY_TIMEOUT_S * 2 / 3
        assert len(receiver.messages) == count
        assert max(sizes) == CHUNK_SIZE and sum(sizes) >= 3 * count
        receiver.qos.ack_many([message.delivery_tag for message in receiver.messages[10:]])
    assert queued(client, name) == list(range(10)), "the order of receipt, although they were touched"


def test_a_touch_brings_back_no_message_that_was_acknowledged_elsewhere(
    redis_url: str, client: redis.Redis, name: str, fill: Callable[..., None]
) -> None:
    fill(2)
    with Receiver(redis_url, name) as receiver:
        receiver.receive(2)
        gone, held = (message.delivery_tag for message in receiver.messages)
        client.hdel(f"{name}:unacked", gone)
        client.zrem(f"{name}:unacked_index", gone)
        receiver.qos.visibility_timeout = 1
        eventually("a touch", receiver.qos.touch)
        assert client.zrange(f"{name}:unacked_index", 0, -1) == [held.encode()]


def test_a_full_server_and_one_that_is_away_do_not_end_the_touching(own_server: RedisServer, name: str) -> None:
    with connect(own_server.url) as client, Receiver(own_server.url, name, visibility_timeout=1) as receiver:
        client.lpush(name, task(0, queue=name))
        receiver.receive(1)
        client.config_set("maxmemory", 1)
        eventually("a touch on a full server", receiver.qos.touch)
        client.config_set("maxmemory", 0)
        client.config_set("min-replicas-to-write", 1)
        eventually("its age", lambda: ages_s(client, name)[0] > 0.5)
        assert not receiver.qos.touch()
        client.config_set("min-replicas-to-write", 0)
        assert receiver.qos.touch() and ages_s(client, name)[0] < 0.5
        receiver.messages[0].ack()
