"""Autoscaler that counts a batch as one job."""

from celery.worker import state
from celery.worker.autoscale import Autoscaler

from workers.due_batches.strategy import DueBatches


class BatchAutoscaler(Autoscaler):
    """Counts each batch as one job, and only once it has to wait; Celery's own counts every member."""

    @property
    def qty(self) -> int:
        batches = [batch for batch in self.worker.consumer.strategies.values() if isinstance(batch, DueBatches)]
        others = len(state.reserved_requests) - sum(batch.members for batch in batches)
        return max(0, others) + sum(batch.jobs for batch in batches)
