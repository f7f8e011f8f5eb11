"""The Redis of one feed: every value that this program keeps there, read and written in one place.

The tape's writer is apart (`store.tape`), since it belongs to the event loop of the feed.
"""

from collections.abc import Iterable
from functools import cached_property
from typing import Self

import redis
from pydantic import ValidationError

from hip3_tasks.domain.capture import Capture
from hip3_tasks.settings import Settings
from hip3_tasks.store.feed_status import TTL_S as FEED_STATUS_TTL_S
from hip3_tasks.store.feed_status import FeedStatus
from hip3_tasks.store.keys import SOCKET_TIMEOUT_S, Keys, connect
from hip3_tasks.store.market_facts import FeedMarkets
from hip3_tasks.store.pending import FIRST_TRY_MS, Pending
from hip3_tasks.store.tape import TapeReader
from hip3_tasks.store.task_message import task_message
from hip3_tasks.store.worker_status import FORGOTTEN_MS, WorkerNote
from hip3_tasks.store.worker_status import TTL_S as WORKERS_TTL_S

RETENTION_S = 900


class Store:
    """A client and the names of one feed's keys. Every method may raise redis.RedisError."""

    def __init__(self, client: "redis.Redis", keys: Keys, *, retention_s: int = RETENTION_S) -> None:
        self.client, self.keys, self._retention_s = client, keys, retention_s

    @classmethod
    def from_settings(cls, settings: Settings, *, timeout_s: float = SOCKET_TIMEOUT_S) -> Self:
        client = connect(str(settings.redis_url), timeout_s=timeout_s)
        return cls(client, Keys(settings.feed_name), retention_s=settings.retention_s)

    @cached_property
    def tape(self) -> TapeReader:
        return TapeReader(self.client, self.keys)

    @cached_property
    def pending(self) -> Pending:
        return Pending(self.client, self.keys, signal_ttl_s=self._retention_s)

    def feed_status(self) -> FeedStatus | None:
        """The feed's last status; None after a minute without it. Raises ValidationError for another version's."""
        text = self.client.get(self.keys.status)
        return None if text is None else FeedStatus.model_validate_json(text)

    def write_feed_status(self, status: FeedStatus) -> None:
        self.client.set(self.keys.status, status.model_dump_json(), ex=FEED_STATUS_TTL_S)

    def feed_markets(self) -> FeedMarkets | None:
        """The markets that the feed followed last, however long ago. Raises ValidationError for another version's."""
        text = self.client.get(self.keys.markets)
        return None if text is None else FeedMarkets.model_validate_json(text)

    def write_feed_markets(self, markets: FeedMarkets) -> None:
        self.client.set(self.keys.markets, markets.model_dump_json())

    def workers(self) -> list[WorkerNote]:
        """The last status of each worker, by name. One that another version wrote is left out."""
        workers = []
        for text in self.client.hvals(self.keys.workers):
            try:
                workers.append(WorkerNote.model_validate_json(text))
            except ValidationError:
                continue
        return sorted(workers, key=lambda worker: worker.name)

    def write_worker(self, worker: WorkerNote) -> None:
        with self.client.pipeline(transaction=False) as pipe:
            pipe.hset(self.keys.workers, worker.name, worker.model_dump_json())
            pipe.expire(self.keys.workers, WORKERS_TTL_S)
            pipe.execute()

    def remove_workers(self, *names: str) -> None:
        self.client.hdel(self.keys.workers, *names)

    def remove_silent_workers(self, *, at_ms: int) -> None:
        """Remove workers that are long gone: under Compose each has a name of its own. `at_ms` is wall time."""
        silent = [worker.name for worker in self.workers() if at_ms - worker.at_ms > FORGOTTEN_MS]
        if silent:
            self.remove_workers(*silent)

    def queue_length(self) -> int:
        """Tasks that no worker has taken yet."""
        return int(self.client.llen(self.keys.queue))

    def dead_letters(self) -> int:
        """Messages that no worker could handle."""
        return int(self.client.llen(self.keys.quarantine))

    def overdue(self, *, at_ms: int) -> int:
        """Pending captures whose own task has not made them FIRST_TRY_MS after their due time."""
        return int(self.client.zcount(self.keys.due, "-inf", at_ms - FIRST_TRY_MS))

    def memory_bytes(self) -> int:
        """Memory that the server uses."""
        return int(self.client.info("memory")["used_memory"])

    def publish(self, captures: Iterable[Capture]) -> None:
        """Queue the tasks of captures, to run once they are due."""
        self.client.lpush(self.keys.queue, *(task_message(capture, queue=self.keys.queue) for capture in captures))
