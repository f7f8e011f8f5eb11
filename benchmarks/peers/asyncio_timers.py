"""A timer for each capture, in the publisher's own loop: one process, no queue, and no capture survives a crash."""

import asyncio
import time
from collections.abc import Sequence

from benchmarks import job
from hip3_tasks.domain.records import Signal


def publish(signals: Sequence[Signal]) -> None:
    loop = asyncio.get_running_loop()
    from_wall_s = loop.time() - time.time()
    for signal in signals:
        for capture in signal.captures():
            due_at_s = from_wall_s + capture.due_at_ms / 1000
            loop.call_at(due_at_s, job.capture, capture.signal_id, capture.offset_ms)


async def finish() -> None:
    """Run timers until the benchmark ends the process."""
    await asyncio.Event().wait()
