"""A consumer that receives through the transport, and the queues and registers of its server."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import kombu
import redis

from hip3_tasks.transport.qos import QoS
from tests.support.malformed_messages import T0_MS
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

TIMEOUT_S = 20.0
PRODUCT, STOCK = "hip3_tasks.transport.channel:Transport", "kombu.transport.redis:Transport"


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

    def __init__(self, url: str, name: str, *queues: str, transport: str = PRODUCT, **changes: Any) -> None:
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


def unacked(client: redis.Redis, name: str) -> int:
    with client.pipeline() as pipe:
        registered, indexed = pipe.hlen(f"{name}:unacked").zcard(f"{name}:unacked_index").execute()
    assert registered == indexed
    return int(registered)


def queued(client: redis.Redis, queue: str) -> list[int]:
    """The numbers of the messages in a queue, in the order of receiving."""
    return [number_of(message) for message in reversed(client.lrange(queue, 0, -1))]


def stop(server: RedisServer) -> None:
    server.terminate()
    server.wait()


def clients(client: redis.Redis, name: str) -> list[dict[str, Any]]:
    return [row for row in client.client_list() if row["name"] == name]
