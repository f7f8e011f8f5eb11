"""A pool of two SimpleWorkers, which do not fork for each job; one of them schedules every second; no results."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from redis import Redis
from rq import Queue, SimpleWorker
from rq.worker_pool import WorkerPool

from benchmarks import job
from hip3_tasks import settings
from hip3_tasks.domain.records import Signal

connection = Redis.from_url(str(settings.load().redis_url))
queue = Queue(connection=connection)


class Worker(SimpleWorker):
    def work(self, *arguments: object, **options: object) -> bool:
        job.capturer()
        return super().work(*arguments, **options)


def publish(signals: Sequence[Signal]) -> None:
    for signal in signals:
        for expected in signal.captures():
            due = datetime.fromtimestamp(expected.due_at_ms / 1000, UTC)
            queue.enqueue_at(due, job.capture, expected.signal_id, expected.offset_ms, result_ttl=0)


if __name__ == "__main__":
    pool = WorkerPool([queue], connection=connection, num_workers=2, worker_class=Worker)
    pool.start(logging_level=logging.ERROR)
