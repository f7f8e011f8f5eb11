"""Real Celery workers on a scripted market: a late, repeated or manual capture gives the same record."""

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from hip3_tasks.domain.records import Followup
from hip3_tasks.run_file import RunFile
from hip3_tasks.store.task_message import CAPTURE_FOLLOWUP
from tests.support.feed import FeedRig
from tests.support.process import CELERY, HIP3, ProcessUnderTest, environment, run
from tests.support.waiting import eventually_async as eventually

pytestmark = pytest.mark.acceptance

COIN = "xyz:TSLA"
STEP_MS = 100


def worker(rig: FeedRig) -> ProcessUnderTest:
    # The run file names the server, as under `hip3 up`.
    location = {"redis_url": rig.url, "venue_url": rig.venue.base_url, "name": rig.keys.prefix.split(":")[1]}
    RunFile(pid=os.getpid(), started_at_ms=0, **location).write(rig.data_dir)
    options = ("--concurrency=2", "--without-gossip", "--without-mingle", "--loglevel=INFO")
    env = environment(HIP3_DATA_DIR=str(rig.data_dir))
    return ProcessUnderTest(*CELERY, "worker", *options, log=rig.data_dir / "worker.log", env=env)


def test_held_back_repeated_and_hand_made_tasks_leave_the_state_at_due_once(
    redis_url: str, name: str, tmp_path: Path
) -> None:
    async def script() -> None:
        async with FeedRig(redis_url, name, tmp_path / "data", offsets_ms="500,1000,1500") as rig:
            await rig.started()
            with worker(rig) as process:
                await eventually("the worker is ready", lambda: "ready." in process.log)
                rig.quote(COIN, bid=99.99, ask=100.01, oracle=101.0)
                await eventually("a follow-up on time", lambda: len(rig.followups()) == 1)
                process.signal_group(signal.SIGSTOP)
                for step in range(25):
                    rig.quote(COIN, bid=99.0 + step / 100, ask=99.5 + step / 100, oracle=102.0)
                    await asyncio.sleep(STEP_MS / 1000)
                process.signal_group(signal.SIGCONT)
                await eventually("two signals' follow-ups", lambda: len(rig.followups()) == 6)
                await eventually("nothing pending", lambda: rig.pending.size() == 0)
                check_against_the_tape(rig)
                before = [path.read_bytes() for path in sorted(rig.data_dir.glob("*.jsonl"))]
                for record in rig.followups()[:2]:
                    by_hand(rig, record)
                await eventually("run by hand", lambda: process.log.count("'already captured'") >= 2)
                assert [path.read_bytes() for path in sorted(rig.data_dir.glob("*.jsonl"))] == before
                unknown = rig.followups()[0].model_copy(update={"signal_id": "xyz:NONE-1795338701358"})
                by_hand(rig, unknown)
                words = f"{unknown.signal_id}: neither Redis nor"
                await eventually("a clear error", lambda: words in process.log)
                there = sorted(rig.data_dir.parent.rglob("*"))
                by_hand(rig, unknown.model_copy(update={"signal_id": "../../etc\nforged-1795338701358"}))
                words = "raised expected: BadCapture("
                await eventually("a clear refusal", lambda: words in process.log)
                assert not [line for line in process.log.splitlines() if line.startswith("forged")]
                assert sorted(rig.data_dir.parent.rglob("*")) == there
                assert [path.read_bytes() for path in sorted(rig.data_dir.glob("*.jsonl"))] == before

    asyncio.run(asyncio.wait_for(script(), 120))


def test_a_revoked_capture_is_open_and_waited_for_by_nobody_until_it_is_recaptured(
    redis_url: str, name: str, tmp_path: Path
) -> None:
    async def script() -> None:
        async with FeedRig(redis_url, name, tmp_path / "data", offsets_ms="500,8000") as rig:
            where = {"HIP3_DATA_DIR": str(rig.data_dir)}

            def recaptured(what: str) -> str:
                return run(*HIP3, "recapture", what, **where).stdout

            await rig.started()
            with worker(rig) as process:
                await eventually("the worker is ready", lambda: "ready." in process.log)
                rig.quote(COIN, bid=99.99, ask=100.01, oracle=101.0)
                await eventually("its first follow-up", lambda: len(rig.followups()) == 1)
                signal_id = rig.signals()[0].signal_id
                run(*CELERY, "control", "revoke", f"{signal_id}:8000", **where)
                await eventually("it is named", lambda: '"capture_revoked"' in process.log)
                assert (rig.pending.size(), rig.pending.revoked()) == (0, 1)
                await eventually("it counts as open", lambda: "1 captures are open, 0 of" in recaptured("--open"))
                assert "1 revoked, which" in run(*HIP3, "status", **where).stdout
                assert "1 captures are revoked" in recaptured("--open")
                rig.feed.terminate()
                assert await rig.ended() == 0
                assert "1 open" in run(*HIP3, "audit", str(rig.data_dir)).stdout
                recaptured(signal_id)
                await eventually("it is captured", lambda: {line.offset_ms for line in rig.followups()} == {500, 8000})
                await eventually("nothing is revoked", lambda: rig.pending.revoked() == 0)
                assert process.log.count('"capture_revoked"') == 1

    asyncio.run(asyncio.wait_for(script(), 120))


def check_against_the_tape(rig: FeedRig) -> None:
    """Check with an independent search that each record has the last book at or before its due time."""
    entries = [
        (int(entry_id.split(b"-")[0]), json.loads(fields[b"s"]))
        for entry_id, fields in rig.client.xrange(rig.keys.tape(COIN))
        if b"s" in fields
    ]
    late = 0
    for record in rig.followups():
        in_force = [state for at_ms, state in entries if at_ms <= record.due_at_ms][-1]
        assert isinstance(record, Followup)
        assert [record.bid_px, record.bid_sz, record.ask_px, record.ask_sz, record.oracle_px] == in_force[:5]
        late += record.captured_at_ms - record.due_at_ms > 500
    assert late >= 2, "nothing was held back, so this shows little"


def by_hand(rig: FeedRig, record: Followup) -> None:
    arguments = json.dumps([record.signal_id, record.offset_ms])
    called = run(*CELERY, "call", CAPTURE_FOLLOWUP, "--args", arguments, HIP3_DATA_DIR=str(rig.data_dir))
    assert called.returncode == 0, called.stderr
