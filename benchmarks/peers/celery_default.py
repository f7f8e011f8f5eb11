"""Celery's strategy and transport; two prefork processes, no prefetch limit, no results, acks late, one priority."""

from collections.abc import Sequence
from datetime import UTC, datetime

from celery import Celery
from celery.signals import worker_process_init

from benchmarks import job
from benchmarks.peers import become
from hip3_tasks import settings
from hip3_tasks.domain.records import Signal

app = Celery("benchmark", broker=str(settings.load().redis_url))
app.conf.update(
    broker_transport_options={"visibility_timeout": 3600, "priority_steps": [0]},
    broker_connection_retry_on_startup=True,
    task_ignore_result=True,
    task_acks_late=True,
    worker_prefetch_multiplier=0,
    worker_disable_rate_limits=True,
)


@app.task
def capture(signal_id: str, offset_ms: int) -> None:
    job.capture(signal_id, offset_ms)


@worker_process_init.connect
def _make_ready(**_: object) -> None:
    job.capturer()


def publish(signals: Sequence[Signal]) -> None:
    with app.producer_or_acquire() as producer:
        for signal in signals:
            for expected in signal.captures():
                eta = datetime.fromtimestamp(expected.due_at_ms / 1000, UTC)
                capture.apply_async((expected.signal_id, expected.offset_ms), eta=eta, producer=producer)


if __name__ == "__main__":
    quiet = "--loglevel=ERROR", "--without-gossip", "--without-mingle", "--without-heartbeat"
    become("celery", "-A", "benchmarks.peers.celery_default", "worker", "--concurrency=2", *quiet)
