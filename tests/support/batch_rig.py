"""A queue of batch tasks with its workers, for tests; its app is `tests/support/celery_app.py`."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from celery import Celery

from tests.support.process import ROOT, ProcessUnderTest, environment
from tests.support.waiting import eventually

TIMEOUT_S = 20.0
OURS, STOCK = "hip3_tasks.transport.channel:Transport", "kombu.transport.redis:Transport"


class BatchRig:
    """A queue with its workers, and the records of their tasks."""

    def __init__(
        self, redis_url: str, name: str, folder: Path, *, transport: str = OURS, backend: str = "disabled://"
    ) -> None:
        self.queue, self.notes_path, self.log_path = name, folder / "notes.jsonl", folder / "worker.log"
        self.client = redis.Redis.from_url(redis_url)
        self.app = Celery("tests", broker=redis_url, backend=backend, set_as_current=False)
        self.app.conf.update(task_default_queue=name, task_ignore_result=True)
        self.environment = environment(
            BATCH_BROKER=redis_url,
            BATCH_QUEUE=name,
            BATCH_NOTES=str(self.notes_path),
            BATCH_TRANSPORT=transport,
            BATCH_BACKEND=backend,
            PYTHONPATH=str(ROOT),
            AUTOSCALE_KEEPALIVE="1",
        )
        self.workers = 0

    @contextmanager
    def worker(self, *options: str) -> Iterator[ProcessUnderTest]:
        self.workers += 1
        node = f"{self.workers}@{self.queue}"
        command = [sys.executable, "-m", "celery", "-A", "tests.support.celery_app", "worker", "--hostname", node]
        command += ["--without-gossip", "--without-mingle", "--loglevel=INFO", *(options or ["--concurrency=2"])]
        ready = self.log.count("ready.")
        with ProcessUnderTest(*command, log=self.log_path, env=self.environment) as process:
            self.until("the worker is ready", lambda: self.log.count("ready.") > ready or not process.is_running)
            assert process.is_running, self.log
            yield process

    @property
    def log(self) -> str:
        return self.log_path.read_text() if self.log_path.exists() else ""

    def batches(self) -> list[tuple[int, float, list[str]]]:
        """Pid, start in s since the epoch and names of the members of each batch, ordered by start."""
        lines = self.notes_path.read_text().splitlines() if self.notes_path.exists() else []
        return [(pid, at_ns / 1e9, names) for pid, at_ns, names in map(json.loads, lines)]

    def ran(self) -> list[str]:
        return [name for *_, names in self.batches() for name in names]

    def send(self, name: str, wish: str = "", seconds: float = 0.0, **options: Any) -> str:
        return str(self.app.send_task("note", [name, wish, seconds], **options).id)

    def signals(self, task_id: str) -> list[tuple[str, dict[str, Any]]]:
        """Celery's signals and hooks of a task in the pool processes, with what they were given."""
        path = self.notes_path.with_suffix(".signals")
        lines = path.read_text().splitlines() if path.exists() else []
        return [(kind, given) for kind, line_id, given in map(json.loads, lines) if line_id == task_id]

    def unacked(self) -> int:
        return int(self.client.hlen(f"{self.queue}:unacked"))

    def is_done(self) -> bool:
        return self.unacked() == 0 and self.client.llen(self.queue) == 0

    def inspect(self, command: str, *arguments: str) -> Any:
        """The answer of the newest worker; an empty list without one."""
        node = f"{self.workers}@{self.queue}"
        inspect = self.app.control.inspect(destination=[node], timeout=2.0, limit=1)
        return (getattr(inspect, command)(*arguments) or {}).get(node, [])

    def until(self, what: str, is_true: Callable[[], object]) -> None:
        eventually(what, is_true, within_s=TIMEOUT_S, details=lambda: self.log[-3000:])

    def close(self) -> None:
        self.app.close()
        self.client.close()
