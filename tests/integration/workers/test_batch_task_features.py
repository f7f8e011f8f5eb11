"""A batch task in somebody else's app, with results in Redis: each feature of a Celery task works, or is refused."""

from collections.abc import Iterator
from typing import Any

import pytest
from celery import chain, chord
from celery.canvas import Signature
from celery.result import AsyncResult

from tests.support.batch_rig import TIMEOUT_S, BatchRig

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def rig(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BatchRig]:
    rig = BatchRig(redis_url, "test-features", tmp_path_factory.mktemp("features"), backend=redis_url)
    rig.app.conf.task_ignore_result = False
    rig.environment["BATCH_SIGNALS"] = "yes"
    with rig.worker():
        yield rig
    rig.close()


def note(rig: BatchRig, *args: object) -> Signature:
    return rig.app.signature("note", args)


def plain(rig: BatchRig, *args: object) -> Signature:
    return rig.app.signature("plain", args)


def result_of(rig: BatchRig, task_id: str) -> AsyncResult:
    return AsyncResult(task_id, app=rig.app)


def test_results_and_failures_are_stored(rig: BatchRig) -> None:
    good, bad = note(rig, "stored").delay(), note(rig, "stored-bad", "fail").delay()
    assert good.get(timeout=TIMEOUT_S) == "noted stored"
    with pytest.raises(ValueError, match="stored-bad"):
        bad.get(timeout=TIMEOUT_S)


def test_a_result_that_nothing_waits_for_is_not_stored(rig: BatchRig) -> None:
    ignored = note(rig, "not-stored").apply_async(ignore_result=True)
    rig.until("it ran", lambda: rig.signals(ignored.id)[-1:] and rig.is_done())
    assert rig.client.get(f"celery-task-meta-{ignored.id}") is None


def test_a_link_gets_the_result_and_a_link_error_the_failure(rig: BatchRig) -> None:
    note(rig, "linked").apply_async(link=plain(rig, "after"))
    note(rig, "linked-bad", "fail").apply_async(link_error=plain(rig, "error of").set(immutable=True))
    rig.until("both were called", lambda: {"plain noted linked after", "plain error of"} <= set(rig.ran()))


def test_a_chain_goes_on_after_it(rig: BatchRig) -> None:
    assert chain(note(rig, "first"), plain(rig, "second"), app=rig.app).delay().get(timeout=TIMEOUT_S) == [
        "noted first",
        "second",
    ]


def test_a_chord_joins_its_members(rig: BatchRig) -> None:
    members = [note(rig, f"chord-{number}") for number in range(3)]
    joined = chord(members, plain(rig), app=rig.app).delay()
    assert joined.get(timeout=TIMEOUT_S) == [[f"noted chord-{number}" for number in range(3)]]


def test_a_member_is_retried_when_its_result_says_so(rig: BatchRig) -> None:
    retried = note(rig, "again", "retry").delay()
    assert retried.get(timeout=TIMEOUT_S) == "noted again"
    assert rig.ran().count("again") == 2
    assert f"Task note[{retried.id}] retry: Retry in 0.1s: ValueError('again')" in rig.log


def test_a_member_is_ignored_when_its_result_says_so(rig: BatchRig) -> None:
    ignored = note(rig, "ignored", "ignore").delay()
    rig.until("it says so", lambda: f"Task note[{ignored.id}] ignored" in rig.log)
    rig.until("acknowledged", rig.is_done)


@pytest.mark.parametrize(
    ("wish", "refusal"),
    [
        ("request", "note: run_many serves many requests and has no self.request.id: use the args and kwargs"),
        ("self.retry", "note: run_many serves many calls and cannot retry: return celery.exceptions.Retry"),
    ],
)
def test_run_many_is_refused_a_request_and_a_retry_by_name(rig: BatchRig, wish: str, refusal: str) -> None:
    refused = note(rig, wish, wish).delay()
    rig.until("it failed", lambda: result_of(rig, refused.id).failed())
    assert refusal in str(result_of(rig, refused.id).result)
    rig.until("it is logged", lambda: refusal in rig.log)


def test_control_refuses_a_rate_limit_for_it_and_sets_that_of_another_task(rig: BatchRig) -> None:
    def answer(name: str) -> Any:
        ((reply,),) = [tuple(reply.values()) for reply in rig.app.control.rate_limit(name, "10/s", reply=True)]
        return reply

    assert answer("note") == {"error": "refused: note runs in batches, which have no rate limit"}
    assert answer("plain") == {"ok": "new rate limit set successfully"}


def test_each_member_sends_celerys_signals_with_their_arguments(rig: BatchRig) -> None:
    headers = {"trace": "00-abc-01"}
    good = note(rig, "told").apply_async(headers=headers)
    bad = note(rig, "told-bad", "fail").apply_async(headers=headers)
    rig.until("both are told", lambda: all(rig.signals(task.id)[-1:] for task in (good, bad)) and rig.is_done())
    kinds = [kind for kind, _ in rig.signals(good.id)]
    assert kinds == ["task_prerun", "task_success", "task_postrun"]
    prerun, success, postrun = [given for _, given in rig.signals(good.id)]
    for given in (prerun, postrun):
        assert (given["task_id"], given["args"], given["kwargs"]) == (good.id, ["told"], {})
    assert (postrun["retval"], postrun["state"]) == ("noted told", "SUCCESS")
    assert success["result"] == "noted told"
    assert success["runtime"] >= 0
    assert [kind for kind, _ in rig.signals(bad.id)] == ["task_prerun", "task_failure", "task_postrun"]
    _, failure, postrun = [given for _, given in rig.signals(bad.id)]
    assert (failure["task_id"], failure["exception"]) == (bad.id, "told-bad")
    assert "ValueError: told-bad" in failure["einfo"]
    assert postrun["state"] == "FAILURE"
    for _, given in (*rig.signals(good.id), *rig.signals(bad.id)):
        assert (given["custom"], given["routing_key"]) == ("00-abc-01", rig.queue)
