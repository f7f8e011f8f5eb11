"""Builds the task message of Celery's protocol 2 for kombu's Redis transport.

`apply_async` is not used: it takes several round-trips and cannot add to the pending set. A contract test compares
both messages. A burst is thousands of messages, so their common part is encoded once.
"""

import os
import socket
import uuid
from base64 import b64encode
from datetime import UTC, datetime
from functools import cache, lru_cache
from itertools import count

import orjson

from hip3_tasks.domain.capture import Capture

CAPTURE_FOLLOWUP = "hip3_tasks.capture_followup"

_BODY = '[["%s",%d],{},{"callbacks":null,"errbacks":null,"chain":null,"chord":null}]'


def task_message(capture: Capture, *, queue: str, eta_ms: int | None = None, suffix: str = "") -> bytes:
    """Return a `capture_followup` task for a queue, to run at `eta_ms` of the wall clock, or at once.

    With a suffix, its id is another than the usual one of this capture.
    """
    envelope, deliveries = _envelope(queue, os.getpid())
    # A coin has no character that JSON or Python's repr would escape.
    message = envelope % {
        "body": b64encode((_BODY % (capture.signal_id, capture.offset_ms)).encode()).decode(),
        "task_id": capture.task_id + suffix,
        "signal_id": capture.signal_id,
        "offset_ms": capture.offset_ms,
        "eta": "null" if eta_ms is None else _instant(eta_ms),
        "delivery": next(deliveries),
    }
    return message.encode()


@lru_cache(1024)
def _instant(at_ms: int) -> str:
    """Return an instant in JSON; the signals of a burst share a few instants."""
    return f'"{datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()}"'


@cache
def _envelope(queue: str, pid: int) -> tuple[str, "count[int]"]:
    """Return the common part of this process's messages to a queue, and a counter of deliveries."""
    message = {
        "body": "%(body)s",
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py",
            "task": CAPTURE_FOLLOWUP,
            "id": "%(task_id)s",
            "shadow": None,
            "eta": "%(eta)s",
            "expires": None,
            "group": None,
            "group_index": None,
            "retries": 0,
            "timelimit": [None, None],
            "root_id": "%(task_id)s",
            "parent_id": None,
            "argsrepr": "('%(signal_id)s', %(offset_ms)d)",
            "kwargsrepr": "{}",
            "origin": f"gen{pid}@{_plain(socket.gethostname())}",
            "ignore_result": True,
            "replaced_task_nesting": 0,
            "stamped_headers": None,
            "stamps": {},
        },
        "properties": {
            "correlation_id": "%(task_id)s",
            "reply_to": "",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": _plain(queue)},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": f"{str(uuid.uuid4())[:-12]}%(delivery)012x",
        },
    }
    return orjson.dumps(message).decode().replace('"%(eta)s"', "%(eta)s"), count()


def _plain(text: str) -> str:
    return text.replace("%", "%%")
