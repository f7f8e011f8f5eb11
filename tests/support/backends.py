"""The stores of Redis data for tests: a real server and fakeredis, with the same tests for both."""

from typing import Protocol

import pytest
import redis
import redis.asyncio

from hip3_tasks.store.keys import connect, connect_async

server_only = pytest.mark.parametrize("backend", ["server"], indirect=True)
"""Mark for a test whose claim is about real sockets."""


class Backend(Protocol):
    """Gives clients that all see the same data."""

    def connect(self) -> redis.Redis: ...

    def connect_async(self) -> redis.asyncio.Redis: ...


class RealServer:
    def __init__(self, url: str) -> None:
        self.url = url

    def connect(self) -> redis.Redis:
        return connect(self.url)

    def connect_async(self) -> redis.asyncio.Redis:
        return connect_async(self.url)
