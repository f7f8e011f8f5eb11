"""Celery's remote commands, of which its own know nothing of batches: `inspect` and `control rate_limit`."""

from collections.abc import Collection
from heapq import nsmallest
from typing import Any

from celery.worker import control, state
from celery.worker.control import control_command, inspect_command

from workers.due_batches.task import DueBatchTask

MAX_LISTED = 500
"""Requests that an inspect command lists. The event loop waits meanwhile: 20 ms, and 0.8 s for 20,000."""

celery_rate_limit = control.rate_limit


@control_command(
    args=[("task_name", str), ("rate_limit", str)], signature="<task_name> <rate_limit (e.g., 5/s | 5/m | 5/h)>"
)
def rate_limit(worker: Any, task_name: str, rate_limit: str, **options: Any) -> Any:
    """Tell worker(s) to modify the rate limit for a task by type."""
    if isinstance(worker.app.tasks.get(task_name), DueBatchTask):
        return control.nok(f"refused: {task_name} runs in batches, which have no rate limit")
    return celery_rate_limit(worker, task_name, rate_limit, **options)


@inspect_command(alias="dump_schedule")
def scheduled(_: Any, **__: Any) -> list[dict[str, Any]]:
    """List of currently scheduled ETA/countdown tasks."""
    # Celery's own command lists timers, and a batch has only one.
    waiting = [request for request in tuple(state.scheduled_requests) if request.eta]
    return [
        {"eta": request and request.eta.isoformat(), "priority": 6, "request": info}
        for request, info in _first_due(waiting)
    ]


@inspect_command(alias="dump_reserved")
def reserved(_: Any, **__: Any) -> list[dict[str, Any]]:
    """List of currently reserved tasks, not including scheduled/active."""
    return [info for _, info in _first_due(set(state.reserved_requests) - set(state.active_requests))]


@inspect_command(alias="dump_active")
def active(_: Any, safe: bool = False, **__: Any) -> list[dict[str, Any]]:
    """List of tasks currently being executed."""
    return [info for _, info in _first_due(set(state.active_requests), safe=safe)]


def _first_due(requests: Collection[Any], **options: Any) -> list[tuple[Any, dict[str, Any]]]:
    """The tasks that are due first, each once and with what Celery shows; the last item counts those left out.

    Several messages of one task may be held: its publisher's, and copies for fear that the first is lost.
    """
    requests = {request.id: request for request in requests}.values()
    listed = nsmallest(MAX_LISTED, requests, key=lambda request: request.eta.timestamp() if request.eta else 0.0)
    infos = [(request, request.info(**options)) for request in listed]
    if more := len(requests) - len(listed):
        infos.append((None, {"id": "", "name": f"and {more:,} more", "args": [], "kwargs": {}}))
    return infos
