"""A consumer strategy for tasks that fall due together: everything due goes to the pool as one job.

Celery gives each countdown task a timer and a pool job of its own, fires ten timers per turn of its loop, and
acknowledges one by one; of a hundred tasks for one instant the last runs a quarter of a second late. A task uses this
strategy by its base class, `DueBatchTask`, and implements how to run many calls at once.

The laws:
- A request waits in one heap until it is due, by the monotonic clock from its receipt on. Then all that is due goes to
  the pool as one job, split over the idle processes when it is large. When no process is idle, the next idle one takes
  all that has become due meanwhile; a pause of a few ms follows each job, longer after larger jobs.
- Each member stays a Celery task of its own: received, started, succeeded and failed events, revoke and expires,
  `inspect scheduled | reserved | active`, log lines with its id. Its runtime is that of its batch.
- A member whose result is an exception fails alone, as any Celery task does.
- No member fails because its job was lost or raised: all members run again at once, each in a job of its own, and only
  those that fail there have failed. A request with time limits of its own runs in a job of its own from the start.
- A job is acknowledged in one round-trip when it is done; a worker that dies before that has acknowledged nothing.
- When the connection is lost, requests that no process has accepted are released and restored through the next
  connection. When the worker is asked to end, requests that are not in the pool are restored before anything else.
- The pool is asked to grow only after every idle process has a job, and by the number of jobs, not of members.
- Not supported: rate limits, and the signals and hooks of a task that succeeds (`task_prerun`, `on_success` and so
  on). Pools other than prefork run such a task one by one, with Celery's default strategy.
"""

import logging
import math
import time
from collections import deque
from collections.abc import Collection, Sequence
from datetime import datetime
from functools import partial
from heapq import heappop, heappush, nsmallest
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

from workers.due_batches.pool_job import CallArgs, MemberResult, run_batch, unwrap

logger = get_logger(__name__)

MIN_SPLIT_SIZE = 250
"""A share of a job that is smaller than this costs more in a second process than it saves."""
PAUSE_PER_MEMBER_S, MAX_PAUSE_S = 0.001, 0.020
"""Pause before the next job, for each member of the last one, and its maximum: jobs grow with the rate of tasks."""
GROW_AFTER_S = 0.05
"""Due requests wait this long for a process before the pool is asked to grow."""
MAX_LISTED = 500
"""Requests that an inspect command lists. The event loop waits meanwhile: 20 ms, and 0.8 s for 20,000."""
EVENT_BUFFER_LIMIT = 1_000
"""Events are sent once per turn of the loop; Celery's own limit sends every two dozen in a round-trip of their own."""


class DueBatchTask(Task):
    """A task whose requests run in batches. Subclasses implement `run_many`; a single call is a batch of one."""

    abstract = True
    Strategy = "workers.due_batches.strategy:due_batches"
    max_batch = 500

    def run_many(self, calls: Sequence[CallArgs]) -> Sequence[object]:
        """Run the calls (args, kwargs); return the result of each in order, an exception for a call that fails."""
        raise NotImplementedError(f"{type(self).__name__} does not implement run_many")

    def run(self, *args: Any, **kwargs: Any) -> object:
        (result,) = self.run_many([(args, kwargs)])
        if isinstance(result, Exception):
            raise result
        return result


def due_batches(task: DueBatchTask, app: Any, consumer: Any) -> Any:
    """Return the handler of a task's messages; Celery calls this for each task at each connection."""
    if not consumer.pool.uses_semaphore:
        return strategy.default(task, app, consumer)
    return DueBatches(task, app, consumer)


class DueBatches:
    """The requests of one task that one connection received."""

    def __init__(self, task: DueBatchTask, app: Any, consumer: Any) -> None:
        self._task, self._app, self._consumer = task, app, consumer
        self._events = consumer.event_dispatcher
        self._events.buffer_limit = EVENT_BUFFER_LIMIT
        self._request_class = create_request_cls(
            symbol_by_name(task.Request), task, consumer.pool, consumer.hostname, self._events, app=app
        )
        # Needed for each request, and expensive: Celery looks them up in all its settings each time.
        self._utc, self._timezone = app.uses_utc_timezone(), app.timezone
        self._request_class._tzlocal = app.conf.timezone
        self._semaphore = consumer.controller.semaphore
        self._sequence = count()
        self._waiting: list[tuple[float, int, Any]] = []
        self._timer: Any = None
        self._timer_at_s, self._paused_until_s = math.inf, 0.0
        self._ready: deque[tuple[float, Any]] = deque()
        self._isolated: deque[tuple[float, Any]] = deque()
        self._jobs: dict[int, list[Any]] = {}
        self._waiting_for_slot = self._growth_requested = False
        previous = consumer.strategies.get(task.name)
        if isinstance(previous, DueBatches):
            previous.release(consumer.connection.default_channel.qos)

    # Receiving

    def __call__(self, message: Any, body: Any, ack: Any, reject: Any, callbacks: Any) -> None:
        """Receive one message. Raises InvalidTaskError, and Celery then rejects the message."""
        request = self._request(message, body, ack, reject)
        due_s = self._due_s(request)
        self._announce_receipt(request)
        if self._is_revoked(request):
            return
        if request.eta:
            self._consumer.qos.increment_eventually()
        state.task_scheduled(request)
        heappush(self._waiting, (due_s, next(self._sequence), request))
        self._set_timer()

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
                maybe_iso8601=_parse_instant,
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

    def _announce_receipt(self, request: Any) -> None:
        if logger.isEnabledFor(logging.INFO):
            log_fields = {"id": request.id, "name": request.name, "eta": request.eta}
            log_fields |= {"args": request.argsrepr, "kwargs": request.kwargsrepr}
            logger.info(LOG_RECEIVED, log_fields, extra={"data": log_fields})
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
        may_be_revoked = request.expires or request.id in state.revoked or request.stamped_headers
        return bool(may_be_revoked and request.revoked())

    # Waiting

    def _set_timer(self) -> None:
        at_s = max(self._waiting[0][0], self._paused_until_s) if self._waiting else math.inf
        if at_s < self._timer_at_s:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at_s = at_s
            self._timer = self._consumer.timer.call_after(max(0.0, at_s - time.monotonic()), self._on_timer)

    def _on_timer(self) -> None:
        self._timer, self._timer_at_s = None, math.inf
        now_s, fired, scheduled = time.monotonic(), [], 0
        while self._waiting and self._waiting[0][0] <= now_s:
            due_s, _, request = heappop(self._waiting)
            scheduled += request.eta is not None
            if not self._is_revoked(request):
                fired.append(request)
                (self._isolated if any(request.time_limits) else self._ready).append((due_s, request))
        self._paused_until_s = now_s + min(PAUSE_PER_MEMBER_S * len(fired), MAX_PAUSE_S)
        self._hand_over()
        self._set_timer()
        # The pool's pipes are written when this turn of the loop ends; bookkeeping waits until after that.
        self._consumer.call_soon(self._account_for, fired, scheduled)

    def _account_for(self, fired: list[Any], scheduled: int) -> None:
        self._consumer.qos.decrement_eventually(scheduled)
        for request in fired:
            state.task_reserved(request)

    def release(self, qos: Any, *, in_pool: bool = True) -> None:
        """Restore requests that no process has accepted: their connection is lost, or the worker is about to end."""
        if self._timer is not None:
            self._timer.cancel()
        held: list[Any] = [waiting[-1] for waiting in (*self._waiting, *self._ready, *self._isolated)]
        if in_pool:
            held += [request for job in self._jobs.values() for request in job if request.worker_pid is None]
        self._waiting, self._ready, self._isolated = [], deque(), deque()
        self._waiting_for_slot = False
        if held and hasattr(qos, "restore_many"):
            qos.restore_many([request.message.delivery_tag for request in held])

    # Handing over

    @property
    def members(self) -> int:
        """Requests that are due: in a process, or waiting for one."""
        return len(self._ready) + len(self._isolated) + sum(map(len, self._jobs.values()))

    @property
    def jobs(self) -> int:
        """Jobs in the pool, and jobs that have waited for it for longer than GROW_AFTER_S."""
        late_s = time.monotonic() - GROW_AFTER_S
        is_late = any(queue and queue[0][0] < late_s for queue in (self._ready, self._isolated))
        waiting = math.ceil(len(self._ready) / self._task.max_batch) + len(self._isolated)
        return len(self._jobs) + (waiting if is_late else 0)

    def _hand_over(self) -> None:
        """Give each idle process a job, and wait for a slot of the pool when requests are left."""
        while (self._ready or self._isolated) and not self._waiting_for_slot and self._consumer.pool.active:
            self._waiting_for_slot = True
            self._semaphore.acquire(self._submit)
        if self._waiting_for_slot and not self._growth_requested:
            self._growth_requested = True
            self._consumer.timer.call_after(GROW_AFTER_S, self._request_growth)

    def _request_growth(self) -> None:
        self._growth_requested = False
        if self._waiting_for_slot:
            # Celery's default strategy calls the autoscaler when a task is received, and never for a countdown.
            for callback in self._consumer.on_task_message:
                callback(None)
            self._hand_over()

    def _submit(self) -> None:
        """Put the next job into the pool. The semaphore calls this when a slot is free."""
        self._waiting_for_slot = False
        requests = self._next_members()
        if not requests or not self._consumer.pool.active:
            self._semaphore.release()
            return
        number = next(self._sequence)
        self._jobs[number] = requests
        single = requests[0] if len(requests) == 1 else None
        time_limit, soft_time_limit = single.time_limits if single else (None, None)
        job = self._consumer.pool.apply_async(
            run_batch,
            args=(self._task.name, [(request.id, request.args, request.kwargs) for request in requests]),
            accept_callback=partial(self._accepted, requests),
            callback=partial(self._done, number),
            error_callback=partial(self._failed, number),
            timeout_callback=single.on_timeout if single else None,
            soft_timeout=soft_time_limit or self._task.soft_time_limit,
            timeout=time_limit or self._task.time_limit,
            correlation_id=requests[0].id,
        )
        for request in requests:
            request._apply_result = job and ref(job)
        if self._ready or self._isolated:
            self._hand_over()

    def _next_members(self) -> list[Any]:
        """The next job: this process's share of the due requests, alternating with single isolated ones."""
        if self._isolated and (not self._ready or len(self._jobs) % 2):
            return [self._isolated.popleft()[1]]
        processes = self._semaphore.value + 1
        share = max(MIN_SPLIT_SIZE, math.ceil(len(self._ready) / processes))
        return [self._ready.popleft()[1] for _ in range(min(share, self._task.max_batch, len(self._ready)))]

    # Results

    def _accepted(self, requests: list[Any], pid: int, time_accepted: float) -> None:
        for request in requests:
            request.on_accepted(pid, time_accepted)

    def _done(self, number: int, results: list[MemberResult]) -> None:
        requests = self._jobs.pop(number)
        succeeded = []
        for request, (has_failed, result, runtime_s) in zip(requests, results, strict=True):
            if has_failed:
                request.on_failure(result, return_ok=True)
            else:
                state.task_ready(request, successful=True)
                succeeded.append((request, result, runtime_s))
        self._acknowledge([request for request, *_ in succeeded if not request.acknowledged])
        for request, result, runtime_s in succeeded:
            request.send_event("task-succeeded", result=result, runtime=runtime_s)

    def _acknowledge(self, requests: list[Any]) -> None:
        # Tags are valid on any connection; the one that received the messages may be lost.
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
        """Handle a job that raised, ran out of time, or whose process died."""
        requests = self._jobs.pop(number)
        error = unwrap(einfo.exception)
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
            self._isolated.append((now_s, request))
        self._hand_over()


def _parse_instant(text: Any) -> Any:
    """Parse an ETA or expiry; Celery's own parser takes a tenth of the whole time that a request costs."""
    return datetime.fromisoformat(text) if isinstance(text, str) else text


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
    """The requests that are due first, each with what Celery shows; the last item counts those left out."""
    listed = nsmallest(MAX_LISTED, requests, key=lambda request: request.eta.timestamp() if request.eta else 0.0)
    infos = [(request, request.info(**options)) for request in listed]
    if more := len(requests) - len(listed):
        infos.append((None, {"id": "", "name": f"and {more:,} more", "args": [], "kwargs": {}}))
    return infos
