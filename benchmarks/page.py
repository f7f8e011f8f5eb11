"""What the live page costs: CPU and memory of its process, and lateness and watermark with and without it.

    .venv/bin/python -m benchmarks.page --minutes 10

A venue in this process has 150 markets, each with a new book 2.5 times a second, and moves oracles so that there are
some three signals a second; `hip3 up` does the rest as a user runs it. Viewers read the page's stream as browsers do.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random

import orjson
import psutil
import typer

from hip3_tasks.clock import wall_ms
from hip3_tasks.runfile import RunFile
from simulator.limits import Limits
from simulator.server import VenueServer
from simulator.wire import asset_ctx
from tests.browser import PROGRAM, browser

LIMITS = Limits(connections=100, new_connections_per_minute=1000, subscriptions=10_000, messages_per_minute=100_000)
MARKETS = [f"xyz:B{number:03}" for number in range(150)]
BOOKS_PER_S = 2.5
SIGNALS_PER_S = 3
VIEWERS = (0, 1, 20, 50, 100)
SETTLING_S = 15
EACH_S = 40


def main(minutes: float = 10, with_page: bool = True) -> None:
    """Measure for each number of viewers, then memory for so many minutes with one of them."""
    asyncio.run(_run(minutes, with_page))


async def _run(minutes: float, with_page: bool) -> None:
    venue = VenueServer({"xyz": [{"name": name, "szDecimals": 2} for name in MARKETS]}, limits=LIMITS)
    await venue.start()
    market = asyncio.create_task(_play(venue))
    with tempfile.TemporaryDirectory() as folder:
        async with _system(venue.base_url, Path(folder), with_page=with_page) as run:
            await asyncio.sleep(SETTLING_S)
            if with_page:
                await _measure(run, Path(folder), minutes)
            else:
                await _stretch(Path(folder), EACH_S, "without the page")
    market.cancel()
    await venue.stop()


OPENING = """
    new MutationObserver((_, seen) => {
      if (document.querySelector("#market-rows tr")) window.tableAtMs ??= performance.now();
      if (document.querySelector(".chart .trace")) { window.chartAtMs = performance.now(); seen.disconnect(); }
    }).observe(document, { subtree: true, childList: true });
"""


def _opening(url: str) -> str:
    """How soon a browser that has never been here shows the first table and the first chart."""
    if PROGRAM is None:
        return "no Chromium, so opening was not measured"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, browser(Path(folder)) as tab:
        tab.send("Page.addScriptToEvaluateOnNewDocument", source=OPENING)
        tab.open(url)
        tab.until("window.chartAtMs", within_s=60)
        table_ms, chart_ms = tab.run("window.tableAtMs"), tab.run("window.chartAtMs")
        return f"first table after {table_ms:.0f} ms, first chart after {chart_ms:.0f} ms"


async def _measure(run: RunFile, data_dir: Path, minutes: float) -> None:
    for _ in range(3):
        print(f"opening: {await asyncio.to_thread(_opening, str(run.page_url))}", flush=True)
    page = next(child for child in psutil.Process(run.pid).children() if child.cmdline()[-1] == "page")
    for viewers in VIEWERS:
        async with _watched(str(run.page_url), viewers):
            await asyncio.sleep(2)
            before_s, began_s = _cpu_s(page), time.monotonic()
            await _stretch(data_dir, EACH_S, f"{viewers} viewers")
            share = (_cpu_s(page) - before_s) / (time.monotonic() - began_s)
            print(f"    page {share:.2%} of a core, {_mb(page):.1f} MB", flush=True)
    async with _watched(str(run.page_url), 1):
        for minute in range(int(minutes) + 1):
            print(f"    minute {minute}: {_mb(page):.1f} MB", flush=True)
            await asyncio.sleep(60 if minute < int(minutes) else 0)


async def _stretch(data_dir: Path, seconds: float, what: str) -> None:
    """How late captures were, and how old the watermark, while something was so."""
    since_ms, ages_ms = wall_ms(), []
    for _ in range(int(seconds)):
        await asyncio.sleep(1)
        ages_ms.append(await asyncio.to_thread(_watermark_age_ms, data_dir))
    late_ms = sorted(late for late, due_at_ms in _lateness(data_dir) if due_at_ms > since_ms)
    shown = [f"p{share} {late_ms[int(len(late_ms) * share / 100)]}" for share in (50, 99)]
    ages_ms.sort()
    print(
        f"{what}: lateness {', '.join(shown)}, max {late_ms[-1]} ms of {len(late_ms)}; "
        f"watermark p50 {ages_ms[len(ages_ms) // 2]}, max {ages_ms[-1]} ms old",
        flush=True,
    )


def _lateness(data_dir: Path) -> list[tuple[int, int]]:
    records = [orjson.loads(line) for path in data_dir.glob("followups_*") for line in path.read_bytes().splitlines()]
    return [(record["captured_at_ms"] - record["due_at_ms"], record["due_at_ms"]) for record in records]


def _watermark_age_ms(data_dir: Path) -> int:
    import redis

    from hip3_tasks.store import Keys

    run = RunFile.read(data_dir)
    assert run is not None
    with redis.Redis.from_url(run.redis_url) as client:
        return wall_ms() - int(client.get(Keys(run.name).watermark) or 0)


@asynccontextmanager
async def _system(venue_url: str, data_dir: Path, *, with_page: bool) -> AsyncIterator[RunFile]:
    options = ("--venue", venue_url, "--data-dir", str(data_dir), "--no-flower", "--page" if with_page else "--no-page")
    log = (data_dir / "up.txt").open("w")
    up = await asyncio.create_subprocess_exec(sys.executable, "-m", "hip3_tasks.cli", "up", *options, stdout=log)
    try:
        while not (run := _running(data_dir)):
            await asyncio.sleep(0.2)
        yield run
    finally:
        up.terminate()
        await up.wait()


def _running(data_dir: Path) -> RunFile | None:
    """Once it has captured something."""
    return RunFile.read(data_dir) if list(data_dir.glob("followups_*")) else None


@asynccontextmanager
async def _watched(url: str, viewers: int) -> AsyncIterator[None]:
    port = int(url.rpartition(":")[2])
    watching = [asyncio.create_task(_view(port)) for _ in range(viewers)]
    yield
    for task in watching:
        task.cancel()
    await asyncio.gather(*watching, return_exceptions=True)


async def _view(port: int) -> None:
    """One browser's event stream, read and thrown away; a figure is asked for each 5 s, as the page does."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
    writer.write(f"GET /events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    with suppress(asyncio.IncompleteReadError):
        asked_s = time.monotonic()
        while await reader.read(1 << 20):
            if time.monotonic() - asked_s > 5:
                asked_s = time.monotonic()
                await _ask(port, "/api/decay?coin=&side=")
    writer.close()


async def _ask(port: int, path: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
    await reader.read()
    writer.close()


async def _play(venue: VenueServer) -> None:
    """Books that quiver around their oracles, and oracles that jump away and are followed."""
    chance, loop = Random(7), asyncio.get_running_loop()
    mids, oracles = dict.fromkeys(MARKETS, 100.0), dict.fromkeys(MARKETS, 100.0)
    began_s, books, contexts, jumps = loop.time(), 0, 0, 0
    while True:
        elapsed_s = loop.time() - began_s
        while jumps < elapsed_s * SIGNALS_PER_S:
            coin = chance.choice(MARKETS)
            oracles[coin] = 100.0 * (1 + chance.choice((-1, 1)) * 0.003)
            _publish_oracle(venue, coin, oracles[coin])
            jumps += 1
        while books < elapsed_s * BOOKS_PER_S * len(MARKETS):
            coin = MARKETS[chance.randrange(len(MARKETS))]
            mids[coin] += (oracles[coin] - mids[coin]) * 0.3
            mid_px = mids[coin] + chance.uniform(-0.01, 0.01)
            sizes = (f"{chance.uniform(1, 9):.2f}", f"{chance.uniform(1, 9):.2f}")
            venue.publish_bbo(
                coin, (f"{mid_px - 0.01:.3f}", sizes[0]), (f"{mid_px + 0.01:.3f}", sizes[1]), time_ms=wall_ms()
            )
            books += 1
        while contexts < elapsed_s * len(MARKETS):
            coin = MARKETS[contexts % len(MARKETS)]
            _publish_oracle(venue, coin, oracles[coin])
            contexts += 1
        await asyncio.sleep(0.005)


def _publish_oracle(venue: VenueServer, coin: str, oracle_px: float) -> None:
    venue.publish_ctx(coin, asset_ctx(oracle_px=f"{oracle_px:.3f}"))


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _mb(process: psutil.Process) -> float:
    return float(process.memory_info().rss / 1e6)


if __name__ == "__main__":
    typer.run(main)
