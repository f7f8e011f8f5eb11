"""A consumer strategy for tasks that fall due together: everything due goes to the pool as one job.

Celery gives each countdown task a timer and a pool job of its own, fires ten timers a turn, and acknowledges one by
one; of a hundred tasks for one instant the last runs a quarter of a second late. A task opts in to this strategy by
its base class, `DueBatchTask`, and says how to run many at once.

The laws:
- A request waits in one heap until it is due, by the monotonic clock from its receipt on. Then all that is due is
  handed over as one job, split over the idle processes when it is large. When no process is idle, the first one to be
  so takes all that has come together meanwhile; a few ms of pause follow each job, the more the larger it was.
- Each member stays a Celery task of its own: received, started, succeeded and failed events, revoke and expires,
  `inspect scheduled | reserved | active`, log lines with its id. Its runtime is that of its batch.
- A member that answers with an exception fails alone, as any Celery task does.
- A job that is lost or raises fails nobody: its members run again at once, each alone, and only what fails alone has
  failed, as any Celery task does. A request with time limits of its own runs alone from the start.
- A job is acknowledged in one round-trip when it is done; a worker that dies before that has acknowledged nothing.
- When the connection is lost, what no process has accepted is let go of and given back through the next connection.
  When the worker is asked to end, what is not yet in the pool is given back before anything else is done.
- Growing the pool is asked for after everything was handed over that could be, and counts jobs, not their members.
- Not kept: rate limits, and the signals and hooks of a task that runs well (`task_prerun`, `on_success` and so on).
  Pools other than prefork run such a task one by one, by Celery's default strategy.
"""

import logging
import math
import time
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import Any
from weakref import ref

from celery import Task, signals
from celery.app.trace import LOG_RECEIVED
from celery.exceptions import InvalidTaskError, Terminated
from celery.utils.imports import symbol_by_name
from celery.utils.log import get_logger
from celery.worker import state, strategy
from celery.worker.control import inspect_command
from celery.worker.request import create_request_cls
from kombu.asynchronous.timer import to_timestamp

from workers.due_batches.pool_job import Call, run_batch, unwrapped

logger = get_logger(__name__)

SPLIT_FROM = 250
"""Fewer members than this are not worth a second process."""
PAUSE_S, LONGEST_PAUSE_S = 0.001, 0.020
"""Before more is handed over: for each member just handed over, and at most. So jobs grow with the rate of tasks."""
PATIENCE_S = 0.05
"""How long what is due may wait for a process before the pool is asked to grow."""
EVENTS_AT_ONCE = 1_000
"""Events go out once a turn of the loop, not each two dozen of them in a round-trip of their own."""


class DueBatchTask(Task):
    """A task whose requests run in batches. Subclasses say how in `run_many`; a single call is a batch of one."""

    abstract = True
    Strategy = "workers.due_batches.strategy:due_batches"
    max_batch = 500

    def run_many(self, calls: Sequence[Call]) -> Sequence[object]:
        """The answer to each call (args, kwargs), in order: its result, or the exception that it alone fails with."""
        raise NotImplementedError(f"{type(self).__name__} does not say how to run many")

    def run(self, *args: Any, **kwargs: Any) -> object:
        (answer,) = self.run_many([(args, kwargs)])
        if isinstance(answer, Exception):
            raise answer
        return answer


def due_batches(task: DueBatchTask, app: Any, consumer: Any) -> Any:
    """What Celery calls for each task at each connection: the handler of its messages."""
    if not consumer.pool.uses_semaphore:
        return strategy.default(task, app, consumer)
    return DueBatches(task, app, consumer)


class DueBatches:
    """The requests of one task that came by one connection."""

    def __init__(self, task: DueBatchTask, app: Any, consumer: Any) -> None:
        self._task, self._app, self._consumer = task, app, consumer
        self._events = consumer.event_dispatcher
        self._events.buffer_limit = EVENTS_AT_ONCE
        self._request_class = create_request_cls(
            symbol_by_name(task.Request), task, consumer.pool, consumer.hostname, self._events, app=app
        )
        # Asked for each request, and looked up in all settings each time.
        self._utc, self._timezone = app.uses_utc_timezone(), app.timezone
        self._request_class._tzlocal = app.conf.timezone
        self._semaphore = consumer.controller.semaphore
        self._number = count()
        self._waiting: list[tuple[float, int, Any]] = []
        self._alarm: Any = None
        self._alarm_at_s, self._rests_until_s = math.inf, 0.0
        self._due: deque[tuple[float, Any]] = deque()
        self._alone: deque[tuple[float, Any]] = deque()
        self._jobs: dict[int, list[Any]] = {}
        self._is_in_line = self._has_asked_for_more = False
        before = consumer.strategies.get(task.name)
        if isinstance(before, DueBatches):
            before.let_go(consumer.connection.default_channel.qos)

    # Receiving

    def __call__(self, message: Any, body: Any, ack: Any, reject: Any, callbacks: Any) -> None:
        """Take in one message. Raises InvalidTaskError, upon which Celery rejects it."""
        request = self._request(message, body, ack, reject)
        due_s = self._due_s(request)
        self._announce(request)
        if self._is_revoked(request):
            return
        if request.eta:
            self._consumer.qos.increment_eventually()
        state.task_scheduled(request)
        heappush(self._waiting, (due_s, next(self._number), request))
        self._set_alarm()

    def _request(self, message: Any, body: Any, ack: Any, reject: Any) -> Any:
        try:
            if "args" in message.payload:
                body, headers, decoded, utc = strategy.hybrid_to_proto2(message, message.payload)
            elif body is not None:
                body, headers, decoded, utc = strategy.proto1_to_proto2(message, body)
            else:
                body, headers, decoded, utc = message.body, message.headers, False, self._utc
            return self._request_class(
                message,
                on_ack=ack,
                on_reject=reject,
                app=self._app,
                hostname=self._consumer.hostname,
                eventer=self._events,
                task=self._task,
                connection_errors=self._consumer.connection_errors,
                body=body,
                headers=headers,
                decoded=decoded,
                utc=utc,
                maybe_iso8601=_instant,
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InvalidTaskError(f"not a task message: {error!r}") from error

    def _due_s(self, request: Any) -> float:
        if not request.eta:
            return time.monotonic()
        try:
            return float(to_timestamp(request.eta, self._timezone))
        except (OverflowError, ValueError) as error:
            raise InvalidTaskError(f"invalid ETA {request.eta!r}: {error}") from error

    def _announce(self, request: Any) -> None:
        if logger.isEnabledFor(logging.INFO):
            said = {"id": request.id, "name": request.name, "args": request.argsrepr, "kwargs": request.kwargsrepr}
            said["eta"] = request.eta
            logger.info(LOG_RECEIVED, said, extra={"data": said})
        signals.task_received.send(sender=self._consumer, request=request)
        if not self._events.enabled:
            return
        request.send_event(
            "task-received",
            name=request.name,
            args=request.argsrepr,
            kwargs=request.kwargsrepr,
            root_id=request.root_id,
            parent_id=request.parent_id,
            retries=request.request_dict.get("retries", 0),
            eta=request.eta and request.eta.isoformat(),
            expires=request.expires and request.expires.isoformat(),
        )

    def _is_revoked(self, request: Any) -> bool:
        asked = request.expires or request.id in state.revoked or request.stamped_headers
        return bool(asked and request.revoked())

    # Waiting

    def _set_alarm(self) -> None:
        at_s = max(self._waiting[0][0], self._rests_until_s) if self._waiting else math.inf
        if at_s < self._alarm_at_s:
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm_at_s = at_s
            self._alarm = self._consumer.timer.call_after(max(0.0, self._alarm_at_s - time.monotonic()), self._ring)

    def _ring(self) -> None:
        self._alarm, self._alarm_at_s = None, math.inf
        now_s, rung, scheduled = time.monotonic(), [], 0
        while self._waiting and self._waiting[0][0] <= now_s:
            due_s, _, request = heappop(self._waiting)
            scheduled += request.eta is not None
            if not self._is_revoked(request):
                rung.append(request)
                (self._alone if any(request.time_limits) else self._due).append((due_s, request))
        self._rests_until_s = now_s + min(PAUSE_S * len(rung), LONGEST_PAUSE_S)
        self._hand_over()
        self._set_alarm()
        # The pool's pipes are written to when this turn of the loop ends: what can wait until then does.
        self._consumer.call_soon(self._account_for, rung, scheduled)

    def _account_for(self, rung: list[Any], scheduled: int) -> None:
        self._consumer.qos.decrement_eventually(scheduled)
        for request in rung:
            state.task_reserved(request)

    def let_go(self, qos: Any, *, in_pool: bool = True) -> None:
        """Forget what no process has accepted and give it back: its connection is gone, or its worker about to end."""
        if self._alarm is not None:
            self._alarm.cancel()
        held: list[Any] = [waiting[-1] for waiting in (*self._waiting, *self._due, *self._alone)]
        if in_pool:
            held += [request for job in self._jobs.values() for request in job if request.worker_pid is None]
        self._waiting, self._due, self._alone = [], deque(), deque()
        self._is_in_line = False
        if held and hasattr(qos, "restore_many"):
            qos.restore_many([request.message.delivery_tag for request in held])

    # Handing over

    @property
    def members(self) -> int:
        """Requests that are due: in a process, or waiting for one."""
        return len(self._due) + len(self._alone) + sum(map(len, self._jobs.values()))

    @property
    def jobs(self) -> int:
        """Jobs in the pool, and jobs that have waited for it longer than patience allows."""
        late_s = time.monotonic() - PATIENCE_S
        is_late = any(lane and lane[0][0] < late_s for lane in (self._due, self._alone))
        waiting = math.ceil(len(self._due) / self._task.max_batch) + len(self._alone)
        return len(self._jobs) + (waiting if is_late else 0)

    def _hand_over(self) -> None:
        """Give each idle process a job; stand in line for the next process when something is left."""
        while (self._due or self._alone) and not self._is_in_line and self._consumer.pool.active:
            self._is_in_line = True
            self._semaphore.acquire(self._submit)
        if self._is_in_line and not self._has_asked_for_more:
            self._has_asked_for_more = True
            self._consumer.timer.call_after(PATIENCE_S, self._ask_for_more)

    def _ask_for_more(self) -> None:
        self._has_asked_for_more = False
        if self._is_in_line:
            # Celery's default strategy tells the autoscaler of a task when it is received, and never of a countdown.
            for callback in self._consumer.on_task_message:
                callback(None)
            self._hand_over()

    def _submit(self) -> None:
        """Put the next job into the pool; the semaphore has just let it pass."""
        self._is_in_line = False
        requests = self._next_members()
        if not requests or not self._consumer.pool.active:
            self._semaphore.release()
            return
        number = next(self._number)
        self._jobs[number] = requests
        alone = requests[0] if len(requests) == 1 else None
        time_limit, soft_time_limit = alone.time_limits if alone else (None, None)
        job = self._consumer.pool.apply_async(
            run_batch,
            args=(self._task.name, [(request.id, request.args, request.kwargs) for request in requests]),
            accept_callback=partial(self._accepted, requests),
            callback=partial(self._done, number),
            error_callback=partial(self._failed, number),
            timeout_callback=alone.on_timeout if alone else None,
            soft_timeout=soft_time_limit or self._task.soft_time_limit,
            timeout=time_limit or self._task.time_limit,
            correlation_id=requests[0].id,
        )
        for request in requests:
            request._apply_result = job and ref(job)
        if self._due or self._alone:
            self._hand_over()

    def _next_members(self) -> list[Any]:
        """All that is due, or this process's share of it; turn about with what is to run alone."""
        if self._alone and (not self._due or len(self._jobs) % 2):
            return [self._alone.popleft()[1]]
        processes = self._semaphore.value + 1
        share = max(SPLIT_FROM, math.ceil(len(self._due) / processes))
        return [self._due.popleft()[1] for _ in range(min(share, self._task.max_batch, len(self._due)))]

    # What became of a job

    def _accepted(self, requests: list[Any], pid: int, time_accepted: float) -> None:
        for request in requests:
            request.on_accepted(pid, time_accepted)

    def _done(self, number: int, answers: list[tuple[bool, Any, float]]) -> None:
        requests = self._jobs.pop(number)
        well = []
        for request, (has_failed, result, runtime_s) in zip(requests, answers, strict=True):
            if has_failed:
                request.on_failure(result, return_ok=True)
            else:
                state.task_ready(request, successful=True)
                well.append((request, result, runtime_s))
        self._acknowledge([request for request, *_ in well if not request.acknowledged])
        for request, result, runtime_s in well:
            request.send_event("task-succeeded", result=result, runtime=runtime_s)

    def _acknowledge(self, requests: list[Any]) -> None:
        # Tags are valid on any connection; the one that the messages came by may be gone.
        qos = self._consumer.task_consumer.channel.qos
        if not hasattr(qos, "ack_many"):
            for request in requests:
                request.acknowledge()
            return
        try:
            qos.ack_many([request.message.delivery_tag for request in requests])
        except self._consumer.connection_errors as error:
            logger.warning(
                "%s tasks are done but could not be acknowledged, and will come again: %r", len(requests), error
            )
        for request in requests:
            request.acknowledged = True

    def _failed(self, number: int, einfo: Any) -> None:
        """A job raised, ran out of time, or its process died."""
        requests = self._jobs.pop(number)
        error = unwrapped(einfo.exception)
        if len(requests) == 1:
            requests[0].on_failure(einfo)
            return
        logger.error("A batch of %s tasks failed; they run again, each alone: %r", len(requests), error)
        now_s = time.monotonic()
        for request in requests:
            if isinstance(error, Terminated) and request.revoked():
                continue
            state.active_requests.discard(request)
            request.worker_pid = request.time_start = None
            self._alone.append((now_s, request))
        self._hand_over()


def _instant(text: Any) -> Any:
    """An ETA or expiry. Celery's own parser takes a tenth of the time that a request costs in all."""
    return datetime.fromisoformat(text) if isinstance(text, str) else text


@inspect_command(alias="dump_schedule")
def scheduled(_: Any, **__: Any) -> list[dict[str, Any]]:
    """List of currently scheduled ETA/countdown tasks."""
    # Celery's own command looks for timers, of which a batch has but one.
    waiting = [request for request in tuple(state.scheduled_requests) if request.eta]
    return [
        {"eta": request.eta.isoformat(), "priority": 6, "request": request.info()}
        for request in sorted(waiting, key=lambda request: request.eta)
    ]
