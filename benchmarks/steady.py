"""Measure the lateness of the whole product at a steady rate, from frames of a real websocket to lines on disk.

    .venv/bin/python benchmarks/steady.py --rate 20 --seconds 60

A venue in this process moves one oracle at a time, evenly spaced, so that each move is one signal; `hip3 up` runs as
a user starts it. Prints its last line, and the lateness (`captured_at_ms − due_at_ms`, ms) of the captures due
after the first seconds, in which processes start.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import orjson
import typer

from simulator.limits import Limits
from simulator.server import VenueServer
from simulator.wire import asset_ctx

LIMITS = Limits(connections=100, new_connections_per_minute=1000, subscriptions=10_000, messages_per_minute=100_000)
COOLDOWN_S = 0.5
SETTLING_MS = 6_000


def main(rate: float = 20, seconds: float = 60) -> None:
    """Cause `rate` signals per second for `seconds` seconds."""
    asyncio.run(_run(rate, seconds))


async def _run(rate: float, seconds: float) -> None:
    names = [f"xyz:B{number:03}" for number in range(max(20, int(3 * COOLDOWN_S * rate)))]
    venue = VenueServer({"xyz": [{"name": name, "szDecimals": 2} for name in names]}, limits=LIMITS)
    await venue.start()
    for name in names:
        venue.publish_bbo(name, ("99.990", "1.5"), ("100.010", "2.5"), time_ms=time.time_ns() // 1_000_000)
        venue.publish_ctx(name, asset_ctx(oracle_px="100.0"))
    moves = asyncio.create_task(_move(venue, names, rate))
    with tempfile.TemporaryDirectory() as folder:
        command = (sys.executable, "-m", "hip3_tasks.cli", "up", "--venue", venue.base_url, "--json", "--no-flower")
        up = await asyncio.create_subprocess_exec(*command, "--duration", str(seconds), "--data-dir", folder)
        await up.wait()
        print(_settled(Path(folder)))
    moves.cancel()
    await venue.stop()


def _settled(data_dir: Path) -> str:
    records = [orjson.loads(line) for path in data_dir.glob("followups_*") for line in path.read_bytes().splitlines()]
    first_ms = min(record["due_at_ms"] for record in records)
    settled = [record for record in records if record["due_at_ms"] - first_ms > SETTLING_MS]
    late_ms = sorted(record["captured_at_ms"] - record["due_at_ms"] for record in settled)
    quantiles = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
    shown = [f"{name} {late_ms[int(len(late_ms) * share)]}" for name, share in quantiles.items()]
    return f"settled: {', '.join(shown)}, max {late_ms[-1]} ms of {len(late_ms)} follow-ups"


async def _move(venue: VenueServer, names: list[str], rate: float) -> None:
    """Move each oracle in turn, alternately above and below the book; repeat every oracle once a second."""
    loop = asyncio.get_running_loop()
    oracles = dict.fromkeys(names, "100.0")
    began_s, moved, repeated = loop.time(), 0, 0
    while True:
        elapsed_s = loop.time() - began_s
        while moved < elapsed_s * rate:
            name = names[moved % len(names)]
            oracles[name] = "101.0" if oracles[name] != "101.0" else "99.0"
            venue.publish_ctx(name, asset_ctx(oracle_px=oracles[name]))
            moved += 1
        while repeated < elapsed_s * len(names):
            name = names[repeated % len(names)]
            venue.publish_ctx(name, asset_ctx(oracle_px=oracles[name]))
            repeated += 1
        await asyncio.sleep(0.002)


if __name__ == "__main__":
    typer.run(main)
