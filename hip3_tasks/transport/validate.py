"""What a message must be so that neither kombu nor Celery stumbles over it."""

from datetime import datetime
from types import NoneType
from typing import Any

from kombu.utils.json import loads
from pydantic_core import from_json

from hip3_tasks.terminal_text import printable

JSON = "application/json"
RAW_OR_JSON = {JSON, None, "application/data", "application/text"}
"""The content types that a consumer cannot refuse, and JSON."""

TEXT = (str, NoneType)
COUNT = (int, NoneType)

IDS = ("id", "root_id", "parent_id", "group")
PRINTED = (*IDS, "task", "shadow", "origin", "eta", "expires")
"""Celery may write these into its log as they are: a line feed in them would begin a line of the sender's own."""
SHOWN = ("argsrepr", "kwargsrepr")
"""These, too, but an honest sender may have put a line feed there: its arguments are for the task to refuse."""

# What kombu and Celery take for granted; other fields may be anything.
ENVELOPE = {"headers": dict, "properties": dict, "body": TEXT, "content-type": TEXT, "content-encoding": TEXT}
PROPERTIES = {"delivery_info": dict, "body_encoding": TEXT, "correlation_id": TEXT, "reply_to": TEXT}
TASK = {
    "task": str,
    "id": str,
    **dict.fromkeys(("lang", "shadow", "root_id", "parent_id", "group", "argsrepr", "kwargsrepr", "origin"), TEXT),
    **dict.fromkeys(("retries", "group_index", "replaced_task_nesting"), COUNT),
    **dict.fromkeys(("eta", "expires"), (*TEXT, datetime)),
    **dict.fromkeys(("args", "timelimit", "stamped_headers"), (list, NoneType)),
    **dict.fromkeys(("kwargs", "stamps"), (dict, NoneType)),
}


def decoded(raw: bytes) -> Any:
    """JSON nested no deeper than a pool can pickle; kombu's typed values as it decodes them."""
    value = from_json(raw)
    return loads(raw) if b"__type__" in raw else value


def check_envelope(payload: Any) -> None:
    """Raise what kombu would stumble over."""
    _check(payload, ENVELOPE)
    _check(payload["properties"], PROPERTIES)


def _check(what: Any, types: dict[str, Any]) -> None:
    if not isinstance(what, dict):
        raise TypeError(f"not an object: {type(what).__name__}")
    for name, expected in types.items():
        if not isinstance(what.get(name), expected):
            raise TypeError(f"{name}: {type(what.get(name)).__name__}")


def check_task(message: Any) -> None:
    """Raise what says why Celery would stumble over a message that is, or claims to be, a task."""
    if message.errors:
        raise message.errors[0][1]
    task, body = message.headers, None
    if message.content_type == JSON:
        body = message.parsed = decoded(message.body)
    if isinstance(body, dict) and ("args" in body or "task" not in task):
        task = body | task  # protocol 1, or its mixture with 2
    elif "task" in task and message.content_type in RAW_OR_JSON and not _is_body(body):
        raise TypeError("body: not [args, kwargs, embed]")
    if "task" in task:
        _check(task, TASK)
        _check_values(task)
        task.update({name: printable(task[name]) for name in SHOWN if task.get(name)})


def _is_body(body: Any) -> bool:
    match body:
        case [list(), dict(), None | dict()]:
            return True
    return False


def _check_values(task: dict[str, Any]) -> None:
    for name in PRINTED:
        value = task.get(name)
        if isinstance(value, str) and not value.isprintable():
            raise ValueError(f"{name}: not printable")
    if "" in (task.get("eta"), task.get("expires")):
        raise ValueError("eta or expires: empty")
    limits = task.get("timelimit")
    if limits is not None and (len(limits) != 2 or not all(limit is None or 0 <= limit < 2**31 for limit in limits)):
        raise ValueError("timelimit: not two numbers of seconds")
    if not all(isinstance(header, str) for header in task.get("stamped_headers") or ()):
        raise TypeError("stamped_headers: not text")
