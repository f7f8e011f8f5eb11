"""A Celery app for tests with a real worker: its task records each batch, and fails as its arguments demand."""

import json
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from celery import Celery

from hip3_tasks.transport import enable
from workers.due_batches.pool_job import CallArgs
from workers.due_batches.strategy import DueBatchTask

QUEUE = os.environ["BATCH_QUEUE"]
NOTES = Path(os.environ["BATCH_NOTES"])

app = Celery("batchapp", broker=os.environ["BATCH_BROKER"])
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
    task_ignore_result=True,
    worker_send_task_events=True,
    worker_prefetch_multiplier=0,
    worker_autoscaler="workers.due_batches.consumer:BatchAutoscaler",
    worker_redirect_stdouts=False,
)


class Note(DueBatchTask):
    """Record the batch, then do for each member what its second argument asks for."""

    name = "note"

    def run_many(self, calls: Sequence[CallArgs]) -> list[object]:
        asked = [[*args, "", 0.0][:3] for args, _ in calls]
        note(os.getpid(), time.time_ns(), [name for name, *_ in asked])
        for _, wish, seconds in asked:
            time.sleep(seconds)
            if wish == "raise" or (wish == "raise in company" and len(calls) > 1):
                raise RuntimeError("as asked")
            if wish == "die" or (wish == "die in company" and len(calls) > 1):
                os.kill(os.getpid(), signal.SIGKILL)
        return [ValueError(name) if wish == "fail" else f"noted {name}" for name, wish, _ in asked]


def note(*what: object) -> None:
    with NOTES.open("ab", buffering=0) as file:
        file.write(json.dumps(what).encode() + b"\n")


note_task = app.register_task(Note())
