"""Celery's consumer, which finds a lost server again at once and hands over at once what it leaves behind."""

from contextlib import suppress
from functools import partial
from typing import Any

from celery.worker import consumer

from workers.due_batches.strategy import DueBatches

FIRST_S, STEP_S, LONGEST_S = 0.1, 0.1, 1.0
"""How long it waits after a first failure to connect, how much longer after each other one, and at most."""


class Consumer(consumer.Consumer):
    def ensure_connected(self, conn: Any) -> Any:
        # Celery's own waits 2 s, 4 s, 6 s; captures fall due meanwhile.
        conn.ensure_connection = partial(
            conn.ensure_connection, interval_start=FIRST_S, interval_step=STEP_S, interval_max=LONGEST_S
        )
        return super().ensure_connected(conn)

    def on_close(self) -> None:
        # Celery's pool now forgets each job that no process has said to have accepted. One that is in a pipe already
        # runs all the same; its process would wait 30 s for its answer to be heard, and a shutdown with it.
        for job in tuple(getattr(getattr(self.pool, "_pool", None), "_cache", {}).values()):
            if job._write_to is not None:
                job._accepted = True
        super().on_close()

    def stop(self) -> None:
        # Celery gives back what waits here when all else has ended; until then it would wait in vain.
        for strategy in self.strategies.values() if self.task_consumer else ():
            if isinstance(strategy, DueBatches):
                with suppress(*self.connection_errors):  # it then comes back by visibility timeout
                    strategy.let_go(self.task_consumer.channel.qos, in_pool=False)
        super().stop()
