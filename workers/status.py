"""What a worker leaves in Redis about itself, at each heartbeat of Celery's: for the page and `hip3 status`."""

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Self

import redis
from celery.worker import state

from hip3_tasks.settings import Settings
from hip3_tasks.store.store import Store
from hip3_tasks.store.worker_status import WorkerStatus

PATIENCE_S = 0.2
"""The main process waits for it, and has captures to hand out."""


class Notes:
    """Written while the server answers; a note that is not written grows old, and that says enough."""

    def __init__(self, store: Store, *, consumer: Any) -> None:
        self._store, self._consumer = store, consumer

    @classmethod
    def of(cls, chosen: Settings, *, consumer: Any) -> Self:
        return cls(Store.from_settings(chosen, timeout_s=PATIENCE_S), consumer=consumer)

    def write(self, *, at_ms: int) -> None:
        """Say how it stands; take the note away where nothing is consumed any more, as when the worker ends."""
        note = self._note(at_ms)
        with suppress(redis.RedisError):
            if note.queues:
                self._store.write_worker(note)
            else:
                self._store.remove_workers(note.name)

    def forget_silent(self, *, at_ms: int) -> None:
        with suppress(redis.RedisError):
            self._store.remove_silent_workers(at_ms=at_ms)

    def _note(self, at_ms: int) -> WorkerStatus:
        worker = self._consumer.controller
        return WorkerStatus(
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
