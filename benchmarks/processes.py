"""Processes of a run: started in sessions of their own, measured with their children, ended by their ids."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).parent.parent
PATIENCE_S = 10


@dataclass(frozen=True, slots=True)
class Memory:
    """In MB, summed over processes."""

    now: float
    peak: float
    """The sum of each one's highest; what they share counts in each."""
    unique: float
    """What would be free if they ended."""


class Tree:
    """A process and whatever it started."""

    def __init__(self, command: Sequence[str], *, env: dict[str, str], log: Path, cwd: Path = ROOT) -> None:
        with log.open("ab") as out:
            # A Ctrl-C is for the benchmark alone, which then ends its processes in order.
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
        """User and system, of children that have ended too."""
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
        """Ask the root to end, then make sure of everyone."""
        everyone = list(self._living())
        with suppress(psutil.NoSuchProcess):
            self._root.terminate()
        with suppress(psutil.TimeoutExpired):
            self._root.wait(PATIENCE_S)
        _, living = psutil.wait_procs(everyone, timeout=1)
        for process in living:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(living, timeout=PATIENCE_S)

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
    """CPU time that this machine has spent on anything, or had taken from it, since it started."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)


def stray_cores(seconds: float) -> float:
    """How many cores others use, as seen for a while."""
    before, began_s = busy_s(), time.monotonic()
    own = sum(os.times()[:2])
    time.sleep(seconds)
    return (busy_s() - before - (sum(os.times()[:2]) - own)) / (time.monotonic() - began_s)


def cpu_s(process: psutil.Process) -> float:
    """User and system, of the process alone. Raises psutil.Error or OSError when it has gone."""
    if sys.platform != "linux":
        times = process.cpu_times()
        return float(times.user + times.system)
    # The clock of another process, as clock_getcpuclockid(3) has it: ns, where the files under /proc tell 10 ms.
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
