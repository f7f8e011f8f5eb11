"""What each worker says of itself at every heartbeat, in Redis: for whoever shows how the system stands."""

from typing import Self

import redis
from pydantic import BaseModel, ConfigDict, ValidationError

from hip3_tasks.store.keys import Keys

READY_MS = 3_000
"""A feed counts on a worker only while its note is younger."""
SILENT_MS = 10_000
"""A worker that has said nothing for so long is no longer shown; its heart beats every 2 s."""
FORGOTTEN_MS = 60_000
TTL_S = 60


class WorkerNote(BaseModel):
    """One worker, which is a main process and its pool."""

    model_config = ConfigDict(frozen=True)

    name: str
    at_ms: int
    """On the worker's wall clock."""
    pid: int
    processes: int
    """Of its pool, now."""
    most_processes: int
    held: int
    """Tasks it has taken in and not yet done; most of them are not due."""
    queues: tuple[str, ...] | None = None
    """The queues it consumes; None from a version that did not say so, but consumed that of its feed."""

    def consumes(self, queue: str) -> bool:
        """Whether it consumed the queue when it last spoke."""
        return self.queues is None or queue in self.queues

    def is_fresh(self, *, at_ms: int) -> bool:
        """Whether a feed may count on it; `at_ms` is on the wall clock."""
        return at_ms - self.at_ms < READY_MS

    def write(self, client: redis.Redis, keys: Keys) -> None:
        with client.pipeline(transaction=False) as pipe:
            pipe.hset(keys.workers, self.name, self.model_dump_json())
            pipe.expire(keys.workers, TTL_S)
            pipe.execute()

    def remove(self, client: redis.Redis, keys: Keys) -> None:
        client.hdel(keys.workers, self.name)

    @classmethod
    def read_all(cls, client: redis.Redis, keys: Keys) -> list[Self]:
        """The last word of each, by name. One that another version wrote is left out."""
        found = []
        for text in client.hvals(keys.workers):
            try:
                found.append(cls.model_validate_json(text))
            except ValidationError:
                continue
        return sorted(found, key=lambda note: note.name)

    @staticmethod
    def forget_silent(client: redis.Redis, keys: Keys, *, at_ms: int) -> None:
        """Drop the words of those that are long gone: under Compose each worker has a name of its own."""
        silent = [n.name for n in WorkerNote.read_all(client, keys) if at_ms - n.at_ms > FORGOTTEN_MS]
        if silent:
            client.hdel(keys.workers, *silent)
