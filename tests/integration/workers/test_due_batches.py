"""The consumer strategy in real workers on a real server, with a task that records how it was run."""

import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from hip3_tasks.store.task_message import CAPTURE_FOLLOWUP
from tests.support.batch_rig import STOCK, TIMEOUT_S, BatchRig
from tests.support.malformed_messages import T0_MS, task
from workers.due_batches.commands import MAX_LISTED


@pytest.fixture
def rig(redis_url: str, name: str, tmp_path: Path) -> Iterator[BatchRig]:
    rig = BatchRig(redis_url, name, tmp_path)
    yield rig
    rig.close()


@pytest.fixture(scope="module")
def shared(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BatchRig]:
    """A worker shared by the tests that do not damage it; each test has its own names."""
    rig = BatchRig(redis_url, "test-due-batches", tmp_path_factory.mktemp("batches"))
    with rig.worker():
        yield rig
    rig.close()


def soon(seconds: float = 1.0) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def names(prefix: str, many: int) -> list[str]:
    return [f"{prefix}-{number:03}" for number in range(many)]


def batches_of(rig: BatchRig, prefix: str) -> list[tuple[int, float, list[str]]]:
    return [batch for batch in rig.batches() if batch[2][0].startswith(prefix)]


def test_tasks_due_together_run_as_one_job_and_none_early(shared: BatchRig) -> None:
    due, wanted = soon(), names("together", 50)
    for name in wanted:
        shared.send(name, eta=due)
    shared.until("all ran", lambda: set(wanted) <= set(shared.ran()))
    ((_, at_s, members),) = batches_of(shared, "together")
    assert sorted(members) == wanted
    assert at_s >= due.timestamp()
    shared.until("all acknowledged", shared.is_done)


def test_a_large_job_is_split_over_the_processes_that_are_idle(shared: BatchRig) -> None:
    due, wanted = soon(3.0), names("large", 600)
    for name in wanted:
        shared.send(name, eta=due)
    shared.until("all ran", lambda: set(wanted) <= set(shared.ran()))
    batches = batches_of(shared, "large")
    assert sorted(name for *_, members in batches for name in members) == wanted
    assert [len(members) for *_, members in batches] == [300, 300]
    assert len({pid for pid, *_ in batches}) == 2


def test_due_times_are_kept_apart_and_in_order_however_they_arrive(shared: BatchRig) -> None:
    begin = soon()
    for step in (3, 1, 0, 2):
        shared.send(f"order-{step}", eta=begin + timedelta(milliseconds=150 * step))
    shared.until("all ran", lambda: sum(name.startswith("order") for name in shared.ran()) == 4)
    batches = batches_of(shared, "order")
    assert [members for *_, members in batches] == [["order-0"], ["order-1"], ["order-2"], ["order-3"]]
    for step, (_, at_s, _) in enumerate(batches):
        assert at_s >= (begin + timedelta(milliseconds=150 * step)).timestamp()


def test_without_a_countdown_it_runs_at_once_and_so_does_a_time_long_past(shared: BatchRig) -> None:
    shared.send("now")
    shared.send("past", eta=soon(-3600))
    shared.until("both ran", lambda: {"now", "past"} <= set(shared.ran()))


def test_each_member_has_its_own_events_and_log_lines(shared: BatchRig) -> None:
    seen: list[dict[str, Any]] = []
    with listening(shared, seen):
        due = soon()
        ids = [shared.send(name, eta=due) for name in names("events", 3)] + [shared.send("events-bad", "fail", eta=due)]

        def events_of(task_id: str) -> dict[str, dict[str, Any]]:
            return {event["type"]: event for event in tuple(seen) if event.get("uuid") == task_id}

        kinds = {"task-received", "task-started", "task-succeeded"}
        shared.until("all events of the good", lambda: all(kinds <= set(events_of(task_id)) for task_id in ids[:3]))
        shared.until(
            "all events of the bad", lambda: {*kinds, "task-failed"} - {"task-succeeded"} <= set(events_of(ids[3]))
        )
    assert len(batches_of(shared, "events")) == 1
    for task_id, name in zip(ids, names("events", 3), strict=False):
        events = events_of(task_id)
        assert events["task-received"]["args"] == f"['{name}', '', 0.0]"
        assert events["task-received"]["eta"] == due.isoformat()
        assert events["task-succeeded"]["result"] == f"'noted {name}'"
        assert 0 <= events["task-succeeded"]["runtime"] < 1
        assert f"Task note[{task_id}] received" in shared.log
        assert re.search(rf"Task note\[{task_id}\] succeeded in [0-9.e-]+s: 'noted {name}'", shared.log)
    assert "task-succeeded" not in events_of(ids[3])
    assert events_of(ids[3])["task-failed"]["exception"] == "ValueError('events-bad')"
    assert f"Task note[{ids[3]}] raised unexpected: ValueError('events-bad')" in shared.log
    shared.until("the failed one is acknowledged too", shared.is_done)


@contextmanager
def listening(rig: BatchRig, seen: list[dict[str, Any]]) -> Iterator[None]:
    """Collect the events of all workers, as Flower does."""
    with rig.app.connection_for_read() as connection:
        receiver = rig.app.events.Receiver(connection, handlers={"*": seen.append})
        stop = threading.Event()

        def listen() -> None:
            while not stop.is_set():
                try:
                    receiver.capture(limit=None, timeout=0.2, wakeup=False)
                except TimeoutError:
                    continue

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            rig.until("the events are heard", lambda: seen)  # a heartbeat comes every two seconds
            yield
        finally:
            stop.set()
            thread.join()


def test_inspect_lists_scheduled_active_and_reserved_tasks(shared: BatchRig) -> None:
    later = shared.send("inspected-later", eta=soon(7))
    busy = [shared.send(f"inspected-busy-{number}", "", 4.0) for number in range(2)]
    shared.until("scheduled", lambda: later in [entry["request"]["id"] for entry in shared.inspect("scheduled")])
    shared.until("active", lambda: set(busy) <= {request["id"] for request in shared.inspect("active")})
    (entry,) = [entry for entry in shared.inspect("scheduled") if entry["request"]["id"] == later]
    assert entry["request"]["args"] == ["inspected-later", "", 0.0]
    assert datetime.fromisoformat(entry["eta"]) > soon(0)
    assert later not in [request["id"] for request in shared.inspect("reserved")]
    states = {task_id: answer[0] for task_id, answer in shared.inspect("query_task", later, busy[0]).items()}
    assert states == {later: "scheduled", busy[0]: "active"}
    shared.until("the busy are done", lambda: not shared.inspect("active"))
    shared.until("all ran", lambda: "inspected-later" in shared.ran() and shared.is_done())


def test_inspect_names_the_first_that_are_due_and_counts_the_others(rig: BatchRig) -> None:
    many, first_ms = MAX_LISTED + 1_500, time.time_ns() // 1_000_000 + 600_000
    held = [
        task(number, queue=rig.queue, eta_ms=first_ms + number).replace(CAPTURE_FOLLOWUP.encode(), b"note")
        for number in range(many)
    ]
    with rig.worker():
        rig.client.lpush(rig.queue, *reversed(held))  # so that the last of them is received first
        rig.until("all are held", lambda: rig.log.count("received") == many)
        *listed, rest = rig.inspect("scheduled")
        numbers = [int(entry["request"]["args"][0].rpartition("-")[2]) - T0_MS for entry in listed]
        assert numbers == list(range(MAX_LISTED))
        assert rest["request"]["name"] == "and 1,500 more"


def test_inspect_lists_several_messages_of_one_task_as_one(rig: BatchRig) -> None:
    with rig.worker():
        for _ in range(3):
            rig.send("copied", eta=soon(600), task_id="copied-id")
        rig.send("single", eta=soon(601))
        rig.until("all are held", lambda: rig.unacked() == 4)
        listed = [entry["request"]["args"][0] for entry in rig.inspect("scheduled")]
        assert listed == ["copied", "single"]


def test_any_eta_is_an_instant_however_far_away(rig: BatchRig) -> None:
    with rig.worker():
        rig.send("far", eta="9999-12-31T23:59:59.999999-23:59")
        rig.send("ancient", eta="0001-01-01T00:00:00+23:59")
        rig.until("the ancient ran", lambda: rig.ran() == ["ancient"] and rig.unacked() == 1)
        assert [entry["request"]["args"][0] for entry in rig.inspect("scheduled")] == ["far"]


def test_a_revoked_or_expired_member_does_not_run_and_its_neighbours_do(shared: BatchRig) -> None:
    due = soon(1.5)
    revoked = shared.send("dropped-revoked", eta=due)
    shared.send("dropped-expired", eta=due, expires=due - timedelta(seconds=0.5))
    shared.send("dropped-not", eta=due)
    shared.until("scheduled", lambda: revoked in [entry["request"]["id"] for entry in shared.inspect("scheduled")])
    shared.app.control.revoke(revoked, reply=True)
    shared.until("the neighbour ran", lambda: "dropped-not" in shared.ran())
    assert [members for *_, members in batches_of(shared, "dropped")] == [["dropped-not"]]
    shared.until("the log says so", lambda: shared.log.count("Discarding revoked task") >= 2)


def test_a_batch_that_raises_runs_again_one_by_one_and_only_the_bad_one_fails(shared: BatchRig) -> None:
    due, wanted = soon(), names("raising", 6)
    for name in wanted:
        shared.send(name, eta=due)
    bad = shared.send("raising-bad", "raise", eta=due)
    shared.until("each ran alone", lambda: len(batches_of(shared, "raising")) == 8)
    first, *rest = [sorted(members) for *_, members in batches_of(shared, "raising")]
    assert first == sorted([*wanted, "raising-bad"])
    assert sorted(rest) == [[name] for name in sorted([*wanted, "raising-bad"])]
    shared.until("it is said", lambda: f"Task note[{bad}] raised unexpected: RuntimeError" in shared.log)
    assert "A batch of 7 tasks failed; they run again, each alone: RuntimeError('as asked')" in shared.log
    shared.until("nothing is left unacknowledged", shared.is_done)


def test_messages_that_are_no_calls_of_the_task_are_rejected_and_the_next_one_runs(shared: BatchRig) -> None:
    for body in ("null", "[]", "[[1],{}]", "7", '"text"', "{}"):
        headers = {"lang": "py", "task": "note", "id": "malformed", "eta": None, "retries": 0}
        with shared.app.connection_for_write() as connection, connection.Producer() as producer:
            producer.publish(
                body,
                routing_key=shared.queue,
                headers=headers,
                content_type="application/json",
                content_encoding="utf-8",
                correlation_id="malformed",
            )
    shared.send("after the malformed")
    shared.until("the next one ran", lambda: "after the malformed" in shared.ran())
    shared.until("nothing is left", shared.is_done)


def test_members_of_a_killed_process_run_again_alone(rig: BatchRig) -> None:
    with rig.worker() as process:
        due, wanted = soon(), names("killed", 5)
        for name in wanted:
            rig.send(name, eta=due)
        rig.send("killed-bad", "die in company", eta=due)
        rig.until("all ran", lambda: len(rig.batches()) == 7)
        assert sorted(rig.ran()) == sorted([*wanted, "killed-bad"] * 2)
        assert process.is_running
        assert "they run again, each alone: WorkerLostError" in rig.log
        rig.until("nothing is left unacknowledged", rig.is_done)


def test_a_time_limit_ends_the_batch_and_only_the_slow_one_fails(rig: BatchRig) -> None:
    with rig.worker("--concurrency=2", "--time-limit=1"):
        due = soon()
        for name in names("limit", 3):
            rig.send(name, eta=due)
        slow = rig.send("limit-slow", "", 1.7, eta=due)
        rig.until("alone", lambda: [[name] for name in names("limit", 3)] <= [members for *_, members in rig.batches()])
        own = rig.send("own limit", "", 20.0, time_limit=1, eta=soon())
        rig.until("the slow one failed", lambda: f"exceeded for note[{slow}]" in rig.log)
        rig.until("and the one with its own limit", lambda: f"exceeded for note[{own}]" in rig.log)
        rig.send("after")
        rig.until("the next one runs", lambda: "after" in rig.ran())
        rig.until("nothing is left unacknowledged", rig.is_done)
        assert all(len(members) == 1 for *_, members in rig.batches()[1:])


def test_terminating_one_member_revokes_it_and_no_other(rig: BatchRig) -> None:
    with rig.worker():
        due = soon()
        ids = {name: rig.send(name, "", 1.0, eta=due) for name in names("ended", 3)}
        rig.until("running", lambda: len(rig.inspect("active")) == 3)
        rig.app.control.terminate(ids["ended-001"], signal="SIGKILL")
        rig.until("the others ran again", lambda: {"ended-000", "ended-002"} <= set(rig.ran()[3:]))
        rig.until("nothing is left unacknowledged", rig.is_done)
        assert "ended-001" not in rig.ran()[3:]


def test_a_warm_shutdown_finishes_running_and_requeues_waiting_tasks(rig: BatchRig) -> None:
    with rig.worker() as process:
        for name in names("held", 200):
            rig.send(name, countdown=8)
        for number in range(2):
            rig.send(f"running-{number}", "", 2.0, time_limit=20)
        rig.until("both processes are busy", lambda: len(rig.ran()) == 2)
        for name in names("waiting", 50):
            rig.send(name)
        rig.until("held, and waiting for a process", lambda: rig.unacked() == 252)
        process.send_signal(signal.SIGTERM)
        process.wait(TIMEOUT_S)
    assert (rig.client.llen(rig.queue), rig.unacked()) == (250, 0)
    assert sorted(rig.ran()) == ["running-0", "running-1"]
    with rig.worker():
        rig.until("the next worker ran them", lambda: len(rig.ran()) == 252)
    assert sorted(rig.ran()[2:]) == names("held", 200) + names("waiting", 50)


def test_a_lost_connection_runs_no_task_twice_or_late(rig: BatchRig) -> None:
    with rig.worker() as process:
        due = soon(8.0)
        for name in names("cut", 100):
            rig.send(name, eta=due)
        rig.until("received", lambda: rig.unacked() == 100)
        for _ in range(3):
            cut_off(rig, process.pid)
            rig.until("received again", lambda: rig.unacked() == 100 and rig.client.llen(rig.queue) == 0)
            rig.until("it answers", lambda: len(rig.inspect("scheduled")) == 100)
        rig.until("all ran", lambda: len(rig.ran()) >= 100)
        rig.until("nothing is left unacknowledged", rig.is_done)
        assert sorted(rig.ran()) == names("cut", 100)
        assert process.is_running


def cut_off(rig: BatchRig, pid: int) -> None:
    """Have the server close all connections of a process."""
    ports = {connection.laddr.port for connection in psutil.Process(pid).net_connections("tcp")}
    for connection in rig.client.client_list():
        if int(connection["addr"].rpartition(":")[2]) in ports:
            rig.client.client_kill_filter(_id=connection["id"])


def test_the_pool_grows_within_a_second_for_jobs_that_wait_and_shrinks_calmly(rig: BatchRig) -> None:
    with rig.worker("--autoscale=4,1"):
        due = soon()
        for name in names("one-job", 300):
            rig.send(name, eta=due)
        rig.until("all ran", lambda: len(rig.ran()) == 300)
        assert len({pid for pid, *_ in rig.batches()}) == 1, "300 in a batch are one job"
        assert "Scaling up" not in rig.log
        began_s = time.time()
        for number in range(4):
            rig.send(f"slow-{number}", "", 3.0, time_limit=20)
        rig.until("four at once", lambda: len(rig.ran()) == 304)
        waited_s = [at_s - began_s for _, at_s, members in rig.batches() if members[0].startswith("slow")]
        assert len({pid for pid, *_ in batches_of(rig, "slow")}) == 4
        assert max(waited_s) < 3.0, f"none waited for another to end: {waited_s}"
        rig.until("shrunk again", lambda: "Scaling down" in rig.log)


def test_due_work_goes_ahead_of_the_growth_it_calls_for(rig: BatchRig) -> None:
    with rig.worker("--autoscale=3,2"):
        rig.send("busy", "", 2.0, time_limit=20)
        rig.until("one process is busy", lambda: rig.ran() == ["busy"])
        for name in names("due", 20):
            rig.send(name)
        rig.until("due work ran", lambda: len(rig.ran()) == 21)
        assert "Scaling up" not in rig.log


def test_a_pool_without_processes_runs_the_task_one_by_one(rig: BatchRig) -> None:
    with rig.worker("--pool=solo"):
        for name in names("solo", 3):
            rig.send(name, countdown=0.5)
        rig.until("all ran", lambda: len(rig.batches()) == 3)


def test_kombus_own_transport_serves_as_well(redis_url: str, name: str, tmp_path: Path) -> None:
    rig = BatchRig(redis_url, name, tmp_path, transport=STOCK)
    with rig.worker():
        due = soon()
        for each in names("stock", 20):
            rig.send(each, eta=due)
        rig.until("all ran", lambda: len(rig.ran()) == 20)
        assert len(rig.batches()) == 1
        rig.until("all acknowledged", rig.is_done)
    rig.close()
