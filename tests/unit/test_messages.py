"""The message this project builds is the one Celery itself would send."""

import base64
import json
import runpy
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from celery import Celery

from hip3_tasks.messages import CAPTURE_FOLLOWUP, task_message
from hip3_tasks.store import Keys
from tests.build import T0_MS, a_capture, a_signal

ROOT = Path(__file__).parents[2]
CAPTURE = a_capture(a_signal("xyz:BRK.B-x_1"), 3000)


@pytest.fixture
def app(redis_url: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Celery]:
    """Celery with this project's own settings, on this test's queue."""
    for key, value in {"REDIS_URL": redis_url, "NAME": name, "DATA_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(f"HIP3_{key}", value)
    app = Celery("test", set_as_current=False)
    app.config_from_object(SimpleNamespace(**runpy.run_path(str(ROOT / "celeryconfig.py"))))
    app.task(capture_followup, name=CAPTURE_FOLLOWUP)
    yield app
    app.close()


@pytest.fixture
def ours(keys: Keys) -> dict[str, Any]:
    return message(task_message(CAPTURE, queue=keys.queue, eta_ms=CAPTURE.due_at_ms))


@pytest.fixture
def theirs(app: Celery, client: redis.Redis, keys: Keys) -> dict[str, Any]:
    eta = datetime.fromtimestamp(CAPTURE.due_at_ms / 1000, UTC)
    arguments = (CAPTURE.signal_id, CAPTURE.offset_ms)
    app.tasks[CAPTURE_FOLLOWUP].apply_async(arguments, task_id=CAPTURE.task_id, eta=eta)
    (sent,) = client.lrange(keys.queue, 0, -1)
    return message(sent)


def capture_followup(signal_id: str, offset_ms: int) -> None:
    """Has the task's signature; nobody runs it."""


def message(data: bytes) -> dict[str, Any]:
    """A message with its body decoded."""
    found: dict[str, Any] = json.loads(data)
    return found | {"body": json.loads(base64.b64decode(found["body"]))}


def test_it_has_the_same_keys_at_every_level(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert _keys(ours) == _keys(theirs)


def test_it_has_the_same_values_but_for_who_sent_it(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    for message in ours, theirs:
        assert message["headers"].pop("origin").startswith("gen")
        assert len(message["properties"].pop("delivery_tag")) == 36
        # Celery answers to a queue of the sender's own; nobody here waits for an answer.
        message["properties"].pop("reply_to")
        eta = datetime.fromisoformat(message["headers"].pop("eta"))
        assert eta == datetime.fromtimestamp(CAPTURE.due_at_ms / 1000, UTC)
        # Ours leaves the time limit to the worker, whose own is the one Celery writes here.
        assert message["headers"].pop("timelimit") in ([None, None], [30, None])
    assert ours == theirs


def test_without_a_time_to_wait_for_it_runs_at_once(app: Celery, client: redis.Redis, keys: Keys) -> None:
    app.tasks[CAPTURE_FOLLOWUP].apply_async((CAPTURE.signal_id, CAPTURE.offset_ms))
    (sent,) = client.lrange(keys.queue, 0, -1)
    ours = message(task_message(CAPTURE, queue=keys.queue))
    assert ours["headers"]["eta"] is message(sent)["headers"]["eta"] is None
    assert _keys(ours) == _keys(message(sent))


def test_each_delivery_has_a_tag_of_its_own_and_each_capture_one_id(keys: Keys) -> None:
    first, second = (message(task_message(CAPTURE, queue=keys.queue)) for _ in range(2))
    assert first["headers"]["id"] == second["headers"]["id"] == f"xyz:BRK.B-x_1-{T0_MS}:3000"
    assert first["properties"]["delivery_tag"] != second["properties"]["delivery_tag"]


def test_a_worker_takes_it_as_the_task_it_is(app: Celery, keys: Keys, client: redis.Redis) -> None:
    client.lpush(keys.queue, task_message(CAPTURE, queue=keys.queue, eta_ms=CAPTURE.due_at_ms))
    with app.connection() as connection, connection.SimpleQueue(keys.queue) as queue:
        taken = queue.get(timeout=5)
        taken.ack()
    args, kwargs, _ = taken.payload
    assert (taken.headers["task"], args, kwargs) == (CAPTURE_FOLLOWUP, [CAPTURE.signal_id, 3000], {})


def _keys(value: Any) -> Any:
    """The keys of all dictionaries, and the length of all lists."""
    if isinstance(value, dict):
        return {key: _keys(inner) for key, inner in value.items()}
    return [_keys(inner) for inner in value] if isinstance(value, list) else None
