from collections.abc import Sequence

import pytest
from celery import Celery

from workers.due_batches import pool_job as batch
from workers.due_batches.strategy import DueBatchTask


class Refused(Exception):
    pass


class AllFailAlike(DueBatchTask):
    name = "all_fail_alike"
    throws = (Refused,)

    def run_many(self, calls: Sequence[batch.CallArgs]) -> list[object]:
        try:
            raise Refused("for all of them")
        except Refused as error:
            return [error] * len(calls)


def test_members_with_the_same_error_have_the_same_text(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Celery("test", set_as_current=False)
    app.register_task(AllFailAlike())
    monkeypatch.setattr(batch, "current_app", app)
    reports = batch.run_batch(AllFailAlike.name, [(f"id-{number}", (), {}) for number in range(20)])
    assert all(has_failed for has_failed, *_ in reports)
    assert len({failure.traceback for _, failure, _ in reports}) == 1
