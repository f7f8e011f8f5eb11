"""A consumer strategy for tasks that fall due together: everything due goes to the pool as one job.

Celery gives each countdown task a timer and a pool job of its own, fires ten timers per turn of its loop, and
acknowledges one by one; of a hundred tasks for one instant the last runs a quarter of a second late. A task uses this
strategy by its base class, `DueBatchTask`, and implements how to run many calls at once.

The laws:
- A request waits in one heap (`due_queue.py`) until it is due, by the monotonic clock from its receipt on. Then all
  that is due goes to the pool as one job (`jobs.py`), split over the idle processes when it is large. When no process
  is idle, the next idle one takes all that has become due meanwhile; a pause of a few ms follows each job, longer
  after larger jobs.
- Each member stays a Celery task of its own: events, revoke and expires, `inspect scheduled | reserved | active`. Once
  its batch has run, Celery's tracer gives it in the pool process what any task gets: signals and hooks, log line and
  stored result, retry, links, the next step of its chain or chord. Its runtime is that of its batch.
- A member whose result is an exception fails alone, as any Celery task does.
- No member fails because its job was lost or raised: all members run again at once, each in a job of its own, and only
  those that fail there have failed. A request with time limits of its own runs in a job of its own from the start.
- A job is acknowledged in one round-trip when it is done; a worker that dies before that has acknowledged nothing.
- When the connection is lost, requests that no process has accepted are released and restored through the next
  connection. When the worker is asked to end, requests that are not in the pool are restored before anything else.
- The pool is asked to grow only after every idle process has a job, and by the number of jobs, not of members. Spawned
  processes load one after the other.
- Refused: `rate_limit` and `track_started`, at registration and by `control`; `self.request` and `self.retry` in
  `run_many`, which serves many requests. Pools other than prefork run such a task one by one, with Celery's default
  strategy.
"""

import logging
import math
import time
from datetime import datetime
from typing import Any

from celery import signals
from celery.app import trace
from celery.exceptions import InvalidTaskError
from celery.utils.imports import symbol_by_name
from celery.utils.log import get_logger
from celery.worker import state, strategy
from celery.worker.request import create_request_cls
from kombu.asynchronous.timer import to_timestamp

from workers.due_batches import commands  # noqa: F401  registers them with the worker
from workers.due_batches.due_queue import DueQueue
from workers.due_batches.jobs import PoolJobs
from workers.due_batches.pool_job import Members
from workers.due_batches.task import DueBatchTask

# The name of Celery's default strategy: a log configuration knows it.
logger = get_logger("celery.worker.strategy")

EVENT_BUFFER_LIMIT = 1_000
"""Events are sent once per turn of the loop; Celery's own limit sends every two dozen in a round-trip of their own."""


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
        self._members = Members(task)
        self._waiting: DueQueue[Any] = DueQueue()
        self.pool_jobs = PoolJobs(task, consumer)
        self._timer: Any = None
        self._timer_at_s = math.inf
        previous = consumer.strategies.get(task.name)
        if isinstance(previous, DueBatches):
            previous.release(consumer.connection.default_channel.qos)

    # Receiving

    def __call__(self, message: Any, body: Any, ack: Any, reject: Any, callbacks: Any) -> None:
        """Receive one message. Raises InvalidTaskError, and Celery then rejects the message."""
        request = self._request(message, body, ack, reject)
        self._announce_receipt(request)
        if self._is_revoked(request):
            return
        due_s = time.monotonic()
        if request.eta:
            due_s = float(to_timestamp(request.eta, self._timezone))
            self._consumer.qos.increment_eventually()
        state.task_scheduled(request)
        self._waiting.push(request, due_s=due_s)
        self._set_timer()

    def _request(self, message: Any, body: Any, ack: Any, reject: Any) -> Any:
        try:
            if "args" in message.payload:
                body, headers, decoded, utc = strategy.hybrid_to_proto2(message, message.payload)
            elif body is not None:
                body, headers, decoded, utc = strategy.proto1_to_proto2(message, body)
            else:
                body, headers, decoded, utc = message.body, message.headers, False, self._utc
            request = self._request_class(
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
            request.batch_member = self._members.member(request)
            return request
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InvalidTaskError(f"not a task message: {error!r}") from error

    def _announce_receipt(self, request: Any) -> None:
        if logger.isEnabledFor(logging.INFO):
            log_fields = {"id": request.id, "name": request.name, "eta": request.eta}
            log_fields |= {"args": request.argsrepr, "kwargs": request.kwargsrepr}
            logger.info(trace.LOG_RECEIVED, log_fields, extra={"data": log_fields})
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
        at_s = self._waiting.wake_at_s()
        if at_s < self._timer_at_s:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at_s = at_s
            self._timer = self._consumer.timer.call_after(max(0.0, at_s - time.monotonic()), self._on_timer)

    def _on_timer(self) -> None:
        self._timer, self._timer_at_s = None, math.inf
        due = self._waiting.pop_due(now_s=time.monotonic())
        scheduled = sum(request.eta is not None for _, request in due)
        fired = [(due_s, request) for due_s, request in due if not self._is_revoked(request)]
        self.pool_jobs.add(fired)
        self._set_timer()
        # The pool's pipes are written when this turn of the loop ends; bookkeeping waits until after that.
        self._consumer.call_soon(self._account_for, [request for _, request in fired], scheduled)

    def _account_for(self, fired: list[Any], scheduled: int) -> None:
        self._consumer.qos.decrement_eventually(scheduled)
        for request in fired:
            state.task_reserved(request)

    def release(self, qos: Any, *, in_pool: bool = True) -> None:
        """Restore requests that no process has accepted: their connection is lost, or the worker is about to end."""
        if self._timer is not None:
            self._timer.cancel()
        held = [*self._waiting, *self.pool_jobs.held(in_pool=in_pool)]
        if held and hasattr(qos, "restore_many"):
            qos.restore_many([request.message.delivery_tag for request in held])
        # Not before: a server that refuses is asked again by the next connection.
        self._waiting.clear()
        self.pool_jobs.clear_waiting()


def _parse_instant(text: Any) -> Any:
    """Parse an ETA or expiry; Celery's own parser takes a tenth of the whole time that a request costs."""
    return datetime.fromisoformat(text) if isinstance(text, str) else text
