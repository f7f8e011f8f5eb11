"""A fresh server for each run, and the data in it before the load."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

import redis

from benchmarks.processes import Tree, started
from benchmarks.workload import Plan
from hip3_tasks.domain.capture import DAY_MS, utc_day
from hip3_tasks.domain.records import Signal
from hip3_tasks.files.signal_files import SignalWriter
from hip3_tasks.settings import Settings
from hip3_tasks.store.keys import Keys, connect, connect_async
from hip3_tasks.store.pending import Pending, PendingCapture
from hip3_tasks.store.tape import Stamped
from hip3_tasks.store.tape_writer import TapeWriter
from hip3_tasks.up.embedded_redis import command, find_server, free_port, is_ready

START_TIMEOUT_S = 10
SIGNALS_AT_ONCE = 200
ENTRIES_AT_ONCE = 1_000


@contextmanager
def server(folder: Path, *, persistent: bool = False) -> Iterator[tuple[Tree, str]]:
    """A server started as the product starts it, and its URL. Raises RuntimeError when it does not answer."""
    port = free_port()
    parts = command(find_server(), port=port, directory=folder)
    if not persistent:
        parts += ["--appendonly", "no"]
    url = f"redis://127.0.0.1:{port}/0"
    with started(parts, log=folder / "server.log") as tree, connect(url) as client:
        until_s = time.monotonic() + START_TIMEOUT_S
        while not is_ready(client):
            tree.must_run()
            if time.monotonic() > until_s:
                raise RuntimeError(f"the server does not answer within {START_TIMEOUT_S} s")
            time.sleep(0.02)
        yield tree, url


def prepare(plan: Plan, settings: Settings, *, signals_too: bool) -> None:
    """Write the data that workers read: tape, file of signals and, with `signals_too`, signals and pending captures."""
    for _, signals in groupby(plan.signals, key=lambda signal: utc_day(signal.timestamp_ms)):
        writer = SignalWriter(settings.data_dir)
        writer.append(list(signals))
        writer.close()
    asyncio.run(_write_tape(plan, settings))
    if signals_too:
        _add_signals(plan.signals, settings)


async def _write_tape(plan: Plan, settings: Settings) -> None:
    """Write the tape with a watermark far beyond the run, so that no worker waits for it."""
    client = connect_async(str(settings.redis_url))
    writer = TapeWriter(client, Keys(settings.feed_name), owner="benchmark")
    entries, watermark_ms = list(plan.entries()), plan.last_due_at_ms + DAY_MS
    expected_ms = None
    for chunk in _chunks(entries, ENTRIES_AT_ONCE):
        await writer.append(chunk, watermark_ms=watermark_ms, expected_ms=expected_ms)
        expected_ms = watermark_ms
    await client.aclose()


def _add_signals(signals: Sequence[Signal], settings: Settings) -> None:
    with connect(str(settings.redis_url)) as client:
        pending = Pending(client, Keys(settings.feed_name))
        for start in range(0, len(signals), SIGNALS_AT_ONCE):
            batch = signals[start : start + SIGNALS_AT_ONCE]
            pending.add(batch, [PendingCapture(capture, None) for signal in batch for capture in signal.captures()])


def _chunks(entries: list[Stamped], size: int) -> Iterator[list[Stamped]]:
    for start in range(0, len(entries), size):
        yield entries[start : start + size]


def used_peak_mb(client: "redis.Redis") -> float:
    """The largest size of the server's data so far, as the server reports it, in MB."""
    return float(client.info("memory")["used_memory_peak"]) / 1e6
