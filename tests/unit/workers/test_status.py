"""A worker is red while it holds a task that was due long ago."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from celery.worker import state

from hip3_tasks.health import read_health_file
from tests.support.factories import T0_MS
from workers.status import write_health


def due(at_ms: int) -> SimpleNamespace:
    return SimpleNamespace(eta=datetime.fromtimestamp(at_ms / 1000, UTC))


@pytest.mark.parametrize(
    ("due_at_ms", "problems"),
    [(T0_MS - 12_000, ["a capture is 12 s overdue here"]), (T0_MS - 9_000, []), (T0_MS + 500, [])],
)
def test_a_stuck_task_is_red(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, due_at_ms: int, problems: list[str]
) -> None:
    monkeypatch.setattr(state, "reserved_requests", [due(T0_MS), due(due_at_ms), SimpleNamespace(eta=None)])
    write_health(tmp_path, at_ms=T0_MS)
    assert read_health_file(tmp_path / "worker") == problems


def test_a_directory_that_is_gone_does_not_end_the_worker(tmp_path: Path) -> None:
    write_health(tmp_path / "gone", at_ms=T0_MS)
