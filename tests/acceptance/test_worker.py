"""Real Celery workers on a scripted market: held back, run twice, run by hand, it is the same record."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hip3_tasks.domain.records import Followup
from hip3_tasks.run_file import RunFile
from hip3_tasks.store.task_message import CAPTURE_FOLLOWUP
from tests.support.feed import ROOT, FeedRig, eventually

pytestmark = pytest.mark.acceptance

COIN = "xyz:TSLA"
STEP_MS = 100


def celery(rig: FeedRig, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "celery", "-A", "hip3_tasks", *arguments]


def environment(rig: FeedRig) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HIP3_")}
    return kept | {"HIP3_DATA_DIR": str(rig.data_dir)}


@contextmanager
def worker(rig: FeedRig) -> Iterator["subprocess.Popen[bytes]"]:
    # As under `hip3 up`: the server is found through the run file.
    found = {"redis_url": rig.url, "venue_url": rig.venue.base_url, "name": rig.keys.prefix.split(":")[1]}
    RunFile(pid=os.getpid(), started_at_ms=0, **found).write(rig.data_dir)
    with (rig.data_dir / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            celery(rig, "worker", "--concurrency=2", "--without-gossip", "--without-mingle", "--loglevel=INFO"),
            cwd=ROOT,
            env=environment(rig),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_held_back_repeated_and_hand_made_tasks_leave_the_state_at_due_once(
    redis_url: str, name: str, tmp_path: Path
) -> None:
    async def script() -> None:
        async with FeedRig(redis_url, name, tmp_path / "data", offsets_ms="500,1000,1500") as rig:
            await rig.started()
            with worker(rig) as process:
                log = rig.data_dir / "worker.log"
                await eventually("the worker is ready", lambda: "ready." in log.read_text())
                rig.quote(COIN, bid=99.99, ask=100.01, oracle=101.0)
                await eventually("a follow-up on time", lambda: len(rig.followups()) == 1)
                os.killpg(process.pid, signal.SIGSTOP)
                for step in range(25):
                    rig.quote(COIN, bid=99.0 + step / 100, ask=99.5 + step / 100, oracle=102.0)
                    await asyncio.sleep(STEP_MS / 1000)
                os.killpg(process.pid, signal.SIGCONT)
                await eventually("two signals' follow-ups", lambda: len(rig.followups()) == 6)
                await eventually("nothing pending", lambda: rig.pending.size() == 0)
                check_against_the_tape(rig)
                before = [path.read_bytes() for path in sorted(rig.data_dir.glob("*.jsonl"))]
                for record in rig.followups()[:2]:
                    by_hand(rig, record)
                await eventually("run by hand", lambda: log.read_text().count("'already captured'") >= 2)
                assert [path.read_bytes() for path in sorted(rig.data_dir.glob("*.jsonl"))] == before
                unknown = rig.followups()[0].model_copy(update={"signal_id": "xyz:NONE-1795338701358"})
                by_hand(rig, unknown)
                said = f"{unknown.signal_id}: neither Redis nor"
                await eventually("a clear error", lambda: said in log.read_text())
                there = sorted(rig.data_dir.parent.rglob("*"))
                by_hand(rig, unknown.model_copy(update={"signal_id": "../../etc\nforged-1795338701358"}))
                said = "raised expected: BadCapture("
                await eventually("a clear refusal", lambda: said in log.read_text())
                assert not [line for line in log.read_text().splitlines() if line.startswith("forged")]
                assert sorted(rig.data_dir.parent.rglob("*")) == there
                assert [path.read_bytes() for path in sorted(rig.data_dir.glob("*.jsonl"))] == before

    asyncio.run(asyncio.wait_for(script(), 120))


def check_against_the_tape(rig: FeedRig) -> None:
    """Each record shows the last book the tape has at or before its due time, found by another way of looking."""
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
    called = subprocess.run(
        celery(rig, "call", CAPTURE_FOLLOWUP, "--args", arguments),
        cwd=ROOT,
        env=environment(rig),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert called.returncode == 0, called.stderr.decode()
