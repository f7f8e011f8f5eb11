"""Messages are received once each and in order; no error, lost connection or full server loses one."""

from collections.abc import Callable
from typing import Any

import kombu
import pytest
import redis
from kombu.exceptions import ContentDisallowed

from hip3_tasks.store.keys import connect
from hip3_tasks.transport.channel import BATCH_SIZE
from hip3_tasks.transport.qos import MAX_DEAD_LETTERS, QoS
from tests.support.malformed_messages import T0_MS, task
from tests.support.receiver import TIMEOUT_S, Receiver, clients, number_of, queued, unacked
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually


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


def test_waiting_takes_no_message_and_ends_when_one_comes(
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


def test_a_batch_of_one_is_delivered_by_each_call_as_kombu_does(
    redis_url: str, name: str, fill: Callable[..., None]
) -> None:
    fill(3)
    with Receiver(redis_url, name, batch_size=1) as receiver:
        for count in 1, 2, 3:
            receiver.connection.drain_events(timeout=TIMEOUT_S)
            assert len(receiver.messages) == count


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
def test_every_layout_of_queues_is_received_registered_and_acknowledged(
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


def test_an_error_of_the_server_leaves_the_messages_in_place(
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
    redis_url: str, client: redis.Redis, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    count = MAX_DEAD_LETTERS + 10
    client.lpush(name, *(b"\nforged %d" % number for number in range(count)))
    with Receiver(redis_url, name, dead_letter_key=f"{name}:kept") as receiver:
        eventually("all", lambda: (receiver.turn(), receiver.channel.dead_lettered == count)[-1])
    assert client.llen(f"{name}:kept") == MAX_DEAD_LETTERS
    assert client.lindex(f"{name}:kept", 0) == b"\nforged %d" % (count - 1)
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("hip3_tasks.transport")]
    assert len(lines) == count and all("message_quarantined" in line and line.isprintable() for line in lines)


def test_a_full_server_still_delivers_messages(own_server: RedisServer, name: str) -> None:
    with connect(own_server.url) as client, Receiver(own_server.url, name) as receiver:
        client.lpush(name, *(task(number, queue=name) for number in range(100)))
        receiver.turn()
        client.config_set("maxmemory", 1)
        assert receiver.receive(100) == list(range(100))
        receiver.qos.ack_many([message.delivery_tag for message in receiver.messages])
        assert unacked(client, name) == 0
