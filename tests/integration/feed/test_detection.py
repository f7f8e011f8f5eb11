"""A new feed waits for a worker before it detects, for a limited time."""

import asyncio
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from hip3_tasks.clock import wall_ms
from hip3_tasks.store.worker_status import READY_MS, WorkerStatus
from tests.support.feed import FeedRig
from tests.support.waiting import eventually_async as eventually

COIN = "xyz:TSLA"


def run(script: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(script, 60))


def write_worker(rig: FeedRig, *queues: str, age_ms: int = 0) -> None:
    """Write the status that a worker would write."""
    worker = WorkerStatus(
        name="w@h",
        at_ms=wall_ms() - age_ms,
        pid=os.getpid(),
        processes=1,
        most_processes=1,
        held=0,
        queues=queues,
    )
    rig.store.write_worker(worker)


def quote_a_signal(rig: FeedRig, oracle: float) -> None:
    rig.quote(COIN, bid=99.99, ask=100.01, oracle=oracle)


def test_no_signal_is_detected_before_a_worker_consumes_the_queue(redis_url: str, name: str, tmp_path: Path) -> None:
    async def script() -> None:
        async with FeedRig(redis_url, name, tmp_path / "data", worker_wait_s=50) as rig:
            write_worker(rig, rig.keys.queue, age_ms=READY_MS)
            await rig.started()
            write_worker(rig, "somebody-else")
            quote_a_signal(rig, 101.0)
            watermark_ms = rig.watermark_ms()
            await eventually("the tape goes on", lambda: rig.watermark_ms() > watermark_ms + 500)
            assert (rig.status().detecting, rig.status().detection_began_at_ms) == (False, None)
            assert rig.signals() == []
            write_worker(rig, rig.keys.queue)
            began = await eventually("detection began", lambda: rig.status().detection_began_at_ms)
            quote_a_signal(rig, 102.0)
            await eventually("a signal", rig.signals)
            assert rig.signals()[0].timestamp_ms >= began
            assert began - 1_000 < rig.status().first_worker_at_ms <= began

    run(script())


def test_without_a_worker_detection_begins_late_with_a_warning(redis_url: str, name: str, tmp_path: Path) -> None:
    async def script() -> None:
        async with FeedRig(redis_url, name, tmp_path / "data", worker_wait_s=0.5) as rig:
            await rig.started()
            await eventually("detection began", lambda: rig.status().detection_began_at_ms)
            assert "no_worker_yet" in rig.log
            quote_a_signal(rig, 101.0)
            await eventually("a signal", rig.signals)
            assert rig.status().first_worker_at_ms is None

    run(script())


def test_a_feed_that_finds_captures_open_does_not_wait(redis_url: str, name: str, tmp_path: Path) -> None:
    async def script() -> None:
        async with FeedRig(redis_url, name, tmp_path / "data") as rig:
            await rig.started()
            quote_a_signal(rig, 101.0)
            await eventually("captures are open", rig.pending.size)
            rig.kill()
            await rig.started(worker_wait_s=50)
            # On another market, because the cooldown of the first continues after a restart.
            rig.quote("xyz:AAPL", bid=99.99, ask=100.01, oracle=101.0)
            await eventually("a second signal", lambda: len(rig.signals()) == 2)

    run(script())


def test_a_worker_that_ran_before_is_no_start(redis_url: str, name: str, tmp_path: Path) -> None:
    async def script() -> None:
        async with FeedRig(redis_url, name, tmp_path / "data", worker_wait_s=50) as rig:
            write_worker(rig, rig.keys.queue)
            await rig.started()
            await eventually("detection began", lambda: rig.status().detection_began_at_ms)
            assert rig.status().first_worker_at_ms is None

    run(script())


def test_a_status_of_an_earlier_version_counts() -> None:
    old = WorkerStatus(name="w@h", at_ms=1_000, pid=1, processes=1, most_processes=1, held=0)
    assert old.consumes("any")
    assert old.is_fresh(at_ms=1_000 + READY_MS - 1)
    assert not old.is_fresh(at_ms=1_000 + READY_MS)
