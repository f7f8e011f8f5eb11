"""The message this project builds is the one Celery itself would send."""

import base64
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from celery.utils.saferepr import saferepr
from hypothesis import given
from hypothesis import strategies as st
from kombu import Message

from hip3_tasks.celery import App, Loader
from hip3_tasks.domain.capture import MAX_OFFSET_MS, Capture
from hip3_tasks.domain.market import COIN
from hip3_tasks.store.keys import Keys
from hip3_tasks.store.task_message import CAPTURE_FOLLOWUP, task_message
from tests.support.factories import T0_MS, a_capture, a_signal

ROOT = Path(__file__).parents[3]
CAPTURE = a_capture(a_signal("xyz:BRK.B-x_1"), 3000)
ODD = [
    CAPTURE,
    a_capture(a_signal("0:+"), 1),
    a_capture(a_signal("a" * 16 + ":" + "-._+" * 12), MAX_OFFSET_MS),
    a_capture(a_signal("xyz:TSLA", at_ms=T0_MS - 358), 1000),  # due on a full second, which has a shorter text
]

captures = st.builds(
    lambda coin, at_ms, offset_ms: Capture.from_ids(f"{coin}-{at_ms}", offset_ms),
    st.from_regex(COIN, fullmatch=True),
    st.integers(10**12, 10**13 - 1),
    st.integers(1, MAX_OFFSET_MS),
)


@pytest.fixture
def app(redis_url: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Celery]:
    """Celery with this project's own settings, on this test's queue."""
    for key, value in {"REDIS_URL": redis_url, "NAME": name, "DATA_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(f"HIP3_{key}", value)
    app = App("test", loader=Loader, set_as_current=False)
    app.task(capture_followup, name=CAPTURE_FOLLOWUP)
    yield app
    app.close()


def capture_followup(signal_id: str, offset_ms: int) -> None:
    """Has the task's signature; it never runs."""


def apply_async(app: Celery, capture: Capture, *, waits: bool = True) -> None:
    """Publish a capture as Celery does."""
    eta = datetime.fromtimestamp(capture.due_at_ms / 1000, UTC) if waits else None
    arguments = (capture.signal_id, capture.offset_ms)
    app.tasks[CAPTURE_FOLLOWUP].apply_async(arguments, task_id=capture.task_id, eta=eta)


def ours(capture: Capture, keys: Keys, *, waits: bool = True) -> dict[str, Any]:
    return message(task_message(capture, queue=keys.queue, eta_ms=capture.due_at_ms if waits else None))


def message(data: bytes) -> dict[str, Any]:
    """A message with its body decoded."""
    fields: dict[str, Any] = json.loads(data)
    return fields | {"body": json.loads(base64.b64decode(fields["body"], validate=True))}


def without_sender(message: dict[str, Any]) -> dict[str, Any]:
    """A message without the fields that differ between senders."""
    assert len(message["properties"].pop("delivery_tag")) == 36
    # Celery answers to the sender's own queue; this program waits for no answer.
    assert isinstance(message["properties"].pop("reply_to"), str)
    # This program omits the time limit; Celery writes the worker's default, which has the same effect.
    assert message["headers"].pop("timelimit") in ([None, None], [30, None])
    return message


@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize("capture", ODD, ids=lambda capture: capture.member)
def test_its_fields_and_types_equal_those_of_celery(
    app: Celery, server_client: redis.Redis, keys: Keys, capture: Capture, waits: bool
) -> None:
    apply_async(app, capture, waits=waits)
    celery = without_sender(message(server_client.rpop(keys.queue)))
    mine = without_sender(ours(capture, keys, waits=waits))
    assert mine == celery
    assert _types(mine) == _types(celery)


@pytest.mark.parametrize("waits", [True, False])
def test_kombu_reads_it_as_a_message_of_celery(
    app: Celery, server_client: redis.Redis, keys: Keys, waits: bool
) -> None:
    apply_async(app, CAPTURE, waits=waits)
    celery = _received(app, keys)
    server_client.lpush(
        keys.queue, task_message(CAPTURE, queue=keys.queue, eta_ms=CAPTURE.due_at_ms if waits else None)
    )
    mine = _received(app, keys)
    assert mine.payload == celery.payload
    assert mine.payload[0] == [CAPTURE.signal_id, 3000]
    for part in "content_type", "content_encoding", "delivery_info":
        assert getattr(mine, part) == getattr(celery, part)
    built, expected = (
        without_sender({"headers": dict(sent.headers), "properties": dict(sent.properties)}) for sent in (mine, celery)
    )
    assert built == expected


@given(captures)
def test_a_coin_of_any_name_arrives_unchanged(capture: Capture) -> None:
    fields = message(task_message(capture, queue="captures", eta_ms=capture.due_at_ms))
    arguments = (capture.signal_id, capture.offset_ms)
    headers = fields["headers"]
    assert fields["body"][:2] == [list(arguments), {}]
    assert headers["argsrepr"] == repr(arguments) == saferepr(arguments)
    assert headers["id"] == headers["root_id"] == fields["properties"]["correlation_id"] == capture.task_id
    assert datetime.fromisoformat(headers["eta"]).timestamp() * 1000 == pytest.approx(capture.due_at_ms, abs=0.01)


@given(st.text(min_size=1).filter(str.isprintable))
def test_a_queue_of_any_name_is_routed_to(queue: str) -> None:
    assert message(task_message(CAPTURE, queue=queue))["properties"]["delivery_info"]["routing_key"] == queue


def test_each_delivery_has_a_tag_of_its_own_and_each_capture_one_id(keys: Keys) -> None:
    sent = [ours(CAPTURE, keys) for _ in range(1000)]
    assert {fields["headers"]["id"] for fields in sent} == {f"xyz:BRK.B-x_1-{T0_MS}:3000"}
    assert len({fields["properties"]["delivery_tag"] for fields in sent}) == 1000


def test_another_process_has_its_own_origin_and_tags(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    here = ours(CAPTURE, keys)
    monkeypatch.setattr(os, "getpid", lambda: 4711)  # as in a child that was forked after the first message
    there = ours(CAPTURE, keys)
    assert there["headers"]["origin"].startswith("gen4711@")
    assert there["properties"]["delivery_tag"][:-12] != here["properties"]["delivery_tag"][:-12]


def _received(app: Celery, keys: Keys) -> Message:
    """The message in the queue, as a consumer of unmodified kombu receives it."""
    with app.connection() as connection, connection.SimpleQueue(keys.queue) as queue:
        taken = queue.get(timeout=5)
        taken.ack()
        return taken


def _types(value: Any) -> Any:
    """The shape of a message: its keys in their order, its types, the length of its lists."""
    if isinstance(value, dict):
        return [(key, _types(inner)) for key, inner in value.items()]
    return [_types(inner) for inner in value] if isinstance(value, list) else type(value)
