"""What a worker says of its own health: at each heartbeat of Celery's, which stops when the connection is lost."""

from pathlib import Path

from celery.worker import state

from hip3_tasks.health import OVERDUE_RED_MS, note


def note_health(health_dir: Path, *, at_ms: int) -> None:
    """Red when a task that was due long ago is still in this worker's hands."""
    due_at_ms = [int(task.eta.timestamp() * 1000) for task in tuple(state.reserved_requests) if task.eta]
    overdue_ms = at_ms - min(due_at_ms, default=at_ms)
    stuck = [f"a capture is {overdue_ms // 1000} s overdue here"] if overdue_ms > OVERDUE_RED_MS else []
    note(health_dir / "worker", stuck)
