"""A running `hip3 up` and its venue: started as a user starts it, measured, and ended cleanly."""

import asyncio
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import psutil
import redis

from benchmarks.checkout import Checkout
from benchmarks.processes import Tree, started
from hip3_tasks.run_file import RunFile
from hip3_tasks.store.keys import Keys, connect
from tools.data_files import DataFiles

START_TIMEOUT_S = 60.0
END_TIMEOUT_S = 60.0


@dataclass(slots=True)
class LiveSystem(DataFiles):
    """A running `hip3 up` and its venue."""

    up: Tree
    venue: Tree
    run: RunFile
    data_dir: Path
    client: redis.Redis

    def bytes(self) -> dict[str, int]:
        """The bytes of the growing files: records, logs and tape."""
        paths = {
            "records": self.data_dir.glob("*_*.jsonl"),
            "logs": self.data_dir.glob("logs/*"),
            "tape": self.data_dir.glob("tape/**/*.parquet"),
        }
        return {name: sum(path.stat().st_size for path in some) for name, some in paths.items()}

    def frames(self) -> int:
        """The number of frames that the feed has received since it started."""
        return sum(orjson.loads(self.client.get(Keys(self.run.name).status) or b'{"frames": {}}')["frames"].values())

    def redis_mb(self) -> float:
        return float(self.client.info("memory")["used_memory"]) / 1e6


@asynccontextmanager
async def running(
    checkout: Checkout, load: str, folder: Path, *, is_recorded: bool = True
) -> AsyncIterator[LiveSystem]:
    """Start `hip3 up` and a venue; ready when a follow-up is on disk and the pages accept connections.

    Without `is_recorded`, no recorder runs. Raises RuntimeError when they are not ready in time.
    """
    data_dir, log = folder / "data", folder / "venue.log"
    with ExitStack() as opened:
        venue = opened.enter_context(started([sys.executable, "-m", "benchmarks.venue", load], log=log))
        url = await until(lambda: log.read_text().strip(), venue, "the venue accepts connections")
        command = checkout.hip3("up", "--venue", url, "--data-dir", str(data_dir))
        # Celery looks for its app in the working directory first, so the working directory must not be a checkout.
        environment = checkout.environment | ({} if is_recorded else {"HIP3_TAPE_DAYS": "0"})
        tree = started(command, env=environment, log=folder / "up.log", cwd=folder)
        up = opened.enter_context(tree)
        await until(lambda: list(data_dir.glob("followups_*")), up, "a follow-up is on disk")
        run = RunFile.read(data_dir)
        if run is None or run.page_url is None or run.flower_url is None:
            raise RuntimeError("`hip3 up` runs without page or Flower; install the extra `web` there")
        for page_url in (run.page_url, run.flower_url):
            await until(lambda page_url=page_url: _listens(page_url), up, f"{page_url} accepts connections")
        yield LiveSystem(up, venue, run, data_dir, opened.enter_context(connect(run.redis_url)))


async def ended(up: Tree) -> None:
    """Terminate `hip3 up`, and wait until it has drained. Raises RuntimeError when it takes too long."""
    psutil.Process(up.pid).terminate()
    try:
        await asyncio.to_thread(up.wait, END_TIMEOUT_S)
    except psutil.TimeoutExpired:
        raise RuntimeError(f"`hip3 up` did not end within {END_TIMEOUT_S:.0f} s") from None


async def until(is_so: Callable[[], object], tree: Tree, what: str) -> str:
    until_s = time.monotonic() + START_TIMEOUT_S
    while not (value := is_so()):
        tree.must_run()
        if time.monotonic() > until_s:
            raise RuntimeError(f"not within {START_TIMEOUT_S:.0f} s: {what}")
        await asyncio.sleep(0.1)
    return str(value)


def _listens(url: str) -> bool:
    with ExitStack() as opened, suppress(OSError):
        opened.enter_context(socket.create_connection(("127.0.0.1", port_of(url)), timeout=1))
        return True
    return False


def port_of(url: str | None) -> int:
    return urlsplit(url or "").port or 0
