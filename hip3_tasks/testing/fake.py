"""A Redis-compatible server inside the test process: fakeredis, with clients configured like the product's."""

import redis
import redis.asyncio

try:
    import fakeredis
    import lupa  # noqa: F401  without it fakeredis works, but runs no Lua scripts
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"hip3_tasks.testing needs {error.name}, which is not installed: pip install 'hip3-tasks[testing]'",
        name=error.name,
    ) from None


class FakeServer:
    """A server in memory that runs the product's Lua scripts.

    All its clients share its data; clients of another FakeServer do not.
    """

    def __init__(self) -> None:
        self._server = fakeredis.FakeServer(server_type="valkey")

    def connect(self) -> redis.Redis:
        return fakeredis.FakeRedis(server=self._server, protocol=2)

    def connect_async(self) -> redis.asyncio.Redis:
        return fakeredis.FakeAsyncRedis(server=self._server, protocol=2)
