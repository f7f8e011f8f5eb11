"""One run of the whole product under a load: start its processes, measure them, end them cleanly, audit the data."""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from pydantic import TypeAdapter

from benchmarks.checkout import Checkout
from benchmarks.departures import Sightings
from benchmarks.footprint import Footprint
from benchmarks.livesystem import LiveSystem, ended, port_of, running, until
from benchmarks.machine import machine_description
from benchmarks.processes import Tree, started, stray_cores
from benchmarks.productfigures import Delays, Span, Stretch, delays, mb_a_day
from benchmarks.viewers import watched
from hip3_tasks.clock import wall_ms

LAST_DUE_S = 7.0
"""The longest offset, and a margin."""
WEIGH_INTERVAL_S = 10
TOOL = "this tool and its viewers"
OUT = "sightings.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of the command line, the same for each stretch."""

    label: str
    seconds: int
    settling_s: int
    viewers: int
    is_recorded: bool = True
    """Whether the tape is kept."""


Show = Callable[[str], object]


async def measured(checkout: Checkout, load: str, options: Options, *, show: Show) -> Stretch:
    """Measure the product under a load. Raises RuntimeError when a process ends early or the audit fails."""
    stray = stray_cores(1.0)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        show("starting")
        async with running(checkout, load, folder, is_recorded=options.is_recorded) as system:
            async with watched(port_of(system.run.page_url), options.viewers):
                await _wait(options.settling_s, lambda left_s: show(f"settles for {left_s} s"))
                counted = await _counted(system, folder / OUT, options, show)
            show("draining")
            await ended(system.up)
        checkout.must_pass_audit(system.data_dir)
        return Stretch(
            label=options.label,
            load=load,
            seconds=counted.footprint.seconds,
            viewers=options.viewers,
            commit=checkout.commit(),
            machine=machine_description() | {"Python": checkout.python_version()},
            stray_cores=stray,
            delays=_delays(system, folder / OUT, counted.span),
            usages=counted.footprint.usages(),
            **counted.figures,
        )


def _delays(system: LiveSystem, out: Path, span: Span) -> Delays:
    sightings = TypeAdapter(Sightings).validate_json(out.read_bytes())
    counted = delays(system.signals(), [*system.followups(), *system.missed()], sightings, span=span)
    if not counted.signals or not counted.captures:
        raise RuntimeError("no capture was due during the measurement; increase --seconds")
    return counted


@dataclass(frozen=True, slots=True)
class _Counted:
    span: Span
    footprint: Footprint
    figures: dict[str, Any]
    """Fields of a Stretch, by name."""


async def _counted(system: LiveSystem, out: Path, options: Options, show: Show) -> _Counted:
    """Measure for `options.seconds`, beside a watcher; then wait until the captures of the last signals are done."""
    command, log = (
        [sys.executable, "-m", "benchmarks.departures", str(system.data_dir), str(out)],
        out.with_suffix(".log"),
    )
    with started(command, log=log) as watcher:
        await until(log.read_text, watcher, "the watcher looks")
        since_ms, before_s = wall_ms(), _beside_s(system, watcher)
        frames, sizes = system.frames(), system.bytes()
        footprint, redis_mb = await _looked_at(system, watcher, options.seconds, show)
        after_s, seconds = _beside_s(system, watcher), footprint.seconds
        figures = {
            "at_ms": since_ms,
            "beside": {name: (after_s[name] - before_s[name]) / seconds for name in after_s},
            "frames_per_s": (system.frames() - frames) / seconds,
            "redis_mb": redis_mb,
            "files_mb_a_day": mb_a_day(sizes, system.bytes(), seconds=seconds),
        }
        span = Span(since_ms, wall_ms())
        show("waits for the last captures")
        await asyncio.sleep(LAST_DUE_S)
    return _Counted(span, footprint, figures)


async def _looked_at(system: LiveSystem, watcher: Tree, seconds: int, show: Show) -> tuple[Footprint, float]:
    """Look once a second; return the footprint and the largest size of the server's data, in MB."""
    footprint, redis_mb = Footprint(psutil.Process(system.up.pid)), 0.0
    began_s = time.monotonic()
    footprint.look(0.0)
    footprint.weigh()
    for second in range(1, seconds + 1):
        await asyncio.sleep(max(0.0, began_s + second - time.monotonic()))
        footprint.look(time.monotonic() - began_s)
        redis_mb = max(redis_mb, system.redis_mb())
        if second % WEIGH_INTERVAL_S == 0 or second == seconds:
            footprint.weigh()
        system.up.must_run()
        watcher.must_run()
        show(f"{second} of {seconds} s")
    return footprint, redis_mb


def _beside_s(system: LiveSystem, watcher: Tree) -> dict[str, float]:
    """CPU seconds of the processes that are not the product, by name."""
    return {"venue": system.venue.cpu_s(), "watcher": watcher.cpu_s(), TOOL: sum(os.times()[:2])}


async def _wait(seconds: int, show: Callable[[int], object]) -> None:
    for left_s in range(seconds, 0, -1):
        show(left_s)
        await asyncio.sleep(1)
