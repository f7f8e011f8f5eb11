"""A worker's status in Redis and its health file, written at each heartbeat of Celery's.

The heartbeats stop when the connection to Redis is lost, so status and file then become too old.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis
from celery.bootsteps import RUN
from celery.worker import state

from hip3_tasks.health import OVERDUE_RED_MS, write_health_file
from hip3_tasks.store.store import Store
from hip3_tasks.store.worker_status import WorkerStatus

TIMEOUT_S = 0.2
"""Short, since the main process waits, and has captures to hand out."""


def write_status(store: Store, consumer: Any, *, at_ms: int) -> None:
    """Write the status of the worker with this consumer; an error of Redis is ignored.

    It is removed when the worker consumes no queue any more, as when it ends.
    """
    worker, tasks = consumer.controller, consumer.task_consumer
    # Its steps stop in any order: the last heartbeat may come before the queues are cancelled.
    is_running = tasks is not None and consumer.blueprint.state == RUN
    queues = [queue.name for queue in (tasks.queues if is_running else ()) if tasks.consuming_from(queue)]
    # Operators change both while it runs: `control autoscale`, or `pool_grow` without an autoscaler.
    processes = int(worker.pool.num_processes)
    status = WorkerStatus(
        name=str(consumer.hostname),
        at_ms=at_ms,
        pid=os.getpid(),
        processes=processes,
        most_processes=int(worker.autoscaler.max_concurrency) if worker.autoscaler else processes,
        held=len(state.requests),
        queues=tuple(queues),
    )
    with suppress(redis.RedisError):
        if queues:
            store.write_worker(status)
        else:
            store.remove_workers(status)


def write_health(health_dir: Path, *, at_ms: int) -> None:
    """Write the worker's health file, red when the worker still holds a task that was due long ago."""
    due_at_ms = [int(task.eta.timestamp() * 1000) for task in tuple(state.reserved_requests) if task.eta]
    overdue_ms = at_ms - min(due_at_ms, default=at_ms)
    stuck = [f"a capture is {overdue_ms // 1000} s overdue here"] if overdue_ms > OVERDUE_RED_MS else []
    write_health_file(health_dir / "worker", stuck)
