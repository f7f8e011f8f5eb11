"""A Celery app for tests with a real worker: its task records each batch, and fails as its arguments demand.

Its processes record Celery's signals of each task too, where BATCH_SIGNALS is set.
"""

import json
import os
import signal
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from celery import Celery
from celery.exceptions import Ignore, Retry
from celery.signals import task_failure, task_postrun, task_prerun, task_success, worker_process_init

from hip3_tasks.transport import enable
from workers.due_batches.task import CallArgs, DueBatchTask

QUEUE = os.environ["BATCH_QUEUE"]
NOTES = Path(os.environ["BATCH_NOTES"])

app = Celery("batchapp", broker=os.environ["BATCH_BROKER"], backend=os.environ["BATCH_BACKEND"])
if os.environ["BATCH_TRANSPORT"].startswith("hip3_tasks."):
    enable(app)
app.conf.update(
    broker_transport_options={
        "unacked_key": f"{QUEUE}:unacked",
        "unacked_index_key": f"{QUEUE}:unacked_index",
        "unacked_mutex_key": f"{QUEUE}:unacked_mutex",
        "visibility_timeout": 3600,
        "priority_steps": [0],
    },
    task_default_queue=QUEUE,
    task_acks_late=True,
    task_ignore_result=os.environ["BATCH_BACKEND"] == "disabled://",
    worker_disable_rate_limits=False,
    worker_send_task_events=True,
    worker_prefetch_multiplier=0,
    worker_autoscaler="workers.due_batches.consumer:BatchAutoscaler",
    worker_redirect_stdouts=False,
)


class Note(DueBatchTask):
    """Record the batch, then do for each member what its second argument asks for."""

    name = "note"

    def run_many(self, calls: Sequence[CallArgs]) -> list[object]:
        asked = [[*args, *("", "", 0.0)[len(args) :]] for args, _ in calls]
        note(os.getpid(), time.time_ns(), [name for name, *_ in asked])
        for _, wish, seconds in asked:
            time.sleep(seconds)
            if wish == "raise" or (wish == "raise in company" and len(calls) > 1):
                raise RuntimeError("as asked")
            if wish == "request":
                raise RuntimeError(f"not reached: {self.request.id}")
            if wish == "self.retry":
                self.retry()
            if wish == "die" or (wish == "die in company" and len(calls) > 1):
                os.kill(os.getpid(), signal.SIGKILL)
        return [_result(name, wish) for name, wish, _ in asked]


def _result(name: str, wish: str) -> object:
    match wish:
        case "fail":
            return ValueError(name)
        case "retry" if NOTES.read_text().count(f'"{name}"') == 1:
            return Retry(exc=ValueError(name), when=0.1)
        case "ignore":
            return Ignore()
    return f"noted {name}"


def note(*what: object, path: Path = NOTES) -> None:
    with path.open("ab", buffering=0) as file:
        file.write(json.dumps(what).encode() + b"\n")


@worker_process_init.connect
def _record_signals(**_: object) -> None:
    """Connect in the pool process, as instrumentations are told to."""
    if "BATCH_SIGNALS" in os.environ:
        for kind in ("task_prerun", "task_postrun", "task_success", "task_failure"):
            signal_of[kind].connect(partial(_record, kind), weak=False)


signal_of = {
    "task_prerun": task_prerun,
    "task_postrun": task_postrun,
    "task_success": task_success,
    "task_failure": task_failure,
}


def _record(kind: str, *, sender: Any, signal: object, **given: Any) -> None:
    request = sender.request
    given |= {"custom": (request.headers or {}).get("trace"), "routing_key": request.delivery_info["routing_key"]}
    shown = {key: value if isinstance(value, int | float | list | dict) else str(value) for key, value in given.items()}
    note(kind, request.id, shown, path=NOTES.with_suffix(".signals"))


note_task = app.register_task(Note())


@app.task(name="plain")
def plain(*results: object) -> object:
    """Record and return the results that another task passed on."""
    note(os.getpid(), time.time_ns(), [f"plain {' '.join(map(str, results))}"])
    return results
