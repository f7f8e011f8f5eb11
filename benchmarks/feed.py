"""Measure the capacity of the feed: frames per second on one core, age of the watermark, memory, size of the tape.

    .venv/bin/python -m benchmarks.feed --frames 2000 --seconds 60 [--checkout DIR]

A venue in this process sends `--frames` frames per second over a real websocket to a real feed, which is pinned to one
core where the platform allows it; a second process samples the watermark. Prints one JSON object. Contexts have the
mid and the impact prices of their book.
"""

import asyncio
import json
import multiprocessing
import os
import random
import subprocess
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
import redis
import typer

from benchmarks.checkout import Checkout
from benchmarks.server import server
from hip3_tasks.store.keys import Keys
from hip3_tasks.store.store import Store
from simulator.limits import Limits
from simulator.server import VenueServer
from simulator.wire import asset_ctx

NAME = "bench"
SAMPLE_INTERVAL_S = 0.002
LIMITS = Limits(connections=100, new_connections_per_minute=1000, subscriptions=10_000, messages_per_minute=100_000)


def main(
    frames: int = 2000, seconds: int = 60, coins: int = 110, retention_s: int = 120, checkout: Path | None = None
) -> None:
    """Send `frames` frames per second for `seconds` seconds, over `coins` coins, to the feed of a checkout."""
    source = Checkout.from_root(checkout)
    with tempfile.TemporaryDirectory() as folder, server(Path(folder), persistent=True) as (_, url):
        figures = asyncio.run(measured(source, url, Path(folder), frames, seconds, coins, retention_s))
    print(json.dumps(figures, indent=1))


async def measured(
    source: Checkout, url: str, folder: Path, frames: int, seconds: int, coins: int, retention_s: int
) -> dict[str, object]:
    names = [f"xyz:B{number:03}" for number in range(coins)]
    venue = VenueServer(
        {"xyz": [{"name": name, "szDecimals": 2} for name in names]}, limits=LIMITS, outbox_limit=100_000
    )
    await venue.start()
    client = redis.Redis.from_url(url)
    environment = dict(
        os.environ,
        **source.environment,
        HIP3_NAME=NAME,
        HIP3_DATA_DIR=str(folder / "data"),
        HIP3_REDIS_URL=url,
        HIP3_VENUE_URL=venue.base_url,
        HIP3_WORKER_WAIT_S="0",
        HIP3_RETENTION_S=str(retention_s),
        HIP3_MIN_EDGE_BPS="100000",
    )
    command = [str(source.python), "-m", "feed"]
    feed = subprocess.Popen(command, cwd=source.root, env=environment, stderr=subprocess.DEVNULL)  # noqa: ASYNC220
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(feed.pid, {0})
    try:
        figures = await _run(venue, client, psutil.Process(feed.pid), names, url, frames, seconds)
        return {"commit": source.commit()} | figures
    finally:
        feed.kill()
        feed.wait()
        await venue.stop()


async def _run(
    venue: VenueServer,
    client: redis.Redis,
    feed: psutil.Process,
    names: list[str],
    url: str,
    frames: int,
    seconds: int,
) -> dict[str, object]:
    rng, bids = random.Random(7), dict[str, float]()
    for name in names:
        bids[name] = _publish_book(venue, name, rng)
        _publish_ctx(venue, name, bids[name], oracle_px=100.0)
    keys = Keys(NAME)
    store = Store(client, keys)
    while (status := store.feed_status()) is None or status.markets_live < len(names):
        await asyncio.sleep(0.1)
    await asyncio.sleep(2)  # so that its status includes the whole start
    status = store.feed_status()
    assert status is not None
    receiver, sender = multiprocessing.Pipe()
    sampler = multiprocessing.get_context("spawn").Process(target=sample, args=(url, seconds, sender))
    sampler.start()
    before, cpu = status, feed.cpu_times()
    sent, rss_mb = 0, []
    began_s = time.monotonic()
    while (elapsed_s := time.monotonic() - began_s) < seconds:
        while sent < elapsed_s * frames:
            sent += 1
            name = names[sent // 4 % len(names)]  # three books and one context for each coin in turn
            if sent % 4 == 0:
                _publish_ctx(venue, name, bids[name], oracle_px=100 + rng.random())
            else:
                bids[name] = _publish_book(venue, name, rng)
        if len(rss_mb) <= elapsed_s / 10:
            rss_mb.append(round(feed.memory_info().rss / 1e6, 1))
        await asyncio.sleep(0.005)
    took_s = time.monotonic() - began_s
    await asyncio.sleep(2)
    after, done = store.feed_status(), feed.cpu_times()
    assert after is not None
    received = sum(after.frames[kind] - before.frames[kind] for kind in ("bbo", "ctx"))
    cpu_s = done.user + done.system - cpu.user - cpu.system
    entries = sum(client.xlen(keys.tape(name)) for name in names)
    tape_bytes = sum(client.memory_usage(keys.tape(name), samples=0) or 0 for name in names)
    ages_ms = sorted(await asyncio.to_thread(receiver.recv))
    sampler.join()
    return {
        "sent_per_s": round(sent / took_s),
        "received_per_s": round(received / took_s),
        "not_received": sent - received,
        "feed_cpu_share_of_a_core": round(cpu_s / took_s, 2),
        "frames_per_cpu_s": round(received / cpu_s),
        "watermark_age_ms": {q: ages_ms[int(len(ages_ms) * share)] for q, share in QUANTILES.items()},
        "samples": len(ages_ms),
        "rss_mb_every_10_s": rss_mb,
        "tape_bytes_per_entry": round(tape_bytes / entries),
    }


QUANTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 0.9999999}


def _publish_book(venue: VenueServer, name: str, rng: random.Random) -> float:
    """Send a new book; return its bid."""
    bid = 100 + rng.random()
    venue.publish_bbo(name, (f"{bid:.3f}", "1.5"), (f"{bid + 0.01:.3f}", "2.5"), time_ms=time.time_ns() // 1_000_000)
    return bid


def _publish_ctx(venue: VenueServer, name: str, bid: float, *, oracle_px: float) -> None:
    impact_pxs = f"{bid - 0.01:.3f}", f"{bid + 0.02:.3f}"
    venue.publish_ctx(name, asset_ctx(oracle_px=f"{oracle_px:.3f}", mid_px=f"{bid + 0.005:.4f}", impact_pxs=impact_pxs))


def sample(url: str, seconds: int, pipe: Connection) -> None:
    """Send the ages of the watermark that a reader sees, in ms, sampled every 2 ms."""
    client, key = redis.Redis.from_url(url), Keys(NAME).watermark
    ages_ms = []
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        ages_ms.append(time.time_ns() // 1_000_000 - int(client.get(key) or 0))
        time.sleep(SAMPLE_INTERVAL_S)
    pipe.send(ages_ms)


if __name__ == "__main__":
    typer.run(main)
