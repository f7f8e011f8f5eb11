"""Processes of a run: started in their own sessions, measured with their children, ended by their ids."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).parent.parent
END_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory in MB, summed over processes."""

    now: float
    peak: float
    """Sum of the highest RSS of each process; shared pages count in each."""
    unique: float
    """Memory that would be freed if the processes ended."""


class Tree:
    """A process and its descendants."""

    def __init__(self, command: Sequence[str], *, env: dict[str, str], log: Path, cwd: Path = ROOT) -> None:
        with log.open("ab") as out:
            # A Ctrl-C reaches only the benchmark, which then ends its processes cleanly.
            self._root = psutil.Popen(command, cwd=cwd, env=env, stdout=out, stderr=out, start_new_session=True)
        self._log = log

    @property
    def pid(self) -> int:
        return int(self._root.pid)

    def is_running(self) -> bool:
        return self._root.poll() is None

    def must_run(self) -> None:
        if not self.is_running():
            tail = "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])
            raise RuntimeError(f"{self._log.name} ended with {self._root.returncode}:\n{tail}")

    def wait(self, timeout_s: float) -> None:
        self._root.wait(timeout_s)

    def cpu_s(self) -> float:
        """User and system seconds, including children that have ended."""
        return sum(map(_cpu_with_ended_s, self._living()))

    def memory(self) -> Memory:
        living = list(self._living())
        unique = 0.0
        for process in living:
            with suppress(psutil.Error):
                unique += process.memory_full_info().uss
        now = sum(process.memory_info().rss for process in living)
        return Memory(now / 1e6, sum(map(_peak_bytes, living)) / 1e6, unique / 1e6)

    def end(self) -> None:
        """Terminate the root; kill what is left after a timeout."""
        processes = list(self._living())
        with suppress(psutil.NoSuchProcess):
            self._root.terminate()
        with suppress(psutil.TimeoutExpired):
            self._root.wait(END_TIMEOUT_S)
        _, living = psutil.wait_procs(processes, timeout=1)
        for process in living:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(living, timeout=END_TIMEOUT_S)

    def _living(self) -> Iterator[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            for process in [psutil.Process(self._root.pid), *self._root.children(recursive=True)]:
                if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                    yield process


@contextmanager
def started(
    command: Sequence[str], *, env: dict[str, str] | None = None, log: Path, cwd: Path = ROOT
) -> Iterator[Tree]:
    tree = Tree(command, env=dict(os.environ, **(env or {})), log=log, cwd=cwd)
    try:
        yield tree
    finally:
        tree.end()


def busy_s() -> float:
    """CPU seconds that this machine has used, or lost to its host, since it started."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)


def stray_cores(seconds: float) -> float:
    """Number of cores that other processes use, measured for some seconds."""
    before, began_s = busy_s(), time.monotonic()
    own = sum(os.times()[:2])
    time.sleep(seconds)
    return (busy_s() - before - (sum(os.times()[:2]) - own)) / (time.monotonic() - began_s)


def cpu_s(process: psutil.Process) -> float:
    """User and system seconds of a process without its children. Raises psutil.Error or OSError when it has ended."""
    if sys.platform != "linux":
        times = process.cpu_times()
        return float(times.user + times.system)
    # The CPU clock of another process, see clock_getcpuclockid(3): in ns, while the files under /proc have 10 ms.
    return time.clock_gettime((~process.pid << 3) | 2)


def _cpu_with_ended_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(cpu_s(process) + times.children_user + times.children_system)


def _peak_bytes(process: psutil.Process) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return int(process.memory_info().rss)
