"""Unacknowledged messages are requeued: at closing, by a sweep, and after the death of their receiver."""

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path

import kombu
import pytest
import redis

from hip3_tasks.store.keys import connect
from tests.support.malformed_messages import task
from tests.support.process import ROOT, ProcessUnderTest, environment
from tests.support.receiver import PRODUCT, STOCK, Receiver, options, queued, stop, unacked
from tests.support.redis_server import RedisServer


def test_many_are_acknowledged_together(
    redis_url: str, client: redis.Redis, name: str, fill: Callable[..., None]
) -> None:
    fill(1200)
    with Receiver(redis_url, name) as receiver:
        receiver.receive(1200)
        tags = [message.delivery_tag for message in receiver.messages]
        receiver.qos.ack_many(tags[:1100])
        assert set(receiver.qos._delivered) == set(tags[1100:])
        assert unacked(client, name) == 100
        receiver.qos.ack_many([])
    assert queued(client, name) == list(range(1100, 1200))


def test_closing_requeues_unacknowledged_messages_in_order(
    redis_url: str, client: redis.Redis, name: str, fill: Callable[..., None]
) -> None:
    fill(700)
    with Receiver(redis_url, name) as receiver:
        receiver.receive(700)
        receiver.messages[1].ack()
        receiver.messages[2].requeue()
        receiver.messages[3].reject()
        assert queued(client, name) == [2]
    assert unacked(client, name) == 0
    assert queued(client, name) == [0, *range(4, 700), 2]
    for message in map(json.loads, client.lrange(name, 0, -1)):
        assert message["headers"]["redelivered"] and message["properties"]["delivery_info"]["redelivered"]


@pytest.mark.parametrize(("holds", "sweeps"), [(PRODUCT, STOCK), (STOCK, PRODUCT), (PRODUCT, PRODUCT)])
def test_a_sweep_restores_messages_of_another_transport(
    redis_url: str, client: redis.Redis, name: str, fill: Callable[..., None], holds: str, sweeps: str
) -> None:
    fill(20)
    with Receiver(redis_url, name, transport=holds) as holder:
        holder.receive(20)
        with Receiver(redis_url, name, transport=sweeps, visibility_timeout=-1) as sweeper:
            sweeper.qos.restore_visible(num=100, interval=1)
            assert unacked(client, name) == 0
            assert sorted(sweeper.receive(20)) == list(range(20))
            assert all(message.headers["redelivered"] for message in sweeper.messages)
            sweeper.qos.visibility_timeout = 3600
            for message in sweeper.messages:
                message.ack()
        holder.qos._delivered.clear()
    assert unacked(client, name) == 0 and not client.exists(name)


def test_one_consumer_at_a_time_sweeps_and_moves_a_limited_number(
    redis_url: str, client: redis.Redis, name: str, fill: Callable[..., None]
) -> None:
    fill(30)
    with Receiver(redis_url, name) as holder, Receiver(redis_url, name, visibility_timeout=-1) as sweeper:
        holder.receive(30)
        sweeper.consumer.cancel()
        with client.lock(f"{name}:unacked_mutex", timeout=60):
            sweeper.qos.restore_visible(interval=1)
            assert unacked(client, name) == 30
        sweeper.qos.restore_visible(num=10, interval=1)
        assert queued(client, name) == list(range(10))
        sweeper.qos.restore_visible(interval=1)
        assert unacked(client, name) == 0


def test_messages_that_cannot_be_restored_are_quarantined(redis_url: str, client: redis.Redis, name: str) -> None:
    good = task(7, queue=name)
    broken = {"garbage": b"{", "pair": b"[1,2]", "route": b"[{},[],{}]", "priority": priority_overflow(name)}
    broken |= {"nowhere": b'[{},"",""]', "unbound": b'[{},"%s-unheard-of","k"]' % name.encode()}
    client.hset(f"{name}:unacked", mapping={"good": b'[%s,"","%s"]' % (good, name.encode()), **broken})
    client.zadd(f"{name}:unacked_index", dict.fromkeys(("good", "absent", *broken), 1))
    with Receiver(redis_url, name) as sweeper:
        sweeper.consumer.cancel()
        sweeper.qos.restore_visible(interval=1)
    assert unacked(client, name) == 0
    assert queued(client, name) == [7]
    assert set(client.lrange(f"{name}:unacked:quarantine", 0, -1)) == set(broken.values())


def priority_overflow(name: str) -> bytes:
    return b'[{"properties":{"priority":1e999}},"","%s"]' % name.encode()


def test_messages_of_an_exchange_with_several_queues_are_restored_as_kombu_does(
    redis_url: str, client: redis.Redis, name: str
) -> None:
    exchange = kombu.Exchange(name, type="topic")
    with Receiver(redis_url, name) as receiver:
        for queue in (f"{name}-a", f"{name}-b"):
            kombu.Queue(queue, exchange, routing_key="k")(receiver.channel).declare()
        payload = task(1, queue=name)
        client.hset(f"{name}:unacked", "tag", b'[%s,"%s","k"]' % (payload, name.encode()))
        client.zadd(f"{name}:unacked_index", {"tag": 1})
        receiver.qos.restore_many(["tag"])
        assert queued(client, f"{name}-a") == queued(client, f"{name}-b") == [1]
        assert unacked(client, name) == 0


def test_closing_works_without_a_server(own_server: RedisServer, name: str) -> None:
    receiver = Receiver(own_server.url, name)
    receiver.consumer.consume()
    with connect(own_server.url) as client:
        client.lpush(name, task(0, queue=name))
    receiver.receive(1)
    receiver.turn()
    stop(own_server)
    receiver.connection.close()
    assert not receiver.connection.connected


KILLED = """
import os, random, signal, sys, time
import kombu, redis

url, name, transport, options, seed, rounds = eval(sys.argv[1])
random.seed(seed)


def consume():
    client = redis.Redis.from_url(url)

    def note(message):
        client.sadd(f"{name}:ran", message.headers["id"])
        message.ack()

    connection = kombu.Connection(url, transport=transport, transport_options=options)
    with kombu.Consumer(connection.default_channel, [kombu.Queue(name)], on_message=note, auto_declare=False):
        while True:
            try:
                connection.drain_events(timeout=1)
            except TimeoutError:
                pass


kombu.Connection(url, transport=transport).get_transport_cls()  # imported before the forks
watcher = redis.Redis.from_url(url)
for _ in range(rounds):
    before = watcher.scard(f"{name}:ran")
    child = os.fork()
    if not child:
        consume()
    while watcher.scard(f"{name}:ran") == before:
        time.sleep(0.002)
    time.sleep(random.uniform(0, 0.05))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""

# A task is recorded before it is acknowledged, so at one instant the sum may exceed the total.
KNOWN = "return redis.call('LLEN', KEYS[1]) + redis.call('HLEN', KEYS[2]) + redis.call('SCARD', KEYS[3])"


def test_no_message_is_lost_at_any_instant_while_workers_are_killed(
    redis_url: str, client: redis.Redis, name: str, fill: Callable[..., None], tmp_path: Path
) -> None:
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    seed = random.randrange(2**32)
    arguments = repr((redis_url, name, PRODUCT, options(name), seed, 30))
    env = environment(PYTHONPATH=str(ROOT))
    known = client.register_script(KNOWN)
    count = 0
    with ProcessUnderTest(sys.executable, script, arguments, log=tmp_path / "killed.log", env=env) as process:
        while process.is_running:
            if client.llen(name) < 100:
                fill(50, first=count)
                count += 50
            for _ in range(20):
                assert known(keys=[name, f"{name}:unacked", f"{name}:ran"]) >= count, f"seed {seed}"
    assert client.scard(f"{name}:ran") >= 30
    with Receiver(redis_url, name, visibility_timeout=-1) as receiver:
        receiver.qos.restore_visible(interval=1)
        receiver.qos.visibility_timeout = 3600
        receiver.receive(client.llen(name))
        ran = {member.decode() for member in client.smembers(f"{name}:ran")}
        assert len(ran | {message.headers["id"] for message in receiver.messages}) == count
        receiver.qos.ack_many([message.delivery_tag for message in receiver.messages])
