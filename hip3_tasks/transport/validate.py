"""Checks of received messages, so that neither kombu nor Celery fails at them."""

from datetime import datetime
from types import NoneType
from typing import Any

from kombu.utils.json import loads
from pydantic_core import from_json

JSON = "application/json"
RAW_OR_JSON = {JSON, None, "application/data", "application/text"}
"""JSON, and the content types that a consumer always accepts."""

TEXT = (str, NoneType)
INTEGER = (int, NoneType)

IDS = ("id", "root_id", "parent_id", "group")
LOGGED = (*IDS, "task", "shadow", "origin", "eta", "expires")
"""Celery may log these unescaped: with a line feed, the sender could forge a log line."""
ESCAPED = ("argsrepr", "kwargsrepr")
"""Logged unescaped as well, but a line feed is legitimate here, so they are escaped. The task checks the arguments."""

# The types that kombu and Celery assume; other fields may be anything.
ENVELOPE = {"headers": dict, "properties": dict, "body": TEXT, "content-type": TEXT, "content-encoding": TEXT}
PROPERTIES = {"delivery_info": dict, "body_encoding": TEXT, "correlation_id": TEXT, "reply_to": TEXT}
TASK = {
    "task": str,
    "id": str,
    **dict.fromkeys(("lang", "shadow", "root_id", "parent_id", "group", "argsrepr", "kwargsrepr", "origin"), TEXT),
    **dict.fromkeys(("retries", "group_index", "replaced_task_nesting"), INTEGER),
    **dict.fromkeys(("eta", "expires"), (*TEXT, datetime)),
    **dict.fromkeys(("args", "timelimit", "stamped_headers"), (list, NoneType)),
    **dict.fromkeys(("kwargs", "stamps"), (dict, NoneType)),
}


def decode(raw: bytes) -> Any:
    """Decode JSON, nested no deeper than a pool can pickle, with kombu's typed values. Raises ValueError."""
    value = from_json(raw)
    return loads(raw) if b"__type__" in raw else value


def check_envelope(payload: Any) -> None:
    """Check what kombu assumes. Raises TypeError that names the field."""
    _check(payload, ENVELOPE)
    _check(payload["properties"], PROPERTIES)


def _check(value: Any, types: dict[str, Any]) -> None:
    if not isinstance(value, dict):
        raise TypeError(f"not an object: {type(value).__name__}")
    for name, expected in types.items():
        if not isinstance(value.get(name), expected):
            raise TypeError(f"{name}: {type(value.get(name)).__name__}")


def check_task(message: Any) -> None:
    """Check what Celery assumes of a message that is a task. Raises the reason why Celery would fail."""
    if message.errors:
        raise message.errors[0][1]
    task, body = message.headers, None
    if message.content_type == JSON:
        body = message.parsed = decode(message.body)
    if isinstance(body, dict) and ("args" in body or "task" not in task):
        task = body | task  # protocol 1, or its mixture with 2
    elif "task" in task and message.content_type in RAW_OR_JSON and not _is_body(body):
        raise TypeError("body: not [args, kwargs, embed]")
    if "task" in task:
        _check(task, TASK)
        _check_values(task)
        task.update({name: _escaped(task[name]) for name in ESCAPED if task.get(name)})


def _escaped(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _is_body(body: Any) -> bool:
    match body:
        case [list(), dict(), None | dict()]:
            return True
    return False


def _check_values(task: dict[str, Any]) -> None:
    for name in LOGGED:
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
