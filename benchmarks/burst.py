"""Measure how a burst of signals delays the feed's timestamps, and how soon the tasks of its captures are in the queue.

    .venv/bin/python benchmarks/burst.py --signals 200 --bursts 20

One oracle update moves every market at once. A venue in this process sends it over a real websocket to a real feed, and
a second process samples the watermark and the queue. Each burst is sent twice: `calm`, with moves too small for a
signal, then `loud`. The difference between the two is the cost of the signals. Prints one JSON object; delays are in
ms, and `usual_max` is the median of the maxima of all bursts:

- `handling`: from the write of a frame to the venue's socket until the feed stamps the frame, for a market that does
  not move and sends a frame every 2 ms, during bursts; `burst_frames`: the same for the frames that cause signals.
- `publishing`: from the time of a signal until its tasks are in the queue.
- `watermark_age`: the age that a reader sees, sampled every millisecond during bursts.
- `stray_cores`: cores used by other processes or withheld by the host. Above 0.1 the figures are not reliable.
"""

import asyncio
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import redis
import typer
from rich.console import Console
from rich.progress import track

from benchmarks.server import server
from hip3_tasks.domain.capture import parse_signal_id
from hip3_tasks.store.keys import Keys
from hip3_tasks.store.store import Store
from simulator.limits import Limits
from simulator.server import VenueServer
from simulator.wire import asset_ctx

NAME = "bench"
PROBE = "xyz:PROBE"
PROBE_INTERVAL_S = 0.002
SAMPLE_INTERVAL_S = 0.001
BEFORE_S = 0.1
DURING_S = 0.1
"""Sampling time for a burst of 200 signals; in proportion longer for a larger burst."""
PUBLISHED_WITHIN_S = 0.5
PAUSE_S = 1.0
MAX_MARKETS = 499
"""The venue allows 1,000 subscriptions per IP address: two for each of these markets, and two for the probe."""
LIMITS = Limits(connections=100, new_connections_per_minute=1000, subscriptions=10_000, messages_per_minute=100_000)


@dataclass
class BurstDelays:
    """Delays of one kind of burst, a list in ms for each burst, and CPU seconds."""

    handling: list[list[float]] = field(default_factory=list)
    burst_frames: list[list[float]] = field(default_factory=list)
    publishing: list[list[float]] = field(default_factory=list)
    watermark_age: list[list[float]] = field(default_factory=list)
    cpu_s: list[list[float]] = field(default_factory=list)
    """CPU seconds of the feed, of the server and of all other processes, for each burst."""
    took_s: float = 0.0


def main(signals: int = 200, bursts: int = 20) -> None:
    """Send `bursts` bursts of `signals` signals, each first calm and then loud."""
    with tempfile.TemporaryDirectory() as folder, server(Path(folder), persistent=True) as (tree, url):
        calm, loud = asyncio.run(Bench(url, Path(folder), psutil.Process(tree.pid), signals).run(bursts))
    print(json.dumps(report(calm, loud), indent=1))


class Bench:
    """A venue, a feed that connects it to a server, and a process that samples."""

    def __init__(self, url: str, folder: Path, server: psutil.Process, signals: int) -> None:
        self.url, self.folder, self.server, self.signals = url, folder, server, signals
        # A market makes one signal per move, so a burst larger than the venue consists of several moves.
        self.moves = -(-signals // MAX_MARKETS)
        self.names = [f"xyz:B{number:03}" for number in range(-(-signals // self.moves))]
        universe = {"xyz": [{"name": name, "szDecimals": 2} for name in (*self.names, PROBE)]}
        self.venue = VenueServer(universe, limits=LIMITS, outbox_limit=100_000)
        self.contexts: dict[str, dict[str, Any]] = {}
        self.client, self.keys = redis.Redis.from_url(url), Keys(NAME)
        self.during_s = DURING_S * max(1.0, signals / 200)

    async def run(self, bursts: int) -> tuple[BurstDelays, BurstDelays]:
        await self.venue.start()
        environment = dict(
            os.environ,
            HIP3_NAME=NAME,
            HIP3_DATA_DIR=str(self.folder / "data"),
            HIP3_REDIS_URL=self.url,
            HIP3_VENUE_URL=self.venue.base_url,
            HIP3_WORKER_WAIT_S="0",
            HIP3_MIN_EDGE_BPS="100",
            HIP3_COOLDOWN_MS="0",
        )
        command = [sys.executable, "-m", "feed"]
        feed = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)  # noqa: ASYNC220
        tasks: list[asyncio.Task[None]] = []
        try:
            await self._move(self.names, 100.0)
            for name in self.names:
                self.venue.publish_bbo(name, ("99.99", "1.5"), ("100.01", "2.5"), time_ms=_now_us() // 1000)
            tasks += [asyncio.create_task(self._probe()), asyncio.create_task(self._repeat())]
            return await self._bursts(psutil.Process(feed.pid), bursts)
        finally:
            for task in tasks:
                task.cancel()
            feed.kill()
            feed.wait()
            await self.venue.stop()

    async def _bursts(self, feed: psutil.Process, bursts: int) -> tuple[BurstDelays, BurstDelays]:
        store = Store(self.client, self.keys)
        while (status := store.feed_status()) is None or status.markets_live <= len(self.names):
            await asyncio.sleep(0.1)
        await asyncio.sleep(2)  # until the start has no more effect
        calm, loud = BurstDelays(), BurstDelays()
        shown = Console(stderr=True)
        for _ in track(range(bursts), f"bursts of {self.signals} signals", console=shown):
            await self._burst(calm, feed, [100.01 + 0.01 * move for move in range(self.moves)])
            await self._burst(loud, feed, [105.0 + move for move in range(self.moves)])
        return calm, loud

    async def _burst(self, delays: BurstDelays, feed: psutil.Process, oracles: Sequence[float]) -> None:
        receiver, sender = multiprocessing.Pipe()
        seconds = BEFORE_S + self.during_s + PUBLISHED_WITHIN_S
        watch = multiprocessing.get_context("spawn").Process(target=sample, args=(self.url, seconds, sender))
        watch.start()
        await asyncio.to_thread(receiver.recv)
        await asyncio.sleep(BEFORE_S)
        processes = feed, self.server, psutil.Process(), psutil.Process(watch.pid)
        cpu_s, began_us, left = used_s(*processes), _now_us(), self.signals
        for oracle_px in oracles:
            await self._move(self.names[:left], oracle_px)
            left -= len(self.names)
            await asyncio.sleep(0.004)  # a market makes at most one signal per millisecond
        samples = await asyncio.to_thread(receiver.recv)
        delays.cpu_s.append([after - before for before, after in zip(cpu_s, used_s(*processes), strict=True)])
        delays.took_s += (_now_us() - began_us) / 1e6
        await asyncio.to_thread(watch.join)
        until_us = began_us + self.during_s * 1e6
        delays.handling.append(self._delays([PROBE], began_us, until_us))
        delays.burst_frames.append(self._delays(self.names, began_us, until_us))
        delays.watermark_age.append(
            [at_ms - watermark_ms for at_ms, watermark_ms, _ in samples if began_us <= at_ms * 1000 <= until_us]
        )
        delays.publishing.append(self._published(samples))
        await self._move(self.names, 100.0)
        await asyncio.sleep(PAUSE_S)

    def _published(self, samples: Sequence[tuple[float, int, int]]) -> list[float]:
        """Delay of each message; removes them all, so that the sweeper does not publish them again."""
        pipe = self.client.pipeline()
        pipe.lrange(self.keys.queue, 0, -1)
        pipe.delete(self.keys.queue, self.keys.pending, self.keys.due)
        messages: list[bytes] = pipe.execute()[0][::-1]
        capture_ids = [json.loads(message)["headers"]["id"] for message in messages]
        if len(set(capture_ids)) != len(capture_ids):
            raise RuntimeError("a capture was published twice")
        queued_at_ms: list[float] = []
        for (_, _, before), (at_ms, _, queued) in pairwise([(0.0, 0, 0), *samples]):
            queued_at_ms += [at_ms] * (queued - before)
        signal_ms = [parse_signal_id(capture_id.rpartition(":")[0])[1] for capture_id in capture_ids]
        return [at_ms - from_ms for at_ms, from_ms in zip(queued_at_ms, signal_ms, strict=True)]

    def _delays(self, names: Iterable[str], began_us: float, until_us: float) -> list[float]:
        """Delays from the send time, which each frame carries as its mark price, to the id of its tape entry."""
        delays: dict[tuple[str, float], float] = {}
        for name in names:
            for entry_id, fields in self.client.xrange(self.keys.tape(name), min=int(began_us // 1000)):
                if b"s" not in fields:
                    continue  # a gap: the machine paused for so long that the feed could not confirm the state
                sent_us = json.loads(fields[b"s"])[5]
                if began_us <= sent_us <= until_us:
                    delays.setdefault((name, sent_us), int(entry_id.split(b"-")[0]) + 0.5 - sent_us / 1000)
        return list(delays.values())

    async def _move(self, names: Iterable[str], oracle_px: float) -> None:
        for name in names:
            self._publish(name, oracle_px)
            await asyncio.sleep(0)  # send this frame before the next frame gets its time

    def _publish(self, name: str, oracle_px: float) -> None:
        self.contexts[name] = asset_ctx(oracle_px=f"{oracle_px:.4f}", mark_px=str(_now_us()))
        self.venue.publish_ctx(name, self.contexts[name])

    async def _probe(self) -> None:
        self.venue.publish_bbo(PROBE, ("99.99", "1.5"), ("100.01", "2.5"), time_ms=_now_us() // 1000)
        while True:
            self._publish(PROBE, 100.0)
            await asyncio.sleep(PROBE_INTERVAL_S)

    async def _repeat(self) -> None:
        """Send each context once a second, evenly spaced, changed or not: a silent socket stops the watermark."""
        while True:
            for name in self.names:
                self.venue.publish_ctx(name, self.contexts[name])
                await asyncio.sleep(1 / len(self.names))


def sample(url: str, seconds: float, pipe: Connection) -> None:
    """Send None when ready, then samples of every millisecond: wall clock in ms, watermark, length of the queue."""
    keys, pipeline = Keys(NAME), redis.Redis.from_url(url).pipeline(transaction=False)
    samples = []
    pipe.send(None)
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        watermark, queued = pipeline.get(keys.watermark).llen(keys.queue).execute()
        samples.append((time.time_ns() / 1e6, int(watermark or 0), queued))
        time.sleep(SAMPLE_INTERVAL_S)
    pipe.send(samples)


def used_s(feed: psutil.Process, server: psutil.Process, *others: psutil.Process) -> list[float]:
    """CPU seconds of the feed, of the server, and of all else that the machine ran or lost to its host."""
    used_by_process = [(times := part.cpu_times()).user + times.system for part in (feed, server, *others)]
    machine = psutil.cpu_times()
    busy_s = sum(machine) - machine.idle - getattr(machine, "iowait", 0.0)
    return [*used_by_process[:2], busy_s - sum(used_by_process)]


def report(calm: BurstDelays, loud: BurstDelays) -> dict[str, object]:
    captures = sum(map(len, loud.publishing))
    (feed_s, server_s, stray_s), calm_s = (
        [sum(part) for part in zip(*kind.cpu_s, strict=True)] for kind in (loud, calm)
    )
    return {
        "captures_published": captures,
        "handling": {"calm": quantiles(calm.handling), "loud": quantiles(loud.handling)},
        "burst_frames": {"calm": quantiles(calm.burst_frames), "loud": quantiles(loud.burst_frames)},
        "watermark_age": {"calm": quantiles(calm.watermark_age), "loud": quantiles(loud.watermark_age)},
        "publishing": quantiles(loud.publishing),
        "feed_cpu_us_per_capture": round((feed_s - calm_s[0]) / captures * 1e6, 1),
        "server_cpu_us_per_capture": round((server_s - calm_s[1]) / captures * 1e6, 1),
        "stray_cores": round((stray_s + calm_s[2]) / (loud.took_s + calm.took_s), 2),
    }


def quantiles(bursts: Sequence[Sequence[float]]) -> dict[str, float]:
    ordered = sorted(chain.from_iterable(bursts))
    shares = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    figures = {name: round(ordered[int((len(ordered) - 1) * share)], 1) for name, share in shares.items()}
    return figures | {"usual_max": round(statistics.median(max(burst) for burst in bursts), 1)}


def _now_us() -> int:
    return time.time_ns() // 1000


if __name__ == "__main__":
    typer.run(main)
