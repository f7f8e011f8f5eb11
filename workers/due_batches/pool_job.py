"""The job of a pool process: run a batch, and have Celery trace each member as it traces a task."""

import logging
import pickle  # nosec B403  # a pool process reads what its worker wrote
import time
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain, repeat
from typing import Any

from celery import Task, current_app, signals
from celery.app import trace
from celery.backends.base import DisabledBackend
from celery.utils.saferepr import saferepr

from workers.due_batches.task import DueBatchTask

BatchMember = tuple[str, Sequence[Any], dict[str, Any], bool, dict[str, Any], bytes]
"""Task id, args, kwargs, whether a success has consequences, and the rest of its request: fields of its own, and the
pickle of those that most requests have in common."""
MemberResult = tuple[bool, Any, float]
"""Whether it failed; the repr of its result, or Celery's record of its exception; the batch's runtime in s."""

SIGNALS = (signals.task_prerun, signals.task_postrun, signals.task_success)
HOOKS = ("before_start", "on_success", "after_return")
SUCCESSORS = ("callbacks", "chain", "chord")
SENT_APART = frozenset(("args", "id", "kwargs", "lang", "properties", "task"))
"""Fields of a request that a pool process is sent by themselves, or knows."""


class BatchClock:
    """The clock of a tracer: a member began when its batch began, and ended when its batch ended."""

    _instants_s: Iterator[float] = repeat(0.0)

    def set(self, began_s: float, ended_s: float) -> None:
        self._instants_s = chain((began_s,), repeat(ended_s))

    def __call__(self) -> float:
        return next(self._instants_s)


class Members:
    """Says in a worker what a pool process needs of each request, before it is due.

    A job of many members has to fit into the pipe to its process at once. So a field that follows from id and args is
    left out, and the fields that a request has in common with the one before are one object, which is pickled once.
    """

    def __init__(self, task: DueBatchTask) -> None:
        self._task = task
        self._last_common = b""

    def member(self, request: Any) -> BatchMember:
        *_, embedded = request._payload
        fields = request.request_dict | (embedded or {}) | {"ignore_result": request.ignore_result}
        common = {name: value for name, value in fields.items() if value is not None and name not in SENT_APART}
        stores_result = not request.ignore_result and not isinstance(self._task.backend, DisabledBackend)
        has_consequences = stores_result or any(common.get(name) for name in SUCCESSORS)
        derived = _derived(request.id, request.args)
        own = {name: common.pop(name) for name in ("eta", *derived) if name in common}
        own = {name: value for name, value in own.items() if derived.get(name) != value}
        pickled = pickle.dumps(common)
        if pickled != self._last_common:
            self._last_common = pickled
        return request.id, request.args, request.kwargs, has_consequences, own, self._last_common


def _derived(task_id: str, args: Sequence[Any]) -> dict[str, str]:
    """Fields as a caller usually sends them."""
    return {"root_id": task_id, "correlation_id": task_id, "argsrepr": repr(tuple(args))}


def request_of(member: BatchMember, task: DueBatchTask) -> dict[str, Any]:
    """The fields of a member's request, in a pool process."""
    task_id, args, _, _, own, common = member
    common_fields: dict[str, Any] = pickle.loads(common)  # nosec B301
    return _derived(task_id, args) | common_fields | own | {"id": task_id, "task": task.name}


def run_batch(name: str, members: Sequence[BatchMember]) -> list[MemberResult]:
    """Run the members of a batch. Raises what `run_many` raises, unless the batch has only one member."""
    task = current_app.tasks[name]
    began_s = time.monotonic()
    try:
        results = task.run_calls([(args, kwargs) for _, args, kwargs, *_ in members])
    except Exception as error:
        if len(members) > 1:
            raise
        results = [error]
    ended_s = time.monotonic()
    is_observed = _is_observed(task)
    return [
        _traced(task, member, result, began_s, ended_s)
        if is_observed or isinstance(result, Exception) or member[3]
        else _logged(task, member, result, ended_s - began_s)
        for member, result in zip(members, results, strict=True)
    ]


def _is_observed(task: DueBatchTask) -> bool:
    """Whether anything is told of each task; instrumentations connect to signals, or wrap the task's call."""
    return (
        any(signal.receivers for signal in SIGNALS)
        or type(task).__call__ is not Task.__call__
        or "run" in vars(task)
        or any(trace.task_has_custom(task, hook) for hook in HOOKS)
    )


def _logged(task: DueBatchTask, member: BatchMember, result: object, runtime_s: float) -> MemberResult:
    """Write the log line of a success, all that is left to do then; Celery's tracer would take 20 us."""
    task_id, args, kwargs, *_ = member
    text = saferepr(result, task.resultrepr_maxsize)
    if trace.logger.isEnabledFor(logging.INFO):
        fields = {"id": task_id, "name": task.name, "args": args, "kwargs": kwargs}
        trace.info(trace.LOG_SUCCESS, fields | {"return_value": text, "runtime": runtime_s})
    return False, text, runtime_s


def _traced(task: DueBatchTask, member: BatchMember, result: object, began_s: float, ended_s: float) -> MemberResult:
    """Send signals, call hooks, store results and write the log as for any task that returned or raised this."""
    task_id, args, kwargs, *_ = member
    tracer, clock = _tracer(task)
    clock.set(began_s, ended_s)
    origin = getattr(result, "__traceback__", None)
    with task.known_result(result):
        answer, problem, _, text = tracer(task_id, args, kwargs, request_of(member, task))
    if isinstance(result, Exception):
        # Other members may share the exception, and each raise makes its traceback longer.
        result.__traceback__ = origin
    return (True, answer, ended_s - began_s) if problem else (False, text, ended_s - began_s)


@cache
def _tracer(task: DueBatchTask) -> tuple[Any, BatchClock]:
    clock = BatchClock()
    # By its module: instrumentations put their own function there.
    return trace.build_tracer(task.name, task, app=task.app, monotonic=clock), clock
