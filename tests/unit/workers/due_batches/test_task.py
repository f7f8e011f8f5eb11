from collections.abc import Sequence
from typing import ClassVar

import pytest
from celery import Celery
from celery.exceptions import ImproperlyConfigured

from workers.due_batches.task import CallArgs, DueBatchTask, Unsupported


class Doubles(DueBatchTask):
    name = "doubles"

    def run_many(self, calls: Sequence[CallArgs]) -> list[object]:
        return [ValueError("too many") if number > 9 else 2 * number for (number,), _ in calls]


class ReadsRequest(DueBatchTask):
    name = "reads_request"

    def run_many(self, calls: Sequence[CallArgs]) -> list[object]:
        return [self.request.headers] * len(calls)


class Retries(DueBatchTask):
    name = "retries"

    def run_many(self, calls: Sequence[CallArgs]) -> list[object]:
        return self.retry()


class Limited(DueBatchTask):
    name = "limited"
    rate_limit: ClassVar[str] = "10/m"


class TracksStarted(DueBatchTask):
    name = "tracks_started"
    track_started: ClassVar[bool] = True


@pytest.fixture
def app() -> Celery:
    return Celery("test", set_as_current=False)


def test_a_direct_call_is_a_batch_of_one(app: Celery) -> None:
    doubles = app.register_task(Doubles())
    assert doubles(4) == 8
    assert doubles.apply((4,)).get() == 8
    with pytest.raises(ValueError, match="too many"):
        doubles(10)


def test_a_known_result_serves_one_run(app: Celery) -> None:
    doubles = app.register_task(Doubles())
    with doubles.known_result("known"):
        assert [doubles(4), doubles(4)] == ["known", 8]
    with doubles.known_result("never asked for"):
        pass
    assert doubles(4) == 8


@pytest.mark.parametrize(
    ("kind", "refusal"),
    [
        (ReadsRequest, "reads_request: run_many serves many requests and has no self.request.headers"),
        (Retries, "retries: run_many serves many calls and cannot retry"),
    ],
)
def test_run_many_is_refused_what_a_single_request_has(app: Celery, kind: type[DueBatchTask], refusal: str) -> None:
    task = app.register_task(kind())
    with pytest.raises(Unsupported, match=refusal):
        task()
    assert task.request_stack.top is None


@pytest.mark.parametrize(
    ("kind", "refusal"),
    [
        (Limited, "limited: a batch task has no rate_limit: set rate_limit = False in Limited"),
        (
            TracksStarted,
            "tracks_started: a batch task has no track_started: set track_started = False",
        ),
    ],
)
def test_a_setting_without_effect_is_refused_at_registration(
    app: Celery, kind: type[DueBatchTask], refusal: str
) -> None:
    with pytest.raises(ImproperlyConfigured, match=refusal):
        app.register_task(kind())


def test_a_setting_of_the_whole_app_is_refused_as_well(app: Celery) -> None:
    class TakesDefaults(DueBatchTask):
        name = "takes_defaults"

    app.conf.task_track_started = True
    with pytest.raises(ImproperlyConfigured, match="takes_defaults: a batch task has no track_started"):
        app.register_task(TakesDefaults())
