"""Rows 16d and 16e: a feed that is killed between the frames of a burst and the synced lines of its signals.

Each death leaves signals on the tape that no file has; the next feed must write each of them once. A death comes at an
instant of a burst, at a system call on the way from frame to sync, or at a system call of the next feed's start.
"""

import random
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.faults.row import Result, Setting
from tests.faults.system import System
from tests.support.waiting import eventually

BURST = 100
INSTANTS = 24
BURST_S = 0.0, 0.050
"""Every second death comes so long after the frames of a burst were sent; the others as a state reaches the tape."""
MAX_CALLS = 16
"""Points for each kind of call that is frequent, evenly spaced over its calls."""
SOCKET_CALLS = "sendto", "recvfrom"
DEATH_TIMEOUT_S, RETENTION_S = 30.0, 900


class Point(NamedTuple):
    """The call of a name at which strace kills, and the files that it must touch; any call without files."""

    call: str
    number: int
    paths: tuple[Path, ...] = ()


def in_bursts(setting: Setting) -> Result:
    """SIGKILL at instants of a burst; a new feed starts after each."""
    chance = random.Random(16)
    with _judged(setting, recorded=True) as (system, result):
        for number, _ in enumerate(setting.rounds(INSTANTS, result, least=4)):
            coin = chance.choice(system.venue.coins)
            before = system.client.xlen(system.keys.tape(coin))
            with _burst(system):
                if number % 2:
                    time.sleep(chance.uniform(*BURST_S))
                else:
                    _wait_for_entry(system, coin, before)
                system.feed.kill()
                _replace(system, result)
    return result


def at_calls(setting: Setting) -> Result:
    """SIGKILL on entry to system calls from a frame to a synced signal, and of the start of the next feed."""
    if not shutil.which("strace"):
        return Result(note="not tried: no strace")
    chance, reached = random.Random(17), 0
    with _judged(setting) as (system, result):
        for point in setting.sample(_points(_calls_of_a_burst(system))):
            with _burst(system, attached=_injection(point)):
                reached += _has_died(system)
                _replace(system, result)
            result.injected += 1
        for point in setting.sample(_points(_calls_of_a_start(system))):
            with _burst(system):
                time.sleep(chance.uniform(*BURST_S))
                system.feed.kill()
                reached += _has_died_starting(system, point)
                _replace(system, result)
            result.injected += 2
    result.note += f"; {reached} of the {result.injected} deaths at a system call, the others at an instant of a burst"
    return result


@contextmanager
def _judged(setting: Setting, *, recorded: bool = False) -> Iterator[tuple[System, Result]]:
    """A system with a quiet script, judged at the end."""
    result, folder = Result(), setting.folder / "deaths"
    with System(folder, coins=BURST, signals_per_s=2, retention_s=RETENTION_S, recorded=recorded) as system:
        yield system, result
        system.recovered(result)
        system.judge(result, when="feed killed")
    logs = "".join(path.read_text() for path in folder.glob("*.log"))
    again = sum(map(int, re.findall(r'"signals": (\d+), "event": "signals_detected_again"', logs)))
    result.note = f"{again:,} signals were on the tape and not on file at a death, and were detected again"
    if setting.effort == 1 and not again:
        result.add_broken("no signal was on its way at a death, so this row shows nothing")


@contextmanager
def _burst(system: System, *, attached: Sequence[str] = ()) -> Iterator[None]:
    """A burst in a hole that ends when the block does; with `attached`, strace observes the feed from before it."""
    with system.hole(), _attached(system.feed.pid, attached):
        system.venue.burst()
        yield


def _replace(system: System, result: Result) -> None:
    system.feed.start()
    result.add_recovery(system.wait_until_live())


def _wait_for_entry(system: System, coin: str, before: int) -> None:
    """Wait without a pause until a tape is longer: the feed does not have the server's answer yet."""
    until_s = time.monotonic() + 1
    while system.client.xlen(system.keys.tape(coin)) <= before and time.monotonic() < until_s:
        pass


def _has_died(system: System) -> bool:
    """Whether strace has killed the feed; a point that no call reached becomes a death at any instant."""
    try:
        eventually("the feed is dead", lambda: not system.feed.is_running, within_s=3)
    except AssertionError:
        system.feed.kill()
        return False
    return True


def _has_died_starting(system: System, point: Point) -> bool:
    """Whether a feed died at a call of its start; it may also become live, when this start has fewer such calls."""
    doomed = system.part("doomed", "strace", "-D", "-f", *_injection(point), sys.executable, "-m", "feed").start()

    def is_over() -> bool:
        status = system.status()
        is_live = status and status.pid == doomed.pid and status.markets_live == BURST
        return bool(is_live or not doomed.is_running)

    eventually("a feed under strace is dead or live", is_over, within_s=DEATH_TIMEOUT_S)
    has_died = not doomed.is_running
    doomed.kill()
    return has_died


def _injection(point: Point) -> list[str]:
    paths = [word for path in point.paths for word in ("-P", str(path))]
    inject = f"inject={point.call}:signal=SIGKILL:when={point.number}"
    return ["-o", "/dev/null", "-e", f"trace={point.call}", *paths, "-e", inject]


def _calls_of_a_burst(system: System) -> Iterator[tuple[str, tuple[Path, ...]]]:
    """The calls from the first frame to the last synced signal of a burst, on files and on sockets."""
    for options, paths in _traces(system):
        trace = system.data_dir.parent / "trace"
        before = len(system.lines("signals"))
        with _attached(system.feed.pid, ["-o", str(trace), *options]):
            system.venue.burst()
            eventually("the burst is on file", lambda before=before: len(system.lines("signals")) >= before + BURST)
        yield from ((call, paths) for call in _called(trace))


def _calls_of_a_start(system: System) -> Iterator[tuple[str, tuple[Path, ...]]]:
    """The calls of a feed's start until it knows all markets."""
    for options, paths in _traces(system):
        trace = system.data_dir.parent / "trace"
        with system.hole():
            system.feed.kill()
            command = system.feed.command
            system.feed.command = ["strace", "-D", "-f", "-o", str(trace), *options, *command]
            system.feed.start()
            system.wait_until_live()
            system.feed.kill()
            system.feed.command = command
            system.feed.start()
            system.wait_until_live()
        yield from ((call, paths) for call in _called(trace))


def _traces(system: System) -> Iterator[tuple[list[str], tuple[Path, ...]]]:
    """Options of strace for the calls on the feed's files, and then for those on its sockets."""
    paths = tuple(path for path in sorted(system.data_dir.iterdir()) if not re.match("followups|missed", path.name))
    yield ["-e", "trace=all", *(word for path in paths for word in ("-P", str(path)))], paths
    yield ["-e", f"trace={','.join(SOCKET_CALLS)}"], ()


def _called(trace: Path) -> list[str]:
    return re.findall(r"^\d+ +(\w+)\(", trace.read_text(errors="replace"), re.MULTILINE)


def _points(calls: Iterator[tuple[str, tuple[Path, ...]]]) -> list[Point]:
    """A point for each call, of frequent ones an evenly spaced share."""
    points = list[Point]()
    for (call, paths), count in Counter(calls).items():
        keep = min(count, MAX_CALLS)
        points += [Point(call, 1 + index * count // keep, paths) for index in range(keep)]
    return points


@contextmanager
def _attached(pid: int, options: Sequence[str]) -> Iterator[None]:
    """Observe a running process with strace; without options, do nothing."""
    if not options:
        yield
        return
    strace = subprocess.Popen(["strace", "-f", "-p", str(pid), *options], stderr=subprocess.DEVNULL)
    try:
        eventually("strace observes every thread", lambda: _is_observed(pid))
        yield
    finally:
        strace.terminate()
        strace.wait()


def _is_observed(pid: int) -> bool:
    tasks = Path(f"/proc/{pid}/task").glob("*/status")
    return all("TracerPid:\t0\n" not in task.read_text() for task in tasks)
