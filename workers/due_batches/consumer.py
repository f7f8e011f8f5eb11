"""Celery's consumer: quick to reconnect, its shutdown restores waiting tasks at once; and its autoscaler."""

import time
import warnings
from contextlib import suppress
from functools import partial
from typing import Any

from billiard import get_start_method
from celery.exceptions import CPendingDeprecationWarning
from celery.worker import consumer, state
from celery.worker.autoscale import Autoscaler
from kombu.common import ignore_errors
from redis import RedisError, ResponseError

from workers.due_batches.strategy import DueBatches

FIRST_RETRY_S, RETRY_STEP_S, MAX_RETRY_S = 0.1, 0.1, 1.0
"""Wait after the first failure to connect, its growth with each further failure, and its maximum."""
GROWTH_POLL_S = 0.2
"""Interval at which the next spawned process is added, if no other still loads."""
REFUSED_PAUSE_S = 0.5
"""Wait after an answer that refuses: the server accepts the next connection, and refuses its commands."""


class Consumer(consumer.Consumer):
    def connect(self) -> Any:
        # Celery's own leaves two sockets open each time that the server refuses the first command.
        connection = self.connection_for_read(heartbeat=self.amqheartbeat)
        if self.hub is None:
            return connection
        try:
            connection.transport.register_with_event_loop(connection.connection, self.hub)
        except self.connection_errors:
            ignore_errors(connection, connection.close)
            raise
        return connection

    def ensure_connected(self, conn: Any) -> Any:
        # Celery's own waits 2 s, 4 s, 6 s; captures fall due meanwhile.
        conn.ensure_connection = partial(
            conn.ensure_connection, interval_start=FIRST_RETRY_S, interval_step=RETRY_STEP_S, interval_max=MAX_RETRY_S
        )
        return super().ensure_connected(conn)

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        super().on_connection_error_before_connected(exc)
        _pause_if_refused(exc)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        # Celery logs its repr, in which redis leaves out what the server answered.
        shown = OSError(str(exc)) if isinstance(exc, RedisError) else exc
        # Celery advises, eight lines at each loss, to cancel what runs; here it goes on, and is acknowledged later.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CPendingDeprecationWarning)
            super().on_connection_error_after_connected(shown)
        _pause_if_refused(exc)

    def on_close(self) -> None:
        # Celery's pool now forgets each job that no process has confirmed. A job that is in a pipe already runs all
        # the same; its process would wait 30 s until its result is read, and delay a shutdown by that.
        for job in tuple(getattr(getattr(self.pool, "_pool", None), "_cache", {}).values()):
            if job._write_to is not None:
                job._accepted = True
        super().on_close()

    def stop(self) -> None:
        # Celery restores waiting tasks only after everything else has ended, and no worker could run them until then.
        for strategy in self.strategies.values() if self.task_consumer else ():
            if isinstance(strategy, DueBatches):
                with suppress(*self.connection_errors):  # the visibility timeout then restores them
                    strategy.release(self.task_consumer.channel.qos, in_pool=False)
        super().stop()


def _pause_if_refused(error: Exception) -> None:
    if isinstance(error, ResponseError):
        time.sleep(REFUSED_PAUSE_S)


class BatchAutoscaler(Autoscaler):
    """Counts each batch as one job, and only once it has to wait; Celery's own counts every member.

    Spawned processes are added one by one: each takes 0.4 s of CPU to load, from batches that are due.
    """

    _growth_timer: Any = None

    def _grow(self, n: int) -> None:
        if self._growth_timer is not None:
            self._growth_timer.cancel()
        if get_start_method() == "fork":
            super()._grow(n)
        else:
            self._grow_by_one(self.processes + n)

    def _grow_by_one(self, wanted: int) -> None:
        if self.processes < min(wanted, self.max_concurrency):
            if not self.pool._pool._waiting_to_start:
                super()._grow(1)
                self.pool.maintain_pool()  # which starts it
            self._growth_timer = self.worker.consumer.timer.call_after(GROWTH_POLL_S, self._grow_by_one, (wanted,))

    @property
    def qty(self) -> int:
        batches = [batch for batch in self.worker.consumer.strategies.values() if isinstance(batch, DueBatches)]
        others = len(state.reserved_requests) - sum(batch.pool_jobs.members for batch in batches)
        return max(0, others) + sum(batch.pool_jobs.jobs for batch in batches)
