"""The transport with a real server: no message is lost or ends a worker, and kombu can read all its keys."""

import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import kombu
import pytest
import redis
from kombu.exceptions import ContentDisallowed
from kombu.transport import TRANSPORT_ALIASES

from hip3_tasks.store.keys import connect
from hip3_tasks.store.task_message import CAPTURE_FOLLOWUP
from hip3_tasks.transport.channel import BATCH_SIZE
from hip3_tasks.transport.qos import MAX_DEAD_LETTERS, QoS
from tests.support.malformed_messages import T0_MS, changed, foreign, malformed, protocol_1, task
from tests.support.process import ROOT, ProcessUnderTest, environment
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

TIMEOUT_S = 20.0
OURS, STOCK = "hip3_tasks.transport.channel:Transport", "kombu.transport.redis:Transport"


def options(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "unacked_key": f"{name}:unacked",
        "unacked_index_key": f"{name}:unacked_index",
        "unacked_mutex_key": f"{name}:unacked_mutex",
        "visibility_timeout": 3600,
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
        "socket_timeout": 5.0,
        "priority_steps": [0],
        "client_name": name,
    } | changes


def number_of(message: bytes | kombu.Message) -> int:
    headers = json.loads(message)["headers"] if isinstance(message, bytes) else message.headers
    return int(headers["id"].split("-")[1].split(":")[0]) - T0_MS


class Receiver:
    """A consumer of one channel, with its received messages."""

    def __init__(self, url: str, name: str, *queues: str, transport: str = OURS, **changes: Any) -> None:
        self.on_message: Callable[[kombu.Message], object] = lambda message: None
        self.messages: list[kombu.Message] = []
        self.connection = kombu.Connection(url, transport=transport, transport_options=options(name, **changes))
        self.channel = self.connection.default_channel
        self.consumer = kombu.Consumer(
            self.channel,
            [kombu.Queue(queue, exchange=kombu.Exchange("")) for queue in queues or (name,)],
            on_message=self._receive,
            accept=["json"],
            auto_declare=False,
        )

    def __enter__(self) -> "Receiver":
        self.consumer.consume()
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    @property
    def qos(self) -> QoS:
        return self.channel.qos

    @property
    def numbers(self) -> list[int]:
        return [number_of(message) for message in self.messages]

    def receive(self, count: int, *, within_s: float = TIMEOUT_S) -> list[int]:
        """Wait until `count` messages have been received in total."""

        def are_received() -> bool:
            if len(self.messages) < count:
                self.turn(timeout=0.2)
            return len(self.messages) >= count

        eventually(f"{count} messages", are_received, within_s=within_s, interval_s=0.0)
        return self.numbers

    def turn(self, timeout: float = 0.05) -> None:
        with suppress(TimeoutError):
            self.connection.drain_events(timeout=timeout)

    def _receive(self, message: kombu.Message) -> None:
        self.messages.append(message)
        self.on_message(message)


@pytest.fixture
def client(server_client: redis.Redis) -> redis.Redis:
    """The transport uses sockets, so its tests need a real server."""
    return server_client


@pytest.fixture
def fill(client: redis.Redis, name: str) -> Callable[..., None]:
    def fill(count: int, *, queue: str = name, first: int = 0) -> None:
        client.lpush(queue, *(task(number, queue=queue) for number in range(first, first + count)))

    return fill


def unacked(client: redis.Redis, name: str) -> int:
    with client.pipeline() as pipe:
        registered, indexed = pipe.hlen(f"{name}:unacked").zcard(f"{name}:unacked_index").execute()
    assert registered == indexed
    return int(registered)


def queued(client: redis.Redis, queue: str) -> list[int]:
    """The numbers of the messages in a queue, in the order of receiving."""
    return [number_of(message) for message in reversed(client.lrange(queue, 0, -1))]


# Receiving


def test_messages_arrive_once_each_and_in_order(
    redis_url: str, client: redis.Redis, name: str, fill: Callable[..., None]
) -> None:
    count = 3 * BATCH_SIZE + 7
    with Receiver(redis_url, name) as receiver:
        receiver.turn()
        fill(count)
        assert receiver.receive(count) == list(range(count))
        assert unacked(client, name) == count and not client.exists(name)
        for message in receiver.messages:
            message.ack()
        assert unacked(client, name) == 0
        receiver.turn()
        assert len(receiver.messages) == count


@pytest.mark.parametrize("is_welcome", [True, False])
def test_a_body_is_decoded_once_and_only_where_it_is_welcome(
    redis_url: str, name: str, fill: Callable[..., None], monkeypatch: pytest.MonkeyPatch, is_welcome: bool
) -> None:
    fill(1)
    with Receiver(redis_url, name) as receiver:
        receiver.consumer.accept = {"application/json"} if is_welcome else {"application/x-yaml"}
        receiver.receive(1)
    (message,) = receiver.messages
    if is_welcome:
        monkeypatch.setattr("kombu.message.loads", None)
        assert message.payload[0] == [f"xyz:TSLA-{T0_MS}", 1000]
    else:
        with pytest.raises(ContentDisallowed):
            message.decode()


def test_waiting_leaves_the_queue_as_it_is_and_wakes_at_once(
    redis_url: str, client: redis.Redis, name: str, fill: Callable[..., None]
) -> None:
    with Receiver(redis_url, name) as receiver:
        receiver.turn()
        eventually("it waits", lambda: any(c["cmd"] == "blmove" for c in clients(client, name)))
        receiver.qos.prefetch_count = 1
        fill(3)
        receiver.channel.client.connection.can_read(timeout=TIMEOUT_S)
        assert queued(client, name) == [0, 1, 2] and unacked(client, name) == 0
        assert receiver.receive(1) == [0]


def test_a_prefetch_limit_holds_within_a_batch(
    redis_url: str, client: redis.Redis, name: str, fill: Callable[..., None]
) -> None:
    fill(30)
    with Receiver(redis_url, name) as receiver:
        receiver.consumer.qos(prefetch_count=10)
        assert receiver.receive(10) == list(range(10))
        receiver.turn()
        assert len(receiver.messages) == 10 and queued(client, name) == list(range(10, 30))
        receiver.qos.ack_many([message.delivery_tag for message in receiver.messages[:4]])
        assert receiver.receive(14) == list(range(14))
        receiver.turn()
        assert len(receiver.messages) == 14


def test_two_consumers_share_a_queue(redis_url: str, client: redis.Redis, name: str, fill: Callable[..., None]) -> None:
    with Receiver(redis_url, name) as first, Receiver(redis_url, name) as second:
        first.turn()
        second.turn()
        count = 5 * BATCH_SIZE
        fill(count)
        eventually(
            "all", lambda: (first.turn(), second.turn(), len(first.messages) + len(second.messages) == count)[-1]
        )
        assert sorted(first.numbers + second.numbers) == list(range(count))
        assert first.messages and second.messages


@pytest.mark.parametrize("changes", [{}, {"priority_steps": [0, 5]}, {"global_keyprefix": "prefix-"}])
def test_other_queue_layouts_are_read_as_kombu_does(
    redis_url: str, client: redis.Redis, name: str, changes: dict[str, Any]
) -> None:
    queues = [f"{name}-a"] if changes else [f"{name}-a", f"{name}-b"]
    prefix = changes.get("global_keyprefix", "")
    for queue in queues:
        client.lpush(prefix + queue, *(task(number, queue=queue) for number in range(3)))
    with Receiver(redis_url, name, *queues, **changes) as receiver:
        receiver.receive(3 * len(queues))
        assert unacked(client, prefix + name) == 3 * len(queues)
        for message in receiver.messages:
            message.ack()
        assert unacked(client, prefix + name) == 0


def test_without_acknowledgements_nothing_is_registered(
    redis_url: str, client: redis.Redis, name: str, fill: Callable[..., None]
) -> None:
    fill(3)
    with Receiver(redis_url, name) as receiver:
        receiver.consumer.cancel()
        receiver.consumer.consume(no_ack=True)
        assert receiver.receive(3) == [0, 1, 2]
        assert unacked(client, name) == 0


def test_queues_may_be_added_and_cancelled_at_any_time(
    redis_url: str, client: redis.Redis, name: str, fill: Callable[..., None]
) -> None:
    other = f"{name}-other"
    with Receiver(redis_url, name) as receiver:
        receiver.turn()
        receiver.consumer.add_queue(kombu.Queue(other, exchange=kombu.Exchange("")))
        receiver.consumer.consume()
        fill(1, first=0)
        fill(1, first=1, queue=other)
        assert sorted(receiver.receive(2)) == [0, 1]
        receiver.turn()
        receiver.consumer.cancel_by_queue(other)
        fill(1, first=2)
        assert receiver.receive(3)[-1] == 2
        fill(1, first=3, queue=other)
        fill(1, first=4)
        assert receiver.receive(4)[-1] == 4
        receiver.turn()
        receiver.consumer.cancel_by_queue(name)
        fill(1, first=5)
        receiver.turn()
        assert queued(client, other) == [3] and queued(client, name) == [5]


def test_a_consumer_cancelled_within_a_batch_leaves_the_rest_in_the_queue(
    redis_url: str, client: redis.Redis, name: str, fill: Callable[..., None]
) -> None:
    fill(10)
    with Receiver(redis_url, name) as receiver:
        # As an event loop does; within drain_events, kombu itself delays the cancel.
        receiver.on_message = lambda _: len(receiver.messages) == 3 and receiver.channel._basic_cancel(tag)
        (tag,) = receiver.channel._consumers
        receiver.receive(3)
        assert unacked(client, name) == 3 and queued(client, name) == list(range(3, 10))
        assert len(receiver.qos._delivered) == 3


def test_a_connection_lost_within_a_batch_forgets_nothing(
    redis_url: str, client: redis.Redis, name: str, fill: Callable[..., None]
) -> None:
    fill(10)

    def lose(_: kombu.Message) -> None:
        if len(receiver.messages) == 3:
            raise redis.ConnectionError("gone")

    with Receiver(redis_url, name) as receiver:
        receiver.on_message = lose
        with pytest.raises(redis.ConnectionError):
            receiver.receive(10)
        assert unacked(client, name) == 10
    assert unacked(client, name) == 0 and queued(client, name) == list(range(10))


def test_a_batch_whose_reply_is_lost_comes_back(
    redis_url: str, client: redis.Redis, name: str, fill: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    take = QoS.fetch

    def lose(*arguments: Any) -> None:
        take(*arguments)
        raise redis.ConnectionError("gone")

    fill(3)
    with Receiver(redis_url, name, visibility_timeout=-1) as receiver:
        with monkeypatch.context() as patched:
            patched.setattr(QoS, "fetch", lose)
            with pytest.raises(redis.ConnectionError):
                receiver.receive(3)
        assert not receiver.messages and unacked(client, name) == 3
        receiver.qos.restore_visible(interval=1)
        receiver.qos.visibility_timeout = 3600
        assert receiver.receive(3) == [0, 1, 2]


def test_an_error_half_way_leaves_the_messages_where_they_are(
    redis_url: str, client: redis.Redis, name: str, fill: Callable[..., None]
) -> None:
    fill(3)
    with Receiver(redis_url, name) as receiver:
        client.set(f"{name}:unacked", "not a hash")
        with pytest.raises(redis.ResponseError):
            receiver.receive(3)
        assert queued(client, name) == [0, 1, 2]
        client.delete(f"{name}:unacked")
        receiver.receive(3)
        client.set(f"{name}:quarantine", "not a list")
        with pytest.raises(redis.ResponseError):
            receiver.qos.dead_letter(name, receiver.messages[0].delivery_tag, b"", ValueError())
        assert unacked(client, name) == 3


@pytest.mark.parametrize("error", [ValueError("unexpected"), KeyError("id"), RecursionError()])
def test_a_message_whose_handling_fails_is_quarantined_and_its_neighbours_arrive(
    redis_url: str, client: redis.Redis, name: str, fill: Callable[..., None], error: Exception
) -> None:
    def fail(message: kombu.Message) -> None:
        if number_of(message) == 1:
            raise error

    fill(3)
    with Receiver(redis_url, name) as receiver:
        receiver.on_message = fail
        assert receiver.receive(3) == [0, 1, 2]
        assert unacked(client, name) == 2 and queued(client, f"{name}:quarantine") == [1]
        assert receiver.channel.dead_lettered == 1 and len(receiver.qos._delivered) == 2


def test_the_quarantine_is_capped_and_its_log_is_one_line_a_message(
    redis_url: str, client: redis.Redis, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    count = MAX_DEAD_LETTERS + 10
    client.lpush(name, *(b"\nforged %d" % number for number in range(count)))
    with Receiver(redis_url, name, dead_letter_key=f"{name}:kept") as receiver:
        eventually("all", lambda: (receiver.turn(), receiver.channel.dead_lettered == count)[-1])
    assert client.llen(f"{name}:kept") == MAX_DEAD_LETTERS
    assert client.lindex(f"{name}:kept", 0) == b"\nforged %d" % (count - 1)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == count and all("message_quarantined" in line for line in lines)


def test_a_full_server_still_hands_out_its_messages(own_server: RedisServer, name: str) -> None:
    with connect(own_server.url) as client, Receiver(own_server.url, name) as receiver:
        client.lpush(name, *(task(number, queue=name) for number in range(100)))
        receiver.turn()
        client.config_set("maxmemory", 1)
        assert receiver.receive(100) == list(range(100))
        receiver.qos.ack_many([message.delivery_tag for message in receiver.messages])
        assert unacked(client, name) == 0


# Requeueing and acknowledging


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


@pytest.mark.parametrize(("holds", "sweeps"), [(OURS, STOCK), (STOCK, OURS), (OURS, OURS)])
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


def test_a_sweep_is_the_work_of_one_at_a_time_and_of_bounded_size(
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


def test_a_server_that_has_gone_does_not_spoil_the_closing(own_server: RedisServer, name: str) -> None:
    receiver = Receiver(own_server.url, name)
    receiver.consumer.consume()
    with connect(own_server.url) as client:
        client.lpush(name, task(0, queue=name))
    receiver.receive(1)
    receiver.turn()
    stop(own_server)
    receiver.connection.close()
    assert not receiver.connection.connected


# Killed processes

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


def test_at_no_instant_is_a_message_nowhere_however_often_its_worker_is_killed(
    redis_url: str, client: redis.Redis, name: str, fill: Callable[..., None], tmp_path: Path
) -> None:
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    seed = random.randrange(2**32)
    arguments = repr((redis_url, name, OURS, options(name), seed, 30))
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


# Tests with their own servers and workers


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "server") as server:
        yield server


def stop(server: RedisServer) -> None:
    server.terminate()
    server.wait()


APP = """
import os
from celery import Celery
from kombu.transport import TRANSPORT_ALIASES
from redis import Redis

TRANSPORT_ALIASES.update(redis="hip3_tasks.transport.channel:Transport")
url, name, options = {values!r}
app = Celery("probe", broker=url)
app.conf.update(
    broker_transport_options=options, broker_connection_retry_on_startup=True, task_default_queue=name,
    task_ignore_result=True, task_acks_late=True, accept_content=["json"], worker_prefetch_multiplier=0,
    worker_send_task_events=True, worker_redirect_stdouts=False, timezone="UTC",
)


@app.task(name={task!r})
def note(signal_id, offset_ms):
    Redis.from_url(url).rpush(name + ":ran", signal_id)
"""


class NotingWorker:
    """A Celery worker that records its tasks."""

    def __init__(self, url: str, name: str, directory: Path, **changes: Any) -> None:
        self.name, self._client = name, connect(url)
        values = (url, name, options(name, **changes))
        (directory / "probe_app.py").write_text(APP.format(values=values, task=CAPTURE_FOLLOWUP))
        command = [sys.executable, "-m", "celery", "-A", "probe_app", "worker", "--concurrency=1", "--loglevel=INFO"]
        self.process = ProcessUnderTest(
            *(*command, "--without-gossip", "--without-mingle", "-n", name),
            log=directory / "worker.log",
            cwd=directory,
            env=environment(PYTHONPATH=str(ROOT)),
        ).start()
        self.process.wait_for("ready.", within_s=40)

    @property
    def log(self) -> str:
        return self.process.log

    def ran(self) -> list[int]:
        return [int(noted.decode().split("-")[1]) - T0_MS for noted in self._client.lrange(f"{self.name}:ran", 0, -1)]

    def is_alive(self) -> bool:
        return self.process.is_running

    def close(self) -> None:
        self.process.kill()
        self._client.close()


@contextmanager
def working(url: str, name: str, directory: Path, **changes: Any) -> Iterator[NotingWorker]:
    worker = NotingWorker(url, name, directory, **changes)
    try:
        yield worker
    finally:
        worker.close()


def clients(client: redis.Redis, name: str) -> list[dict[str, Any]]:
    return [row for row in client.client_list() if row["name"] == name]


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


# Malformed messages, and foreign ones


@pytest.fixture(scope="module")
def worker(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NotingWorker]:
    with working(redis_url, f"test-quarantine-{os.getpid()}", tmp_path_factory.mktemp("worker")) as worker:
        yield worker


def run_one_more(worker: NotingWorker, client: redis.Redis, *before: bytes) -> None:
    """Queue messages, then a valid one; return when the valid one has run."""
    number = len(worker.ran())
    client.lpush(worker.name, *before, task(number, queue=worker.name))
    eventually("the good one after it ran", lambda: number in worker.ran() or not worker.is_alive())
    assert worker.is_alive(), worker.log[-3000:]


@pytest.mark.parametrize("kind", malformed())
def test_a_malformed_message_is_quarantined_and_the_next_one_runs(
    worker: NotingWorker, client: redis.Redis, kind: str
) -> None:
    message = changed(worker.name, malformed()[kind])
    run_one_more(worker, client, message)
    assert client.lindex(f"{worker.name}:quarantine", 0) == message
    eventually("nothing is held", lambda: unacked(client, worker.name) == 0)


@pytest.mark.parametrize("kind", foreign())
def test_a_foreign_message_is_left_to_celery(worker: NotingWorker, client: redis.Redis, kind: str) -> None:
    quarantined = client.llen(f"{worker.name}:quarantine")
    run_one_more(worker, client, changed(worker.name, foreign()[kind]))
    assert client.llen(f"{worker.name}:quarantine") == quarantined
    eventually("it is gone", lambda: unacked(client, worker.name) == 0)


def test_a_task_of_protocol_1_runs(worker: NotingWorker, client: redis.Redis) -> None:
    run_one_more(worker, client, protocol_1(args=[f"xyz:TSLA-{T0_MS - 1}", 1000]))
    assert -1 in worker.ran()


def test_a_worker_whose_connections_are_killed_takes_up_again(worker: NotingWorker, client: redis.Redis) -> None:
    run_one_more(worker, client)
    killed = [row["id"] for row in clients(client, worker.name)]
    assert killed
    for client_id in killed:
        client.client_kill_filter(_id=client_id)
    run_one_more(worker, client)


# Names of connections


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_under_the_schemes_own_name_tls_and_the_url_are_kept(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRANSPORT_ALIASES, scheme, OURS)
    monkeypatch.setattr("kombu.transport._transport_cache", {})
    connection = kombu.Connection(f"{scheme}://:secret@127.0.0.1:1/3")
    assert type(connection.transport).__module__ == "hip3_tasks.transport.channel"
    assert connection.as_uri() == f"{scheme}://:**@127.0.0.1:1/3"
    assert bool(connection.ssl) is (scheme == "rediss")


def test_one_client_serves_a_pool_until_the_pool_is_gone(redis_url: str, name: str) -> None:
    with Receiver(redis_url, name) as receiver:
        first = receiver.channel._create_client()
        assert receiver.channel._create_client() is first
        receiver.channel._disconnect_pools()
        assert receiver.channel._create_client() is not first
        assert receiver.channel._create_client().ping()
