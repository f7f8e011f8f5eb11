"""The jobs that one connection has in the pool: submitted to idle processes, acknowledged, run again when lost."""

import math
import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from itertools import count
from typing import Any
from weakref import ref

from billiard.einfo import ExceptionWithTraceback
from celery.exceptions import Terminated
from celery.utils.log import get_logger
from celery.worker import state

from workers.due_batches.pool_job import MemberResult, run_batch
from workers.due_batches.task import DueBatchTask

logger = get_logger(__name__)

MIN_SPLIT_SIZE = 250
"""A share of a job that is smaller than this costs more in a second process than it saves."""
GROW_AFTER_S = 0.05
"""Due requests wait this long for a process before the pool is asked to grow."""


class PoolJobs:
    """Requests of one task that are due: waiting for a process, or in one."""

    def __init__(self, task: DueBatchTask, consumer: Any) -> None:
        self._task, self._consumer = task, consumer
        self._semaphore = consumer.controller.semaphore
        self._ready: deque[tuple[float, Any]] = deque()
        self._isolated: deque[tuple[float, Any]] = deque()
        self._jobs: dict[int, list[Any]] = {}
        self._numbers = count()
        self._waiting_for_slot = self._growth_requested = False

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

    def add(self, due: Sequence[tuple[float, Any]]) -> None:
        """Add requests with their due times, and submit what idle processes can take."""
        for due_s, request in due:
            (self._isolated if any(request.time_limits) else self._ready).append((due_s, request))
        self._hand_over()

    def held(self, *, in_pool: bool) -> list[Any]:
        """Requests that wait for a process; with `in_pool`, also those in the pool that no process has accepted."""
        held = [request for _, request in (*self._ready, *self._isolated)]
        if in_pool:
            held += [request for job in self._jobs.values() for request in job if request.worker_pid is None]
        return held

    def clear_waiting(self) -> None:
        """Remove the requests that wait for a process."""
        self._ready, self._isolated = deque(), deque()
        self._waiting_for_slot = False

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
        number = next(self._numbers)
        self._jobs[number] = requests
        single = requests[0] if len(requests) == 1 else None
        time_limit, soft_time_limit = single.time_limits if single else (None, None)
        job = self._consumer.pool.apply_async(
            run_batch,
            args=(self._task.name, [request.batch_member for request in requests]),
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
        error = einfo.exception
        error = error.exc if isinstance(error, ExceptionWithTraceback) else error
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
