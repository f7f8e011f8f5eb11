"""The job of a pool process: run a batch, and log and return the result of each member as Celery does for a task."""

import logging
import time
from collections.abc import Sequence
from typing import Any

from billiard.einfo import ExceptionWithTraceback
from celery import current_app, states
from celery.app.task import Context
from celery.app.trace import LOG_SUCCESS, TraceInfo
from celery.utils.log import get_logger
from celery.utils.saferepr import saferepr

logger = get_logger("celery.app.trace")

CallArgs = tuple[Sequence[Any], dict[str, Any]]
"""The args and kwargs of one member."""
BatchMember = tuple[str, Sequence[Any], dict[str, Any]]
"""Task id, args and kwargs."""
MemberResult = tuple[bool, Any, float]
"""Whether it failed; the repr of its result, or Celery's record of its exception; the batch's runtime in s."""


def run_batch(name: str, members: Sequence[BatchMember]) -> list[MemberResult]:
    """Run the members of a batch. Raises what `run_many` raises, unless the batch has only one member."""
    task = current_app.tasks[name]
    began_s = time.monotonic()
    try:
        results = task.run_many([(args, kwargs) for _, args, kwargs in members])
    except Exception as error:
        if len(members) > 1:
            raise
        results = [error]
    runtime_s = time.monotonic() - began_s
    return [_member_result(task, member, result, runtime_s) for member, result in zip(members, results, strict=True)]


def unwrap(error: BaseException) -> BaseException:
    """The original exception of one that another process raised."""
    return error.exc if isinstance(error, ExceptionWithTraceback) else error


def _member_result(task: Any, member: BatchMember, result: object, runtime_s: float) -> MemberResult:
    task_id, args, kwargs = member
    if isinstance(result, Exception):
        return True, _failure(task, member, result), runtime_s
    text = saferepr(result, task.resultrepr_maxsize)
    if logger.isEnabledFor(logging.INFO):
        log_fields = {"id": task_id, "name": task.name, "args": args, "kwargs": kwargs}
        logger.info(LOG_SUCCESS, log_fields | {"return_value": text, "runtime": runtime_s}, extra={"data": log_fields})
    return False, text, runtime_s


def _failure(task: Any, member: BatchMember, error: Exception) -> Any:
    """Log the exception, send its signals as for a task that raised, and return the record for the parent process."""
    task_id, args, kwargs = member
    context = Context(id=task_id, task=task.name, args=args, kwargs=kwargs, hostname=None, ignore_result=True)
    origin = error.__traceback__
    try:
        raise error
    except Exception as raised:  # noqa: BLE001  any exception is the failure of this member
        return TraceInfo(states.FAILURE, raised).handle_error_state(task, context)
    finally:
        # Other members may share the exception, and each raise makes its traceback longer.
        error.__traceback__ = origin
