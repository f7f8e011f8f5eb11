"""Fixtures for the tests of the transport."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from tests.support.malformed_messages import task
from tests.support.redis_server import RedisServer


@pytest.fixture
def client(server_client: redis.Redis) -> redis.Redis:
    """The transport uses sockets, so its tests need a real server."""
    return server_client


@pytest.fixture
def fill(client: redis.Redis, name: str) -> Callable[..., None]:
    def fill(count: int, *, queue: str = name, first: int = 0) -> None:
        client.lpush(queue, *(task(number, queue=queue) for number in range(first, first + count)))

    return fill


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "server") as server:
        yield server
