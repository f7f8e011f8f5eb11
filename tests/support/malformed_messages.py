"""Broker messages: valid ones, and ones that could stop a worker or make it run a wrong task."""

import base64
import json
from typing import Any

from hip3_tasks.domain.capture import Capture
from hip3_tasks.store.task_message import CAPTURE_FOLLOWUP, task_message
from tests.support.factories import T0_MS


def task(number: int, *, queue: str, eta_ms: int | None = None) -> bytes:
    return task_message(Capture.from_ids(f"xyz:TSLA-{T0_MS + number}", 1000), queue=queue, eta_ms=eta_ms)


def encoded(body: Any) -> str:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return base64.b64encode(raw).decode()


def malformed() -> dict[str, Any]:
    """Malformed messages, each as a whole message or as a change of a valid one: a path and a value."""
    return {
        "empty": b"",
        "garbage": b"\x00\xff not json",
        "half": b'{"body": "',
        "two values": b"{} {}",
        "null": b"null",
        "list": b"[]",
        "number": b"7",
        "infinite": b"1e999",
        "text": b'"text"',
        "empty object": b"{}",
        "forged registration": b'{"headers":{}},"","elsewhere"],[{}',
        "invalid utf-8": b'{"headers": {"task": "\xff"}, "properties": {"delivery_info": {}}}',
        "unknown typed value": b'{"headers": {"a": {"__type__": "x", "__value__": 1}}, "properties": {}}',
        "deep nesting": b'{"headers": {"x": %s%s}}' % (b"[" * 5000, b"]" * 5000),
        "no properties": ("properties", None),
        "properties a list": ("properties", []),
        "no headers": ("headers", None),
        "headers a text": ("headers", "text"),
        "delivery info a text": ("properties.delivery_info", "text"),
        "body encoding a number": ("properties.body_encoding", 7),
        "body encoding unknown": ("properties.body_encoding", "rot13"),
        "correlation id an object": ("properties.correlation_id", {}),
        "reply to a list": ("properties.reply_to", []),
        "no body": ("body", None),
        "empty body": ("body", ""),
        "body a list": ("body", [[], {}, {}]),
        "body not base64": ("body", "a"),
        "body not json": ("body", encoded(b"{")),
        "body a number": ("body", encoded(7)),
        "body a text of three": ("body", encoded("abc")),
        "body of two": ("body", encoded([[], {}])),
        "body without args": ("body", encoded({"a": 1, "b": 2, "c": 3})),
        "args an object": ("body", encoded([{}, {}, {}])),
        "kwargs a list": ("body", encoded([[], [], {}])),
        "embed a text": ("body", encoded([[], {}, "x"])),
        "args nested deeply": ("body", encoded(b'[["x", %s%s], {}, {}]' % (b"[" * 700, b"]" * 700))),
        "content type a list": ("content-type", ["application/json"]),
        "content type missing": ("content-type", None),
        "content type raw": ("content-type", "application/data"),
        "content encoding a number": ("content-encoding", 8),
        "unknown compression": ("headers.compression", "application/x-unheard-of"),
        "task a list": ("headers.task", ["x"]),
        "task null": ("headers.task", None),
        "id null": ("headers.id", None),
        "id a list": ("headers.id", ["x"]),
        "id a number": ("headers.id", 7),
        "id of two lines": ("headers.id", "x] received\n[2026-11-22 00:00:00,000: ERROR/MainProcess] forged"),
        "task with an escape sequence": ("headers.task", "x\x1b]0;forged\x07"),
        "shadow with a carriage return": ("headers.shadow", "x\rforged"),
        "eta of two lines": ("headers.eta", "tomorrow\nforged"),
        "eta empty": ("headers.eta", ""),
        "eta a number": ("headers.eta", 7),
        "eta false": ("headers.eta", False),
        "expires empty": ("headers.expires", ""),
        "expires an object": ("headers.expires", {}),
        "retries a text": ("headers.retries", "many"),
        "retries a fraction": ("headers.retries", 0.5),
        "timelimit a number": ("headers.timelimit", 7),
        "timelimit a text": ("headers.timelimit", "ab"),
        "timelimit of texts": ("headers.timelimit", ["1", "2"]),
        "timelimit of three": ("headers.timelimit", [1, 2, 3]),
        "timelimit negative": ("headers.timelimit", [-1, None]),
        "timelimit infinite": ("headers.timelimit", [float("inf"), None]),
        "shadow a list": ("headers.shadow", []),
        "root id an object": ("headers.root_id", {}),
        "group a number": ("headers.group", 3),
        "stamped headers a number": ("headers.stamped_headers", 1),
        "stamped headers of lists": ("headers.stamped_headers", [[]]),
        "stamps a list": ("headers.stamps", [1]),
        "protocol 1 without an id": protocol_1(id=None),
        "protocol 1 with an id of two lines": protocol_1(id="old\nforged"),
        "protocol 1 with a timelimit of one": protocol_1(timelimit=[1]),
    }


def foreign() -> dict[str, Any]:
    """Changes that Celery itself refuses."""
    return {
        "unknown task": ("headers.task", "unknown.task"),
        "pickle": ("content-type", "application/x-python-serialize"),
        "yaml": ("content-type", "application/x-yaml"),
        "eta not a date": ("headers.eta", "tomorrow"),
        "eta beyond time": ("headers.eta", "9999-12-31T23:59:59-23:00"),
        "eta before time": ("headers.eta", "0001-01-01T00:00:00+14:00"),
        "expired": ("headers.expires", "2001-01-01T00:00:00+00:00"),
        "expires not a date": ("headers.expires", "never"),
        "wrong arguments": ("body", encoded([[1, 2, 3, 4], {}, {}])),
        "no task": ("headers", {}),
        "not a task": protocol_1(task=None),
    }


def protocol_1(**changes: Any) -> bytes:
    body = {"task": CAPTURE_FOLLOWUP, "id": "old", "args": ["xyz:TSLA-1", 1000], "kwargs": {}} | changes
    message = json.loads(task(0, queue="q"))
    kept = {key: value for key, value in body.items() if value is not None}
    return json.dumps(message | {"headers": {}, "body": encoded(kept)}).encode()


def changed(name: str, change: Any) -> bytes:
    if isinstance(change, bytes):
        return change
    path, value = change
    message = json.loads(task(0, queue=name))
    inner: dict[str, Any] = message
    *parents, last = path.split(".")
    for parent in parents:
        inner = inner[parent]
    inner[last] = value
    return json.dumps(message).encode()
