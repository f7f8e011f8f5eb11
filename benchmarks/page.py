"""`make bench-page`: what the live page costs, how soon it is there, and that captures are no later for it."""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import orjson
import psutil
import redis
import typer
from rich.console import Console
from rich.markdown import Markdown

from benchmarks.machine import of_machine
from benchmarks.pagefigures import Found, Stretch, section
from benchmarks.processes import stray_cores
from benchmarks.sections import with_section
from benchmarks.venue import PAGE, venue
from benchmarks.viewers import watched
from hip3_tasks.clock import wall_ms
from hip3_tasks.run_file import RunFile
from hip3_tasks.store.keys import Keys
from tools.browser import PROGRAM, Tab, browser

HIP3 = (sys.executable, "-m", "hip3_tasks.cli")
VIEWERS = (1, 50, 100)
SETTLING_S = 15
PAGE_SETTLING_S = 10
LAST_DUE_S = 6
BROWSER_SETTLES_S = 3
DRAWING_S = 10
OPENINGS = 3
OPENING = """
    const shows = { table: "#market-rows tr", sketch: ".chart .preview path", chart: ".chart .trace" };
    window.shownAtMs = {};
    new MutationObserver((_, seen) => {
      for (const [name, what] of Object.entries(shows)) {
        if (document.querySelector(what)) shownAtMs[name] ??= Math.round(performance.now());
      }
      if (shownAtMs.table && shownAtMs.chart) seen.disconnect();
    }).observe(document, { subtree: true, childList: true });
"""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(help=__doc__)
def main(
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    seconds: Annotated[int, typer.Option(min=10, help="of each stretch")] = 40,
    minutes: Annotated[int, typer.Option(min=0, help="for which memory is looked at")] = 10,
    publish: Annotated[bool, typer.Option("--publish", help="the section goes into benchmarks/RESULTS.md")] = False,
) -> None:
    found = Found(of_machine(), stray_cores=stray_cores(1.0))
    asyncio.run(_run(found, rounds, seconds, minutes))
    text = section(found)
    Console().print(Markdown(text))
    if publish:
        results = Path(__file__).with_name("RESULTS.md")
        results.write_text(with_section(results.read_text(), text))


async def _run(found: Found, rounds: int, seconds: int, minutes: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder)
        async with venue(PAGE) as url, _system(url, data_dir) as run:
            for _ in range(rounds):
                found.rounds.append(await _round(run, data_dir, seconds))
            async with _page(data_dir) as (page, port), watched(port, 1):
                for _ in range(OPENINGS if PROGRAM else 0):
                    shown, share = await asyncio.to_thread(_opened, port)
                    found.openings.append(shown)
                    found.browser_shares.append(share)
                for minute in range(minutes + 1):
                    found.minutes_mb.append(page.memory_info().rss / 1e6)
                    await asyncio.sleep(60 if minute < minutes else 0)


async def _round(run: RunFile, data_dir: Path, seconds: int) -> list[Stretch]:
    stretches = [await _stretch(run, data_dir, seconds)]
    for viewers in VIEWERS:
        async with _page(data_dir) as (page, port), watched(port, viewers):
            await asyncio.sleep(PAGE_SETTLING_S)
            stretches.append(await _stretch(run, data_dir, seconds, page=page, viewers=viewers))
    return stretches


async def _stretch(
    run: RunFile, data_dir: Path, seconds: int, *, page: psutil.Process | None = None, viewers: int | None = None
) -> Stretch:
    feed = next(one for one in psutil.Process(run.pid).children() if one.cmdline()[-2:] == ["-m", "feed"])
    since_ms, began_s, feed_s, page_s = wall_ms(), time.monotonic(), _cpu_s(feed), _cpu_s(page)
    ages_ms = []
    for _ in range(seconds):
        await asyncio.sleep(1)
        ages_ms.append(await asyncio.to_thread(_watermark_age_ms, run))
    until_ms, elapsed_s = wall_ms(), time.monotonic() - began_s
    shares = ((_cpu_s(page) - page_s) / elapsed_s, (_cpu_s(feed) - feed_s) / elapsed_s)
    await asyncio.sleep(LAST_DUE_S)
    late_ms = [late for late, due_at_ms in _lateness(data_dir) if since_ms <= due_at_ms < until_ms]
    stretch = Stretch(
        viewers=viewers,
        page_share=shares[0],
        feed_share=shares[1],
        late_ms=sorted(late_ms),
        watermark_ages_ms=sorted(ages_ms),
    )
    told = f"page {shares[0]:.2%}, feed {shares[1]:.2%}, lateness {stretch.late(0.5)} / {stretch.late(0.99)} ms"
    print(f"{'no page' if viewers is None else f'{viewers} viewers'}: {told} of {len(late_ms)}", flush=True)
    return stretch


def _opened(port: int) -> tuple[dict[str, int], float]:
    """How soon a browser that has never been here shows what, and how busy its main thread is from then on."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, browser(Path(folder)) as tab:
        tab.size(1440, 900)
        tab.send("Page.addScriptToEvaluateOnNewDocument", source=OPENING)
        tab.send("Performance.enable")
        time.sleep(BROWSER_SETTLES_S)
        tab.open(f"http://127.0.0.1:{port}")
        tab.until("window.shownAtMs.table && window.shownAtMs.chart", within_s=60)
        shown: dict[str, int] = tab.run("window.shownAtMs")
        before_s = _busy_s(tab)
        time.sleep(DRAWING_S)
        print(f"opened: {shown}", flush=True)
        return shown, (_busy_s(tab) - before_s) / DRAWING_S


def _busy_s(tab: Tab) -> float:
    metrics = {one["name"]: one["value"] for one in tab.send("Performance.getMetrics")["metrics"]}
    return float(metrics["TaskDuration"])


def _lateness(data_dir: Path) -> list[tuple[int, int]]:
    """Of all captures so far, with when they were due."""
    records = [orjson.loads(line) for path in data_dir.glob("followups_*") for line in path.read_bytes().splitlines()]
    return [(record["captured_at_ms"] - record["due_at_ms"], record["due_at_ms"]) for record in records]


def _watermark_age_ms(run: RunFile) -> int:
    with redis.Redis.from_url(run.redis_url) as client:
        return wall_ms() - int(client.get(Keys(run.name).watermark) or 0)


@asynccontextmanager
async def _system(venue_url: str, data_dir: Path) -> AsyncIterator[RunFile]:
    """Once it has captured something."""
    options = ("--venue", venue_url, "--data-dir", str(data_dir), "--no-flower", "--no-page")
    with (data_dir / "up.txt").open("w") as log:
        up = await asyncio.create_subprocess_exec(*HIP3, "up", *options, stdout=log)
    try:
        while not ((run := RunFile.read(data_dir)) and await asyncio.to_thread(_lateness, data_dir)):
            await asyncio.sleep(0.2)
        await asyncio.sleep(SETTLING_S)
        yield run
    finally:
        up.terminate()
        await up.wait()


@asynccontextmanager
async def _page(data_dir: Path) -> AsyncIterator[tuple[psutil.Process, int]]:
    """`hip3 page` over the running system, and its port."""
    environment = os.environ | {"HIP3_DATA_DIR": str(data_dir), "HIP3_PAGE_PORT": "0"}
    page = await asyncio.create_subprocess_exec(*HIP3, "page", env=environment, stdout=asyncio.subprocess.PIPE)
    try:
        assert page.stdout is not None
        yield psutil.Process(page.pid), int((await page.stdout.readline()).rpartition(b":")[2])
    finally:
        page.terminate()
        await page.wait()


def _cpu_s(process: psutil.Process | None) -> float:
    times = process.cpu_times() if process else None
    return float(times.user + times.system) if times else 0.0


if __name__ == "__main__":
    app()
