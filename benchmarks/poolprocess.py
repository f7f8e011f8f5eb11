"""Memory and loading time of a worker's pool process, forked and spawned: `python -m benchmarks.poolprocess`.

RSS counts shared pages in full, PSS divides them among the processes that share them, USS leaves them out. The first
line is an interpreter that imports only Celery, its pool and redis.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from benchmarks.processes import ROOT, started
from benchmarks.server import server

START_METHODS = ("fork", "spawn")
BASE = "import celery.concurrency.prefork, redis, sys; print(flush=True); sys.stdin.read()"
WORKER = """
import sys
import billiard
from hip3_tasks.celery import app

if __name__ == "__main__":
    billiard.set_start_method(sys.argv[1], force=True)
    app.start(sys.argv[2:])
"""
OPTIONS = ("worker", "--concurrency=2", "--loglevel=INFO", "--without-gossip", "--without-mingle")
START_TIMEOUT_S = 60
SETTLE_S = 2.0
"""Processes that use no CPU for so long have loaded."""
TRACKER_WORD = "semaphore_tracker"
"""In the command line of a process that billiard starts beside spawned ones."""


def main() -> None:
    print(f"{'':28} {'RSS':>7} {'PSS':>7} {'USS':>7}   CPU to load")
    with tempfile.TemporaryDirectory() as name, server(Path(name)) as (_, url):
        _print_base()
        for method in START_METHODS:
            for pool_process in _pool(Path(name), url, method):
                print(_line(f"pool process, {method}", pool_process))


def _print_base() -> None:
    with subprocess.Popen([sys.executable, "-c", BASE], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        print(_line("Celery, its pool and redis", psutil.Process(process.pid)))
        process.communicate()


def _pool(folder: Path, url: str, method: str) -> Iterator[psutil.Process]:
    """The pool processes of a worker that is ready, until the caller has looked at them."""
    script, log = folder / "pool_worker.py", folder / f"{method}.log"
    script.write_text(WORKER)
    command = [sys.executable, str(script), method, *OPTIONS]
    settings = {"HIP3_REDIS_URL": url, "HIP3_DATA_DIR": str(folder), "PYTHONPATH": str(ROOT)}
    with started(command, log=log, env=settings) as tree:
        until_s = time.monotonic() + START_TIMEOUT_S
        while "ready." not in log.read_text():
            tree.must_run()
            if time.monotonic() > until_s:
                raise RuntimeError(f"the worker is not ready within {START_TIMEOUT_S} s")
            time.sleep(0.05)
        pool = [child for child in psutil.Process(tree.pid).children() if TRACKER_WORD not in " ".join(child.cmdline())]
        used_s = -1.0
        while used_s != (used_s := _cpu_s(pool)):
            time.sleep(SETTLE_S)
        yield from pool


def _cpu_s(processes: Sequence[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def _line(label: str, process: psutil.Process) -> str:
    memory = process.memory_full_info()
    sizes = " ".join(f"{size / 1e6:4.1f} MB" for size in (memory.rss, memory.pss, memory.uss))
    return f"{label:28} {sizes}   {_cpu_s([process]):.2f} s"


if __name__ == "__main__":
    main()
