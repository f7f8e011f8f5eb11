import logging
import pickle
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.app import trace
from celery.signals import task_postrun, task_prerun, task_success
from hypothesis import given
from hypothesis import strategies as st

from workers.due_batches import pool_job
from workers.due_batches.task import CallArgs, DueBatchTask


class Refused(Exception):
    pass


class AllFailAlike(DueBatchTask):
    name = "all_fail_alike"
    throws = (Refused,)

    def run_many(self, calls: Sequence[CallArgs]) -> list[object]:
        try:
            raise Refused("for all of them")
        except Refused as error:
            return [error] * len(calls)


class Greets(DueBatchTask):
    name = "greets"

    def run_many(self, calls: Sequence[CallArgs]) -> list[object]:
        return [f"hello {name}" for (name,), _ in calls]


class GreetsAndTells(Greets):
    name = "greets_and_tells"
    heard: list[tuple[Any, ...]]

    def before_start(self, *heard: Any) -> None:
        self.heard.append(("before_start", *heard))

    def on_success(self, *heard: Any) -> None:
        self.heard.append(("on_success", *heard))

    def after_return(self, *heard: Any) -> None:
        self.heard.append(("after_return", *heard))


def run(monkeypatch: pytest.MonkeyPatch, task: DueBatchTask, *names: str) -> list[pool_job.MemberResult]:
    app = Celery("test", set_as_current=False)
    app.register_task(task)
    monkeypatch.setattr(pool_job, "current_app", app)
    request = pickle.dumps({"ignore_result": True})
    return pool_job.run_batch(task.name, [(f"id-{name}", (name,), {}, False, {}, request) for name in names])


PIPE_BYTES = 65_536
ARGS = ["xyz:TSLA-1795338701358", 3000]
ONE_ID = "xyz:TSLA-1795338701358:3000"


def request(task_id: str, **fields: Any) -> Any:
    usual = {"root_id": task_id, "correlation_id": task_id, "argsrepr": repr(tuple(ARGS)), "origin": "gen1@host"}
    usual |= {"eta": f"2026-11-29T00:00:00.{len(task_id):06}+00:00", "retries": 0, "hostname": "worker@host"}
    sent = usual | {"id": task_id, "task": "greets", "args": ARGS, "kwargs": {}} | fields
    return SimpleNamespace(
        id=task_id, args=ARGS, kwargs={}, request_dict=sent, _payload=(ARGS, {}, {}), ignore_result=True
    )


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["root_id", "correlation_id", "argsrepr", "eta", "origin", "retries", "stamps"]),
            st.sampled_from([ONE_ID, "another", 3, {"a": 1}]),
        ),
        max_size=5,
    )
)
def test_a_pool_process_has_every_field_of_each_request(many: list[dict[str, Any]]) -> None:
    members = pool_job.Members(Greets())
    for fields in many:
        sent = request(ONE_ID, **fields)
        wanted = {name: value for name, value in sent.request_dict.items() if name not in ("args", "kwargs")}
        assert pool_job.request_of(members.member(sent), Greets()) == wanted | {"ignore_result": True}


def test_a_full_job_fits_into_the_pipe_to_its_process() -> None:
    members = pool_job.Members(Greets())
    full = [members.member(request(f"xyz:TSLA-17953387{number:05}:3000")) for number in range(Greets.max_batch)]
    assert len(pickle.dumps(full)) < PIPE_BYTES


def test_members_with_the_same_error_have_the_same_text(monkeypatch: pytest.MonkeyPatch) -> None:
    results = run(monkeypatch, AllFailAlike(), *map(str, range(20)))
    assert all(has_failed for has_failed, *_ in results)
    assert len({failure.traceback for _, failure, _ in results}) == 1


def test_each_signal_and_log_line_has_the_runtime_of_the_batch(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[tuple[str, Any]] = []

    def prerun(task_id: str, **_: object) -> None:
        heard.append(("prerun", task_id))

    def success(result: str, runtime: float, **_: object) -> None:
        heard.append((result, runtime))

    def postrun(task_id: str, state: str, **_: object) -> None:
        heard.append((state, task_id))

    monkeypatch.setattr(trace, "logger", logging.getLogger("trace"))
    caplog.set_level(logging.INFO)
    connected = ((task_prerun, prerun), (task_success, success), (task_postrun, postrun))
    for signal, receiver in connected:
        signal.connect(receiver)
    try:
        ((*_, runtime_s), _) = run(monkeypatch, Greets(), "a", "b")
    finally:
        for signal, receiver in connected:
            signal.disconnect(receiver)
    assert heard == [
        *(("prerun", "id-a"), ("hello a", runtime_s), ("SUCCESS", "id-a")),
        *(("prerun", "id-b"), ("hello b", runtime_s), ("SUCCESS", "id-b")),
    ]


def test_hooks_are_called_for_each_member(monkeypatch: pytest.MonkeyPatch) -> None:
    task = GreetsAndTells()
    task.heard = []
    assert [result for _, result, _ in run(monkeypatch, task, "a")] == ["'hello a'"]
    assert task.heard == [
        ("before_start", "id-a", ("a",), {}),
        ("on_success", "hello a", "id-a", ("a",), {}),
        ("after_return", "SUCCESS", "hello a", "id-a", ("a",), {}, None),
    ]


def test_a_member_is_traced_only_when_somebody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    traced: list[str] = []
    build = trace.build_tracer

    def counted(name: str, *args: Any, **options: Any) -> Any:
        traced.append(name)
        return build(name, *args, **options)

    monkeypatch.setattr(trace, "build_tracer", counted)
    run(monkeypatch, Greets(), "a")
    assert traced == []
    task = Greets()
    task.run = task.run  # as Sentry wraps it
    assert [result for _, result, _ in run(monkeypatch, task, "a")] == ["'hello a'"]
    assert traced == ["greets"]
