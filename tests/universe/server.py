"""The server: the real scripts on fakeredis, between clients that refuse, lose answers, and send calls late."""

import asyncio
import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import fakeredis
import redis

from tests.universe.chance import Chance, Life
from tests.universe.loop import VirtualLoop

_fake = fakeredis.FakeServer(server_type="valkey")
"""One for all universes of a process: starting its Lua takes longer than a universe."""

Execute = Callable[[], Any]
FATES = {"refused": 3, "answer lost": 4, "late": 4, "answered with an error": 3}
FREQUENT = "XADD", "get"
READS = "get", "zcard", "zrange", "zrangebyscore", "smembers", "xrange", "xrevrange", "hvals", "XREVRANGE"
REFUSALS = {
    "READONLY You can't write against a read only replica.": 1,
    "NOPERM this user has no permissions to run the command": 1,
}
DEATHS = {"dies before the call": 3, "dies, the call is late": 4, "dies after the call": 4}


class Server:
    """Executes calls one at a time. `direct` is the judge's own client, which no fault touches."""

    def __init__(self, loop: VirtualLoop, chance: Chance) -> None:
        self._loop, self._chance = loop, chance
        self.direct = fakeredis.FakeRedis(server=_fake, protocol=2, single_connection_client=True)
        self.direct.flushall()
        self.is_away = False
        self.refusal = ""
        """The answer to calls while it refuses: to those that write, or to all."""
        self.next_fate = ""
        self.next_fate_is_rare = False
        """Whether it waits for a call that is neither an append nor a reading of the watermark, as most are."""
        self.late: list[tuple[str, Execute]] = []
        """Calls that were sent and not executed yet, although their senders have given up."""
        self.lost_data = 0
        """How often the server lost data."""
        self.watch_append: Callable[[Execute], Any] = lambda append: append()
        """Executes each call that adds to a tape; the judge looks before and after it."""
        self._snapshots: list[dict[bytes, Any]] = []

    def close(self) -> None:
        """Forget the clients: they hold a whole universe through the errors that they were answered with."""
        self.direct.close()
        _fake.sockets.clear()

    def length(self, key: str) -> int:
        """The length of a list or stream, 0 when it is absent; a hundred times as fast as a call."""
        item = _fake.dbs[0]._dict.get(key.encode())
        return 0 if item is None else len(item.value)

    def client(self, life: Life) -> "SyncClient":
        return SyncClient(self, life)

    def async_client(self, life: Life) -> "AsyncClient":
        return AsyncClient(self, life)

    def keep_snapshot(self) -> None:
        self._snapshots.append(copy.deepcopy(_fake.dbs[0]._dict))

    def empty(self) -> None:
        self.lost_data += 1
        self.direct.flushall()

    def set_back(self) -> None:
        """Lose the writes since an earlier snapshot, as a server does that starts again from its last saved file."""
        if self._snapshots:
            self.lost_data += 1
            self.direct.flushall()
            del self._snapshots[self._chance.randrange(len(self._snapshots)) + 1 :]  # what came after never was
            _fake.dbs[0]._dict = copy.deepcopy(self._snapshots[-1])

    def run_late(self) -> None:
        """Execute the calls that are under way, in any order."""
        while self.late:
            name, execute = self.late.pop(self._chance.randrange(len(self.late)))
            self._chance.tell(self._loop.time(), f"a late call of {name} is executed")
            try:
                execute()
            except redis.RedisError as error:
                self._chance.tell(self._loop.time(), f"  and refused: {error}")

    def call(self, life: Life, name: str, execute: Execute) -> Any:
        """Execute a call of a process, or let happen to it what the seed says. Raises redis.RedisError and Killed."""
        life.begin_effect()
        if name == "XADD":
            execute = partial(self.watch_append, execute)
        if life.is_last_effect(on_disk=False):
            fate = self._chance.pick(DEATHS)
            self._chance.drawn[f"{life.name} {fate}"] += 1
        elif self.next_fate_is_rare and name in FREQUENT:
            fate = ""
        else:
            fate, self.next_fate = self.next_fate, ""
        if fate:
            self._chance.tell(self._loop.time(), f"{life.name} {name}: {fate}")
        if self.is_away or fate == "refused":
            raise redis.ConnectionError("the server is away")
        if fate == "answered with an error" or (self.refusal and not (name in READS and "READONLY" in self.refusal)):
            raise redis.ResponseError(self.refusal or "BUSY the server is busy running a script")
        if "late" in fate:
            self.late.append((life.name, execute))
        if fate == "late":
            raise redis.TimeoutError("no answer")
        if fate in ("answer lost", "dies after the call"):
            execute()
        if fate.startswith("dies"):
            life.kill()
        if fate == "answer lost":
            raise redis.TimeoutError("no answer")
        return execute()


class SyncClient:
    """A client of redis-py as far as the product uses one."""

    def __init__(self, server: Server, life: Life) -> None:
        self._server, self._life = server, life

    def __getattr__(self, name: str) -> Any:
        command = getattr(self._server.direct, name)
        return lambda *args, **kwargs: self._server.call(self._life, name, lambda: command(*args, **kwargs))

    def register_script(self, script: str) -> Any:
        run = self._server.direct.register_script(script)
        return lambda keys=(), args=(): self._server.call(
            self._life, _first_word(script), lambda: run(keys=keys, args=args)
        )

    def pipeline(self, transaction: bool = True) -> "_Pipeline":
        return _Pipeline(self._server, self._life, self._server.direct.pipeline(transaction=transaction))


class _Pipeline:
    def __init__(self, server: Server, life: Life, pipeline: Any) -> None:
        self._server, self._life, self._pipeline = server, life, pipeline

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipeline, name)

    def __enter__(self) -> "_Pipeline":
        return self

    def __exit__(self, *_: object) -> None:
        self._pipeline.reset()

    def execute(self) -> Any:
        return self._server.call(self._life, "pipeline", self._pipeline.execute)


class AsyncClient:
    """An asynchronous client as far as the feed uses one. Its calls take virtual time on both ways."""

    def __init__(self, server: Server, life: Life) -> None:
        self._server, self._life = server, life
        self._sync = SyncClient(server, life)

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: self._call(lambda: getattr(self._sync, name)(*args, **kwargs))

    def register_script(self, script: str) -> Any:
        run = self._sync.register_script(script)
        return lambda keys=(), args=(): self._call(lambda: run(keys, args))

    def pipeline(self, transaction: bool = True) -> Any:
        pipeline = self._sync.pipeline(transaction=transaction)
        execute = pipeline.execute
        pipeline.execute = lambda: self._call(execute)  # type: ignore[method-assign]
        return pipeline

    async def _call(self, execute: Execute) -> Any:
        await travel(self._server._chance)
        result = execute()
        await travel(self._server._chance)
        self._life.check()
        return result


async def travel(chance: Chance) -> None:
    """Wait for a message to arrive: mostly at once, at times some milliseconds."""
    await asyncio.sleep(0.0 if chance.random() < 0.6 else chance.uniform(0, 0.004))


def _first_word(script: str) -> str:
    return next((word for word in ("XADD", "ZMSCORE", "ZSCORE", "XREVRANGE", "XTRIM") if word in script), "script")
