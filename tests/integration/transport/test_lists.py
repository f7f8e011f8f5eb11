"""Several queues, priorities and a global key prefix: nothing is taken while waiting, and no list waits for another."""

import time
from collections.abc import Callable
from typing import Any

import kombu
import pytest
import redis

from hip3_tasks.transport.channel import BATCH_SIZE, NotSupported
from tests.support.malformed_messages import task
from tests.support.receiver import STOCK, TIMEOUT_S, Receiver, clients, queued, unacked
from tests.support.waiting import eventually

STEPS = [0, 3, 6, 9]
LAYOUTS: list[dict[str, Any]] = [{}, {"priority_steps": STEPS}, {"global_keyprefix": "prefix-"}]
LAYOUTS.append({"priority_steps": STEPS, "global_keyprefix": "prefix-"})


def lists_of(queues: list[str], changes: dict[str, Any]) -> list[str]:
    steps = changes.get("priority_steps", [0])
    prefix = changes.get("global_keyprefix", "")
    return [f"{prefix}{queue}\x06\x16{step}" if step else f"{prefix}{queue}" for queue in queues for step in steps]


def waiting(client: redis.Redis, name: str) -> int:
    return sum("b" in row["flags"] for row in clients(client, name))


@pytest.mark.parametrize("changes", LAYOUTS)
def test_one_connection_waits_for_each_list_and_takes_nothing(
    redis_url: str, client: redis.Redis, name: str, changes: dict[str, Any]
) -> None:
    queues = [f"{name}-a", f"{name}-b"]
    lists = lists_of(queues, changes)
    with Receiver(redis_url, name, *queues, **changes) as receiver:
        receiver.turn()
        eventually("all wait", lambda: waiting(client, name) == len(lists))
        # As of a worker that is stopped: the server has answered, and no message has left its list.
        for number, key in enumerate(lists):
            client.lpush(key, task(number, queue=queues[0]))
        eventually("all are woken", lambda: waiting(client, name) == 0)
        assert [client.llen(key) for key in lists] == [1] * len(lists)
        assert not client.exists(f"{changes.get('global_keyprefix', '')}{name}:unacked")
        assert sorted(receiver.receive(len(lists))) == list(range(len(lists)))
        assert unacked(client, changes.get("global_keyprefix", "") + name) == len(lists)
    assert sum(client.llen(key) for key in lists) == len(lists), "closing restores them"


@pytest.mark.parametrize("changes", LAYOUTS)
def test_a_message_in_any_list_is_received_at_once(
    redis_url: str, client: redis.Redis, name: str, changes: dict[str, Any]
) -> None:
    queues = [f"{name}-a", f"{name}-b", f"{name}-c"]
    lists = lists_of(queues, changes)
    delays_s = []
    with Receiver(redis_url, name, *queues, **changes) as receiver:
        receiver.channel.brpop_timeout = TIMEOUT_S
        for number, key in enumerate(lists * 3):
            receiver.turn()
            eventually("all wait", lambda: (receiver.turn(0.001), waiting(client, name) == len(lists))[-1])
            client.lpush(key, task(number, queue=queues[0]))
            began_s = time.monotonic()
            receiver.receive(number + 1)
            delays_s.append(time.monotonic() - began_s)
    assert sorted(delays_s)[len(delays_s) // 2] < 0.1, delays_s


def test_a_busy_queue_does_not_starve_another(redis_url: str, client: redis.Redis, name: str) -> None:
    busy, quiet = f"{name}-a", f"{name}-b"
    client.lpush(busy, *(task(number, queue=busy) for number in range(10 * BATCH_SIZE)))
    client.lpush(quiet, *(task(number, queue=quiet) for number in range(1000, 1000 + BATCH_SIZE)))
    with Receiver(redis_url, name, busy, quiet) as receiver:
        numbers = receiver.receive(11 * BATCH_SIZE)
    assert max(numbers.index(number) for number in range(1000, 1000 + BATCH_SIZE)) < 2 * BATCH_SIZE
    assert [number for number in numbers if number < 1000] == list(range(10 * BATCH_SIZE))


def test_higher_priorities_come_first_from_all_queues(redis_url: str, client: redis.Redis, name: str) -> None:
    queues = [f"{name}-a", f"{name}-b"]
    number = 0
    for key in lists_of(queues, {"priority_steps": STEPS}):
        client.lpush(key, *(task(number + more, queue=queues[0]) for more in range(40)))
        number += 40
    with Receiver(redis_url, name, *queues, priority_steps=STEPS) as receiver:
        steps = [received // 40 % len(STEPS) for received in receiver.receive(number)]
    assert steps == sorted(steps)


def test_stock_publishers_and_sweepers_share_prefix_and_priorities(
    redis_url: str, client: redis.Redis, name: str
) -> None:
    changes = {"priority_steps": STEPS, "global_keyprefix": f"{name}:"}
    with Receiver(redis_url, name, transport=STOCK, **changes) as other:
        for priority in STEPS:
            other.connection.Producer().publish(
                [[], {}, None],
                routing_key=name,
                priority=priority,
                headers={"id": f"x-{1790000000000 + priority}:1", "task": "t"},
            )
        other.consumer.cancel()
        with Receiver(redis_url, name, **changes) as receiver:
            assert len(receiver.receive(4)) == 4
            assert unacked(client, f"{name}:{name}") == 4
            receiver.messages[0].ack()
            receiver.messages[1].requeue()
            assert unacked(client, f"{name}:{name}") == 2
            receiver.consumer.cancel()
            other.qos.visibility_timeout = -1
            other.qos.restore_visible(num=10, interval=1)
            assert unacked(client, f"{name}:{name}") == 0
            receiver.qos._delivered.clear()
        with Receiver(redis_url, name, visibility_timeout=-1, **changes) as sweeper:
            sweeper.receive(3)
            sweeper.consumer.cancel()
            sweeper.qos.restore_visible(interval=1)
            assert unacked(client, f"{name}:{name}") == 0
            sweeper.qos._delivered.clear()
    assert sum(client.llen(f"{name}:{key}") for key in lists_of([name], {"priority_steps": STEPS})) == 3
    prefix = f"{name}:".encode()
    assert all(key.startswith(prefix) for key in client.scan_iter(f"*{name}*")), "a key without the prefix"


def test_a_quarantine_has_the_prefix(redis_url: str, client: redis.Redis, name: str) -> None:
    client.lpush(f"{name}:{name}", b"garbage")
    with Receiver(redis_url, name, global_keyprefix=f"{name}:") as receiver:
        eventually("it is set aside", lambda: (receiver.turn(), receiver.channel.dead_lettered)[-1])
    assert client.lrange(f"{name}:{name}:quarantine", 0, -1) == [b"garbage"]


def test_a_lost_connection_of_any_list_is_replaced(redis_url: str, client: redis.Redis, name: str) -> None:
    queues = [f"{name}-a", f"{name}-b", f"{name}-c"]
    with Receiver(redis_url, name, *queues) as receiver:
        eventually("all wait", lambda: (receiver.turn(0.001), waiting(client, name) == 3)[-1])
        for row in clients(client, name):
            client.client_kill_filter(_id=row["id"])
        for number, queue in enumerate(queues):
            client.lpush(queue, task(number, queue=queue))

        def turn() -> bool:
            try:
                receiver.turn()
            except receiver.connection.connection_errors:
                pass
            return len(receiver.messages) == 3

        eventually("all are received", turn)
        assert sorted(receiver.numbers) == [0, 1, 2]


def test_queues_come_and_go_and_leave_no_connection(
    redis_url: str, client: redis.Redis, name: str, fill: Callable[..., None]
) -> None:
    queues = [f"{name}-{number}" for number in range(15)]
    with Receiver(redis_url, name) as receiver:
        for queue in queues:
            receiver.consumer.add_queue(kombu.Queue(queue, exchange=kombu.Exchange("")))
            receiver.consumer.consume()
        eventually("more wait than a pool holds", lambda: (receiver.turn(0.001), waiting(client, name) == 16)[-1])
        receiver.consumer.cancel_by_queue(name)
        for queue in queues[1:]:
            receiver.consumer.cancel_by_queue(queue)
        eventually("one waits", lambda: (receiver.turn(0.001), waiting(client, name) == 1)[-1])
        fill(1, queue=name)
        fill(1, first=1, queue=queues[0])
        assert receiver.receive(1) == [1]
        assert queued(client, name) == [0]
        receiver.messages[0].ack()
    eventually("all connections are closed", lambda: not clients(client, name))


@pytest.mark.parametrize("is_first_acknowledged", [True, False])
def test_consumers_with_and_without_acknowledgements_are_refused_on_one_channel(
    redis_url: str, name: str, is_first_acknowledged: bool
) -> None:
    with Receiver(redis_url, name) as receiver:
        receiver.consumer.cancel()
        receiver.consumer.consume(no_ack=not is_first_acknowledged)
        other = kombu.Queue(f"{name}-b", kombu.Exchange(""))(receiver.channel)
        with pytest.raises(NotSupported, match=rf"{name}-b: .* \(here {name}\); .* two connections"):
            other.consume("tag", lambda message: None, no_ack=is_first_acknowledged)
        assert receiver.channel.active_queues == [name]


def test_acknowledgements_without_their_emulation_are_refused(redis_url: str, name: str) -> None:
    receiver = Receiver(redis_url, name, ack_emulation=False)
    with pytest.raises(NotSupported, match="ack_emulation is off; remove that transport option, or consume with"):
        receiver.consumer.consume()
    receiver.connection.close()


def test_one_message_is_got_without_a_consumer(
    redis_url: str, client: redis.Redis, name: str, fill: Callable[..., None]
) -> None:
    fill(2)
    client.rpush(name, b"garbage")
    receiver = Receiver(redis_url, name)
    queue = kombu.Queue(name)(receiver.channel)
    message = queue.get()
    assert message is not None and unacked(client, name) == 1 and queued(client, name) == [1]
    message.ack()
    assert unacked(client, name) == 0
    assert queue.get(no_ack=True) is not None and queue.get() is None
    assert unacked(client, name) == 0
    receiver.connection.close()
