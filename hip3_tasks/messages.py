"""The task message, as Celery's protocol 2 on kombu's Redis transport has it.

Built here, because `apply_async` takes several round-trips and knows nothing of the pending set; a contract test
compares it with what `apply_async` itself sends.
"""

import base64
import os
import socket
import uuid
from datetime import UTC, datetime

import orjson

from hip3_tasks.capture import Capture

CAPTURE_FOLLOWUP = "hip3_tasks.capture_followup"

_EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def task_message(capture: Capture, *, queue: str, eta_ms: int | None = None) -> bytes:
    """A `capture_followup` task for a queue, to run at `eta_ms` by the wall clock, or at once."""
    args = [capture.signal_id, capture.offset_ms]
    eta = None if eta_ms is None else datetime.fromtimestamp(eta_ms / 1000, UTC).isoformat()
    return orjson.dumps(
        {
            "body": base64.b64encode(orjson.dumps([args, {}, _EMBED])).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {
                "lang": "py",
                "task": CAPTURE_FOLLOWUP,
                "id": capture.task_id,
                "shadow": None,
                "eta": eta,
                "expires": None,
                "group": None,
                "group_index": None,
                "retries": 0,
                "timelimit": [None, None],
                "root_id": capture.task_id,
                "parent_id": None,
                "argsrepr": f"('{capture.signal_id}', {capture.offset_ms})",
                "kwargsrepr": "{}",
                "origin": f"gen{os.getpid()}@{socket.gethostname()}",
                "ignore_result": True,
                "replaced_task_nesting": 0,
                "stamped_headers": None,
                "stamps": {},
            },
            "properties": {
                "correlation_id": capture.task_id,
                "reply_to": "",
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": queue},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": str(uuid.uuid4()),
            },
        }
    )
