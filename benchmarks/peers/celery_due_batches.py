"""The product: its app, task and strategy; two prefork processes; publishes like the feed, up to fifty a call."""

import os
from collections.abc import Sequence
from functools import cache

import workers.tasks
from benchmarks import job
from benchmarks.peers import EVENTS, become
from hip3_tasks import settings
from hip3_tasks.celery import app
from hip3_tasks.domain.records import Signal
from hip3_tasks.store.keys import Keys, connect
from hip3_tasks.store.pending import Pending, PendingCapture
from hip3_tasks.store.task_message import task_message

app.conf.worker_send_task_events = EVENTS in os.environ
workers.tasks.Capturer = job.StampedCapturer


def publish(signals: Sequence[Signal]) -> None:
    pending, queue = _pending()
    captures = [capture for signal in signals for capture in signal.captures()]
    pending_captures = [
        PendingCapture(capture, task_message(capture, queue=queue, eta_ms=capture.due_at_ms)) for capture in captures
    ]
    pending.add(signals, pending_captures)


@cache
def _pending() -> tuple[Pending, str]:
    chosen = settings.load()
    keys = Keys(chosen.feed_name)
    # Signals expire after the same time as those of the feed.
    return Pending(connect(str(chosen.redis_url)), keys, signal_ttl_s=chosen.retention_s), keys.queue


if __name__ == "__main__":
    quiet = "--loglevel=ERROR", "--without-gossip", "--without-mingle"
    become("celery", "-A", "benchmarks.peers.celery_due_batches", "worker", "--concurrency=2", *quiet)
