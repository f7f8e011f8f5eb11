"""How many processes the work at hand is worth."""

from celery.worker import state
from celery.worker.autoscale import Autoscaler

from workers.due_batches.strategy import DueBatches


class BatchAutoscaler(Autoscaler):
    """Counts a batch as the one job that it is, and only when it has to wait; Celery's own counts its members."""

    @property
    def qty(self) -> int:
        batches = [batch for batch in self.worker.consumer.strategies.values() if isinstance(batch, DueBatches)]
        others = len(state.reserved_requests) - sum(batch.members for batch in batches)
        return max(0, others) + sum(batch.jobs for batch in batches)
