"""A worker's status in Redis and its health file, written at each heartbeat of Celery's.

The heartbeats stop when the connection to Redis is lost, so status and file then become too old.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import redis
from celery.worker import state

from hip3_tasks.health import OVERDUE_RED_MS, write_health_file
from hip3_tasks.settings import Settings
from hip3_tasks.store.store import Store
from hip3_tasks.store.worker_status import WorkerStatus

TIMEOUT_S = 0.2
"""Short, since the main process waits, and has captures to hand out."""


class WorkerStatusWriter:
    """Writes the status of the worker with this consumer; an error of Redis is ignored."""

    def __init__(self, store: Store, *, consumer: Any) -> None:
        self._store, self._consumer = store, consumer

    @classmethod
    def from_settings(cls, settings: Settings, *, consumer: Any) -> Self:
        return cls(Store.from_settings(settings, timeout_s=TIMEOUT_S), consumer=consumer)

    def write(self, *, at_ms: int) -> None:
        """Write the status, or remove it when the worker consumes no queue any more, as when it ends."""
        status = self._status(at_ms)
        with suppress(redis.RedisError):
            if status.queues:
                self._store.write_worker(status)
            else:
                self._store.remove_workers(status.name)

    def remove_silent(self, *, at_ms: int) -> None:
        """Remove the status of workers that ended long ago."""
        with suppress(redis.RedisError):
            self._store.remove_silent_workers(at_ms=at_ms)

    def _status(self, at_ms: int) -> WorkerStatus:
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


def write_health(health_dir: Path, *, at_ms: int) -> None:
    """Write the worker's health file, red when the worker still holds a task that was due long ago."""
    due_at_ms = [int(task.eta.timestamp() * 1000) for task in tuple(state.reserved_requests) if task.eta]
    overdue_ms = at_ms - min(due_at_ms, default=at_ms)
    stuck = [f"a capture is {overdue_ms // 1000} s overdue here"] if overdue_ms > OVERDUE_RED_MS else []
    write_health_file(health_dir / "worker", stuck)
