"""Publishes a run's signals through one peer, each at its instant: `python -m benchmarks.publisher PEER`.

Runs in its own process; `publisher.json` shows how late its calls were.
"""

import asyncio
import gc
import importlib
import inspect
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.job import stamps_folder
from feed.signal_publisher import MAX_ADDED
from hip3_tasks import settings
from hip3_tasks.domain.records import Signal
from hip3_tasks.files.signal_files import signals_since

HOUR_MS = 3_600_000


def main(peer: str) -> None:
    """Publish the signals of the data directory, then wait for the peer's work in this process."""
    module = importlib.import_module(f"benchmarks.peers.{peer}")
    soon_ms = time.time_ns() // 1_000_000 + HOUR_MS
    signals = signals_since(settings.load().data_dir, soon_ms - 2 * HOUR_MS, until_ms=soon_ms)
    gc.collect()
    gc.freeze()  # otherwise each collection scans the plan, which a feed does not hold
    asyncio.run(_publish(module, signals))


async def _publish(module: Any, signals: Sequence[Signal]) -> None:
    calls = await paced(module.publish, signals)
    (stamps_folder() / "publisher.json").write_text(json.dumps(calls))
    if hasattr(module, "finish"):
        await module.finish()


async def paced(publish: Callable[[Sequence[Signal]], Any], signals: Sequence[Signal]) -> list[tuple[int, ...]]:
    """Call `publish` with the signals so far, as soon as there is one.

    Returns for each call: time of its first signal in ms, number of signals, start and end in ns, CPU in ns.
    """
    calls, position = [], 0
    while position < len(signals):
        if (wait_s := signals[position].timestamp_ms / 1000 - time.time()) > 0:
            await asyncio.sleep(wait_s)
            continue
        end, now_ms = position, time.time_ns() / 1e6
        while end < min(len(signals), position + MAX_ADDED) and signals[end].timestamp_ms <= now_ms:
            end += 1
        begun_ns, cpu_ns = time.time_ns(), time.process_time_ns()
        done = publish(signals[position:end])
        if inspect.isawaitable(done):
            await done
        calls.append(
            (signals[position].timestamp_ms, end - position, begun_ns, time.time_ns(), time.process_time_ns() - cpu_ns),
        )
        position = end
    return calls


if __name__ == "__main__":
    main(sys.argv[1])
