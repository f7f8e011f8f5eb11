"""Celery workers with this transport: shutdown, death, restarts of the server, and malformed messages."""

import json
import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import redis

from hip3_tasks.store.keys import connect
from tests.support.malformed_messages import T0_MS, changed, foreign, malformed, protocol_1, task
from tests.support.receiver import TIMEOUT_S, clients, queued, stop, unacked
from tests.support.recording_worker import RecordingWorker, run_one_more, working
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually


def test_a_warm_shutdown_puts_a_thousand_waiting_tasks_back_with_their_eta(
    redis_url: str, client: redis.Redis, name: str, tmp_path: Path
) -> None:
    eta_ms = time.time_ns() // 1_000_000 + 600_000
    with working(redis_url, name, tmp_path) as worker:
        sent = [task(number, queue=name, eta_ms=eta_ms) for number in range(1000)]
        client.lpush(name, *sent)
        eventually("all are held", lambda: unacked(client, name) == 1000)
        eventually("all are scheduled", lambda: worker.log.count("received") == 1000)
        began_s = time.monotonic()
        worker.process.terminate()
        assert worker.process.wait(TIMEOUT_S) == 0
        took_s = time.monotonic() - began_s
    assert unacked(client, name) == 0
    assert queued(client, name) == list(range(1000))
    etas = {json.loads(message)["headers"]["eta"] for message in client.lrange(name, 0, -1)}
    assert etas == {json.loads(sent[0])["headers"]["eta"]}
    assert took_s < 5


def test_a_killed_workers_tasks_run_on_another(redis_url: str, client: redis.Redis, name: str, tmp_path: Path) -> None:
    eta_ms = time.time_ns() // 1_000_000 + 600_000
    with working(redis_url, name, tmp_path) as worker:
        client.lpush(name, *(task(number, queue=name, eta_ms=eta_ms) for number in range(50)))
        eventually("all are held", lambda: unacked(client, name) == 50)
        worker.process.kill()
    # An eta in the past, so that they may run at once.
    for tag, value in client.hgetall(f"{name}:unacked").items():
        client.hset(f"{name}:unacked", tag, value.replace(b'"eta":"20', b'"eta":"19'))
    client.delete(f"{name}:unacked_mutex")
    with working(redis_url, name, tmp_path, visibility_timeout=1) as worker:
        eventually("all ran", lambda: len(set(worker.ran())) == 50)


def test_a_worker_survives_a_server_restart_with_its_tasks(own_server: RedisServer, name: str, tmp_path: Path) -> None:
    changes = {"visibility_timeout": 3, "health_check_interval": 5}
    with working(own_server.url, name, tmp_path, **changes) as worker, connect(own_server.url) as client:
        eta_ms = time.time_ns() // 1_000_000 + 2_500
        client.lpush(name, *(task(number, queue=name, eta_ms=eta_ms) for number in range(5)))
        eventually("all are held", lambda: unacked(client, name) == 5)
        stop(own_server)
        eventually("it noticed", lambda: "Connection to broker lost" in worker.log)
        own_server.start()
        eventually("all ran", lambda: set(worker.ran()) == set(range(5)))
        assert worker.is_alive()


@pytest.fixture(scope="module")
def worker(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RecordingWorker]:
    with working(redis_url, f"test-quarantine-{os.getpid()}", tmp_path_factory.mktemp("worker")) as worker:
        yield worker


@pytest.mark.parametrize("kind", malformed())
def test_a_malformed_message_is_quarantined_and_the_next_one_runs(
    worker: RecordingWorker, client: redis.Redis, kind: str
) -> None:
    message = changed(worker.name, malformed()[kind])
    run_one_more(worker, client, message)
    assert client.lindex(f"{worker.name}:quarantine", 0) == message
    eventually("nothing is held", lambda: unacked(client, worker.name) == 0)


@pytest.mark.parametrize("kind", foreign())
def test_a_foreign_message_is_left_to_celery(worker: RecordingWorker, client: redis.Redis, kind: str) -> None:
    quarantined = client.llen(f"{worker.name}:quarantine")
    run_one_more(worker, client, changed(worker.name, foreign()[kind]))
    assert client.llen(f"{worker.name}:quarantine") == quarantined
    eventually("it is gone", lambda: unacked(client, worker.name) == 0)


def test_a_task_of_protocol_1_runs(worker: RecordingWorker, client: redis.Redis) -> None:
    run_one_more(worker, client, protocol_1(args=[f"xyz:TSLA-{T0_MS - 1}", 1000]))
    assert -1 in worker.ran()


def test_a_worker_whose_connections_are_killed_takes_up_again(worker: RecordingWorker, client: redis.Redis) -> None:
    run_one_more(worker, client)
    killed = [row["id"] for row in clients(client, worker.name)]
    assert killed
    for client_id in killed:
        client.client_kill_filter(_id=client_id)
    run_one_more(worker, client)


def has_run(worker: RecordingWorker, count: int) -> bool:
    return len(worker.ran()) >= count


def test_a_worker_of_several_lists_takes_up_each_again_after_its_connections_are_killed(
    redis_url: str, client: redis.Redis, name: str, tmp_path: Path
) -> None:
    queues = [f"{name}-a", f"{name}-b"]
    lists = [f"{queue}{step}" for queue in queues for step in ("", "\x06\x163")]
    with working(redis_url, name, tmp_path, *queues, priority_steps=[0, 3]) as worker:
        for turn in range(3):
            for number, key in enumerate(lists, start=4 * turn):
                client.lpush(key, task(number, queue=queues[0]))
            wanted = 4 * turn + 4
            eventually("all ran", partial(has_run, worker, wanted), details=lambda: worker.log[-3000:])
            # Four wait for a list each; the others are for commands, and for what is sent to all workers.
            eventually("all wait", lambda: sum("b" in row["flags"] for row in clients(client, name)) == 4)
            assert worker.is_alive()
            for row in clients(client, name):
                client.client_kill_filter(_id=row["id"])
        assert sorted(worker.ran()) == list(range(12))
