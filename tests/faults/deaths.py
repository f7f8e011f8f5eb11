"""Rows 6, 10 and 11: workers that are killed, ended or stopped with captures, or the lock, in their hands."""

import os
import random
import signal
import time
from itertools import cycle
from pathlib import Path

import psutil

from tests.faults.row import Found, Setting
from tests.faults.system import System, kill_child, signal_each
from tests.support.process import ProcessUnderTest
from tests.support.waiting import eventually

BURST = 100
PROCESSES_MOST = 8
KILLS = 20
DRAINED_LATEST_S = 1.0
LATEST_S = 5.0
ENDS_WITHIN_S = 5.0
STOPPED_S = 18


def worker_killed_with_a_burst(setting: Setting) -> Found:
    """The whole worker by SIGKILL as three hundred captures wait in it; a new one is started."""
    found = Found()
    with System(setting.folder / "burst", coins=BURST, signals_per_s=5) as system:
        system.venue.burst()
        eventually("300 captures wait", lambda: system.client.hlen(f"{system.keys.unacked}") >= 3 * BURST)
        system.workers[0].kill()
        found.injected += 1
        system.start_worker()
        system.recovered(found)
        system.judge(found, when="worker killed")
    _expect_at_most(LATEST_S, found)
    return found


def children_killed(setting: Setting) -> Found:
    """A pool process by SIGKILL, again and again."""
    found, chance = Found(), random.Random(10)
    with System(setting.folder / "children", signals_per_s=20) as system:
        for _ in setting.rounds(KILLS, found, least=3):
            time.sleep(0.4)
            eventually("the pool has processes", system.workers[0].children)
            kill_child(system.workers[0], chance)
        system.recovered(found)
        system.judge(found, when="children killed")
    _expect_at_most(LATEST_S, found)
    return found


def worker_ended_under_load(setting: Setting) -> Found:
    """SIGTERM and SIGQUIT by turns, while bursts come; each time another worker is there already."""
    found, numbers = Found(), cycle((signal.SIGTERM, signal.SIGQUIT))
    with System(setting.folder / "ended", coins=60, signals_per_s=20) as system:
        for _ in setting.rounds(6, found, least=2):
            old = _next_worker(system)
            system.venue.burst()
            time.sleep(0.5)
            old.send_signal(next(numbers))
            began_s = time.monotonic()
            old.wait(ENDS_WITHIN_S)
            found.took(time.monotonic() - began_s)
        system.judge(found, when="worker ended")
    _expect_at_most(LATEST_S, found)
    found.note = f"ends within {found.recovery_s:.1f} s"
    return found


def rolling_restart(setting: Setting) -> Found:
    """Another worker is up before the old one is asked to end, under an even load."""
    found = Found()
    with System(setting.folder / "rolling", signals_per_s=20) as system:
        began_ms = system.now_ms()
        for _ in setting.rounds(10, found):
            old = _next_worker(system)
            time.sleep(1)
            old.send_signal(signal.SIGTERM)
            old.wait(ENDS_WITHIN_S)
            time.sleep(2)
        system.judge(found, when="rolling restart")
        late_ms = [one.captured_at_ms - one.due_at_ms for one in system.followups() if one.due_at_ms > began_ms]
        found.lateness_s = max(late_ms) / 1000
    _expect_at_most(DRAINED_LATEST_S, found)
    return found


def autoscaled(setting: Setting) -> Found:
    """From one process to eight and back to one. All are stopped until there are so many: the load needs but three."""
    found = Found()
    keepalive = {"worker": {"AUTOSCALE_KEEPALIVE": "2"}}
    arguments = (f"--autoscale={PROCESSES_MOST},1",)
    with System(setting.folder / "scaled", coins=200, worker_arguments=arguments, environments=keepalive) as system:
        worker = system.workers[0]

        def has_grown() -> bool:
            signal_each(worker.children(), signal.SIGSTOP)
            system.venue.burst()
            time.sleep(0.1)
            return len(worker.children()) == PROCESSES_MOST

        for _ in setting.rounds(3, found):
            eventually("the pool has grown", has_grown)
            signal_each(worker.children(), signal.SIGCONT)
            system.recovered(found)
            eventually("one process is left", lambda: len(worker.children()) == 1, within_s=60)
        system.judge(found, when="autoscaled")
    return found


def child_stopped(setting: Setting) -> Found:
    """SIGSTOP of a whole pool for longer than the visibility timeout, with work in its pipes, beside another worker."""
    found = Found(injected=1)
    with System(setting.folder / "stopped", coins=60, signals_per_s=5, workers=2) as system:
        stopped = eventually("the pool has processes", system.workers[0].children)
        signal_each(stopped, signal.SIGSTOP)
        for _ in range(3):
            system.venue.burst()
            time.sleep(1.0)
        setting.wait(STOPPED_S)
        signal_each(stopped, signal.SIGCONT)
        system.recovered(found)
        system.judge(found, when="pool stopped")
        twice = system.workers[0].log.count("already captured")
        found.note = f"{twice} captures ran twice"
        if not twice:
            found.blame("nothing ran twice, so this row shows little")
    return found


def lock_holder_stopped(setting: Setting) -> Found:
    """SIGSTOP of a pool process as it holds the day's lock; the time limit ends it."""
    found = Found(injected=1)
    with System(setting.folder / "holder", signals_per_s=60, workers=2) as system:
        pid = eventually("a pool process is caught with the lock", lambda: _stop_holder(system))
        began_s = time.monotonic()
        system.venue.signals_per_s = 5
        eventually("it was ended", lambda: not psutil.pid_exists(pid), within_s=60)
        found.note = f"ended after {time.monotonic() - began_s:.0f} s"
        system.recovered(found)
        system.judge(found, when="holder of the lock stopped")
    return found


def _next_worker(system: System) -> ProcessUnderTest:
    """Start another worker and wait until it is ready; the one before it."""
    old, new = system.workers[-1], system.start_worker()
    eventually("the next worker is ready", lambda: " ready." in new.log)
    return old


def _expect_at_most(late_s: float, found: Found) -> None:
    if found.lateness_s is None or found.lateness_s > late_s:
        found.blame(f"a follow-up was {found.lateness_s} s late, more than {late_s:g} s")


def _stop_holder(system: System) -> int | None:
    children = {pid for worker in system.workers for pid in worker.children()}
    for _ in range(2_000):
        for pid in children & _holders():
            os.kill(pid, signal.SIGSTOP)
            time.sleep(0.001)
            if pid in _holders():
                return pid
            os.kill(pid, signal.SIGCONT)
    return None


def _holders() -> set[int]:
    """Processes that hold a lock of the kind that the journal takes."""
    lines = Path("/proc/locks").read_text().splitlines()
    return {int(line.split()[4]) for line in lines if "FLOCK" in line and "->" not in line}
