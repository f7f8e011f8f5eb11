"""The one task of this project."""

import gc
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from logging import Logger
from pathlib import Path
from typing import Any

import redis
import structlog
from celery import Celery
from celery._state import connect_on_app_finalize
from celery.signals import (
    after_setup_logger,
    heartbeat_sent,
    task_revoked,
    worker_init,
    worker_process_init,
    worker_ready,
)
from celery.worker import state

from hip3_tasks import settings
from hip3_tasks.clock import wall_ms
from hip3_tasks.domain.capture import Capture
from hip3_tasks.domain.capture_result import CaptureResult
from hip3_tasks.errors import BadCapture, Hip3Error, JournalError
from hip3_tasks.logs import configure_logs
from hip3_tasks.run_file import located
from hip3_tasks.store.store import Store
from hip3_tasks.store.task_message import CAPTURE_FOLLOWUP
from workers.capturer import Capturer
from workers.due_batches.task import CallArgs, DueBatchTask
from workers.outage_log import OutageFilter
from workers.status import TIMEOUT_S, write_health, write_status

log = structlog.get_logger()


class CaptureFollowup(DueBatchTask):
    """Record the market of a signal as of its time + offset_ms; the task's result is the outcome."""

    name = CAPTURE_FOLLOWUP
    throws = (Hip3Error, redis.RedisError)  # logged without a traceback

    def run_many(self, calls: Sequence[CallArgs]) -> list[object]:
        wanted = [_wanted(call) for call in calls]
        captures = [want for want in wanted if isinstance(want, Capture)]
        answers = dict(zip(captures, _capturer().capture_all(captures), strict=True))
        for capture, answer in answers.items():
            if isinstance(answer, Exception):
                is_outage = isinstance(answer, redis.RedisError | JournalError)
                error = {"outage": answer} if is_outage else {"error": str(answer)}
                log.error("followup_failed", signal_id=capture.signal_id, offset_ms=capture.offset_ms, **error)
            else:
                log.debug("followup", signal_id=capture.signal_id, offset_ms=capture.offset_ms, outcome=str(answer))
        return [_on_the_wire(answers[want] if isinstance(want, Capture) else want) for want in wanted]


@connect_on_app_finalize
def _register(app: Celery) -> None:
    """Register the task with each copy of the app: a spawned pool process has its own copy."""
    app.register_task(CaptureFollowup())


def _wanted(call: CallArgs) -> Capture | BadCapture:
    args, kwargs = call
    try:
        return Capture.from_ids(*args, **kwargs)
    except BadCapture as error:
        return error
    except TypeError as error:
        return BadCapture(f"expected signal_id and offset_ms: {error}")


def _on_the_wire(answer: CaptureResult | Exception) -> str | Exception:
    return answer if isinstance(answer, Exception) else str(answer)


@cache
def _capturer() -> Capturer:
    """The capturer of this process, made after the fork."""
    return Capturer.from_settings(located(settings.load()))


@cache
def _health_dir() -> Path | None:
    return settings.load().health_dir


@after_setup_logger.connect
def _configure_logs(logger: Logger, logfile: str | None, **_: object) -> None:
    """Log to where Celery's log goes, in the main process and in each pool process that is not a fork of it."""
    configure_logs(settings.load().log_level, file=logfile)
    outage_filter = OutageFilter()
    for handler in logger.handlers:
        handler.addFilter(outage_filter)


@worker_init.connect
def _keep_command_line(**_: object) -> None:
    """Let SIGHUP restart the worker: Celery runs `sys.argv` again, where `python -m celery` has become a file."""
    sys.argv[:] = sys.orig_argv[1:]


@worker_process_init.connect
def _make_ready(**_: object) -> None:
    _capturer().make_ready()
    gc.freeze()


@worker_ready.connect
def _disable_gc(**_: object) -> None:
    """Disable the garbage collector: each search through the many waiting requests, without cycles, delayed all."""
    gc.collect()
    gc.freeze()
    gc.disable()


@heartbeat_sent.connect
def _collect_when_idle(**_: object) -> None:
    """Collect garbage, mostly of failures, every two seconds while no request waits."""
    if not state.requests:
        gc.collect()


@cache
def _store() -> Store:
    """The store of the main process, which has captures to hand out and does not wait."""
    return Store.from_settings(located(settings.load()), timeout_s=TIMEOUT_S)


@task_revoked.connect
def _set_aside(request: Any, expired: bool, **_: object) -> None:
    """Set a revoked capture aside, and log it once. If Redis is away, its next copy is discarded and does so."""
    with suppress(BadCapture, redis.RedisError):
        capture = Capture.from_task_id(request.id)
        if not expired and _store().pending.revoke(capture):
            log.warning(
                "capture_revoked",
                signal_id=capture.signal_id,
                offset_ms=capture.offset_ms,
                way_out=f"hip3 recapture {capture.signal_id}",
            )


@worker_ready.connect
def _start_status(sender: Any, **_: object) -> None:
    store = _store()
    with suppress(redis.RedisError):
        store.remove_silent_workers(at_ms=wall_ms())
    write_status(store, sender, at_ms=wall_ms())
    heartbeat_sent.connect(lambda **_: write_status(store, sender, at_ms=wall_ms()), weak=False)


@heartbeat_sent.connect
def _write_health(**_: object) -> None:
    if health_dir := _health_dir():
        write_health(health_dir, at_ms=wall_ms())
