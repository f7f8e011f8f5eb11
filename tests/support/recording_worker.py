"""A Celery worker that records its tasks, in a process."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from hip3_tasks.store.keys import connect
from hip3_tasks.store.task_message import CAPTURE_FOLLOWUP
from tests.support.malformed_messages import T0_MS, task
from tests.support.process import ROOT, ProcessUnderTest, environment
from tests.support.receiver import options
from tests.support.waiting import eventually

APP = """
import os
from celery import Celery
from redis import Redis
from hip3_tasks.transport import enable

url, name, options = {values!r}
app = Celery("probe", broker=url)
enable(app)
app.conf.update(
    broker_transport_options=options, broker_connection_retry_on_startup=True, task_default_queue=name,
    task_ignore_result=True, task_acks_late=True, accept_content=["json"], worker_prefetch_multiplier=0,
    worker_send_task_events=True, worker_redirect_stdouts=False, timezone="UTC",
)


@app.task(name={task!r})
def note(signal_id, offset_ms):
    Redis.from_url(url).rpush(name + ":ran", signal_id)
"""


class RecordingWorker:
    """A Celery worker that records its tasks."""

    def __init__(self, url: str, name: str, directory: Path, *queues: str, **changes: Any) -> None:
        self.name, self._client = name, connect(url)
        values = (url, name, options(name, **changes))
        (directory / "probe_app.py").write_text(APP.format(values=values, task=CAPTURE_FOLLOWUP))
        command = [sys.executable, "-m", "celery", "-A", "probe_app", "worker", "--concurrency=1", "--loglevel=INFO"]
        self.process = ProcessUnderTest(
            *(*command, "--without-gossip", "--without-mingle", "-n", name, "-Q", ",".join(queues or [name])),
            log=directory / "worker.log",
            cwd=directory,
            env=environment(PYTHONPATH=str(ROOT)),
        ).start()
        self.process.wait_for("ready.", within_s=40)

    @property
    def log(self) -> str:
        return self.process.log

    def ran(self) -> list[int]:
        return [int(noted.decode().split("-")[1]) - T0_MS for noted in self._client.lrange(f"{self.name}:ran", 0, -1)]

    def is_alive(self) -> bool:
        return self.process.is_running

    def close(self) -> None:
        self.process.kill()
        self._client.close()


@contextmanager
def working(url: str, name: str, directory: Path, *queues: str, **changes: Any) -> Iterator[RecordingWorker]:
    worker = RecordingWorker(url, name, directory, *queues, **changes)
    try:
        yield worker
    finally:
        worker.close()


def run_one_more(worker: RecordingWorker, client: redis.Redis, *before: bytes) -> None:
    """Queue messages, then a valid one; return when the valid one has run."""
    number = len(worker.ran())
    client.lpush(worker.name, *before, task(number, queue=worker.name))
    eventually("the good one after it ran", lambda: number in worker.ran() or not worker.is_alive())
    assert worker.is_alive(), worker.log[-3000:]
