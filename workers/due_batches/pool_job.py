"""What a pool process does with a batch: run it, and report for each member as Celery's tracer does for a task."""

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

Call = tuple[Sequence[Any], dict[str, Any]]
"""The arguments of one member: args and kwargs."""
Member = tuple[str, Sequence[Any], dict[str, Any]]
"""Task id, args and kwargs."""
Report = tuple[bool, Any, float]
"""Whether it failed; the repr of its result, or what is known of its exception; the batch's runtime in s."""


def run_batch(name: str, members: Sequence[Member]) -> list[Report]:
    """Run the members of a batch. Raises what `run_many` raises, unless it is plain whose fault it is."""
    task = current_app.tasks[name]
    began_s = time.monotonic()
    try:
        answers = task.run_many([(args, kwargs) for _, args, kwargs in members])
    except Exception as error:
        if len(members) > 1:
            raise
        answers = [error]
    runtime_s = time.monotonic() - began_s
    return [_report(task, member, answer, runtime_s) for member, answer in zip(members, answers, strict=True)]


def unwrapped(error: BaseException) -> BaseException:
    """The exception itself, of one that came from another process."""
    return error.exc if isinstance(error, ExceptionWithTraceback) else error


def _report(task: Any, member: Member, answer: object, runtime_s: float) -> Report:
    task_id, args, kwargs = member
    if isinstance(answer, Exception):
        return True, _failure(task, member, answer), runtime_s
    result = saferepr(answer, task.resultrepr_maxsize)
    if logger.isEnabledFor(logging.INFO):
        said = {"id": task_id, "name": task.name, "args": args, "kwargs": kwargs}
        logger.info(LOG_SUCCESS, said | {"return_value": result, "runtime": runtime_s}, extra={"data": said})
    return False, result, runtime_s


def _failure(task: Any, member: Member, answer: Exception) -> Any:
    """Log it and send its signals as for a task that raised; what the parent is told of it."""
    task_id, args, kwargs = member
    context = Context(id=task_id, task=task.name, args=args, kwargs=kwargs, hostname=None, ignore_result=True)
    origin = answer.__traceback__
    try:
        raise answer
    except Exception as error:  # noqa: BLE001  whatever it is, this member has failed with it
        return TraceInfo(states.FAILURE, error).handle_error_state(task, context)
    finally:
        # It may be the answer to others as well; each raise makes its traceback longer.
        answer.__traceback__ = origin
