"""What a worker leaves in Redis about itself, at each heartbeat of Celery's: for the page and `hip3 status`."""

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Self

import redis
from celery.worker import state

from hip3_tasks.settings import Settings
from hip3_tasks.store.keys import Keys, connect
from hip3_tasks.store.worker_status import WorkerNote

PATIENCE_S = 0.2
"""The main process waits for it, and has captures to hand out."""


class Notes:
    """Written while the server answers; a note that is not written grows old, and that says enough."""

    def __init__(self, client: redis.Redis, keys: Keys, *, consumer: Any) -> None:
        self._client, self._keys, self._consumer = client, keys, consumer

    @classmethod
    def of(cls, chosen: Settings, *, consumer: Any) -> Self:
        client = connect(str(chosen.redis_url), timeout_s=PATIENCE_S)
        return cls(client, Keys(chosen.feed_name), consumer=consumer)

    def write(self, *, at_ms: int) -> None:
        """Say how it stands; take the note away where nothing is consumed any more, as when the worker ends."""
        note = self._note(at_ms)
        with suppress(redis.RedisError):
            if note.queues:
                note.write(self._client, self._keys)
            else:
                note.remove(self._client, self._keys)

    def forget_silent(self, *, at_ms: int) -> None:
        with suppress(redis.RedisError):
            WorkerNote.forget_silent(self._client, self._keys, at_ms=at_ms)

    def _note(self, at_ms: int) -> WorkerNote:
        worker = self._consumer.controller
        return WorkerNote(
            name=str(self._consumer.hostname),
            at_ms=at_ms,
            pid=os.getpid(),
            processes=int(worker.pool.num_processes),
            most_processes=int(worker.max_concurrency or worker.concurrency),
            held=len(state.requests),
            queues=tuple(self._queues()),
        )

    def _queues(self) -> Iterator[str]:
        consumer = self._consumer.task_consumer
        for queue in consumer.queues if consumer else ():
            if consumer.consuming_from(queue):
                yield queue.name
