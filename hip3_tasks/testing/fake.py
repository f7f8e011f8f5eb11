"""A Redis-compatible server inside the test's own process: fakeredis, with clients set up like the product's."""

import redis
import redis.asyncio

try:
    import fakeredis
    import lupa  # noqa: F401  fakeredis does without it, and then runs no scripts
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"hip3_tasks.testing needs {error.name}, which is not installed: pip install 'hip3-tasks[testing]'",
        name=error.name,
    ) from None


class FakeServer:
    """Keeps its data as long as it lives. All its clients see the same data, those of another server none of it.

    It runs the product's Lua scripts, and differs from a real server in one point that matters here: an append that
    repeats an entry of a tape raises ResponseError, while a real server leaves the tape as it is.
    """

    def __init__(self) -> None:
        self._server = fakeredis.FakeServer(server_type="valkey")

    def connect(self) -> redis.Redis:
        return fakeredis.FakeRedis(server=self._server, protocol=2)

    def connect_async(self) -> redis.asyncio.Redis:
        return fakeredis.FakeAsyncRedis(server=self._server, protocol=2)
