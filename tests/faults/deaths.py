"""Rows 6, 10 and 11: workers that are killed, ended or stopped with captures, or the lock, in their hands."""

import os
import random
import signal
import time
from contextlib import suppress
from itertools import cycle
from pathlib import Path

import psutil

from tests.faults.row import Found, Setting
from tests.faults.system import System, eventually

BURST = 100
KILLS = 20
LATEST_S = 0.1
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
    return found


def children_killed(setting: Setting) -> Found:
    """A pool process by SIGKILL, again and again."""
    found, chance = Found(), random.Random(10)
    kills = setting.share(KILLS, least=3)
    with System(setting.folder / "children", signals_per_s=20) as system:
        for done in range(kills):
            time.sleep(0.4)
            children = eventually("the pool has processes", system.workers[0].children)
            with suppress(ProcessLookupError):
                os.kill(chance.choice(children), signal.SIGKILL)
            found.injected += 1
            setting.advance(done + 1, kills)
        system.recovered(found)
        system.judge(found, when="children killed")
    return found


def worker_ended_under_load(setting: Setting) -> Found:
    """SIGTERM and SIGQUIT by turns, while bursts come; each time another worker is there already."""
    found = Found()
    rounds = setting.share(6, least=2)
    with System(setting.folder / "ended", coins=60, signals_per_s=20) as system:
        for done, number in zip(range(rounds), cycle((signal.SIGTERM, signal.SIGQUIT)), strict=False):
            old = system.workers[-1]
            new = system.start_worker()
            eventually("the next worker is ready", lambda new=new: " ready." in new.said)
            system.venue.burst()
            time.sleep(0.5)
            old.signal(number)
            began_s = time.monotonic()
            old.wait()
            found.took(time.monotonic() - began_s)
            found.injected += 1
            setting.advance(done + 1, rounds)
        system.judge(found, when="worker ended")
    found.note = f"ends within {found.recovery_s:.1f} s"
    return found


def rolling_restart(setting: Setting) -> Found:
    """Another worker is up before the old one is asked to end, under an even load."""
    found, rounds = Found(), setting.share(4)
    with System(setting.folder / "rolling", signals_per_s=20) as system:
        began_ms = system.now_ms()
        for done in range(rounds):
            old = system.workers[-1]
            new = system.start_worker()
            eventually("the next worker is ready", lambda new=new: " ready." in new.said)
            time.sleep(1)
            old.signal(signal.SIGTERM)
            old.wait()
            found.injected += 1
            time.sleep(2)
            setting.advance(done + 1, rounds)
        system.judge(found, when="rolling restart")
        late_ms = [one.captured_at_ms - one.due_at_ms for one in system.followups() if one.due_at_ms > began_ms]
        found.lateness_s = max(late_ms) / 1000
    if found.lateness_s > LATEST_S:
        found.blame(f"{found.lateness_s:.2f} s late through a drained restart, more than {LATEST_S} s")
    return found


def child_stopped(setting: Setting) -> Found:
    """SIGSTOP of a whole pool for longer than the visibility timeout, with work in its pipes, beside another worker."""
    found = Found(injected=1)
    with System(setting.folder / "stopped", coins=60, signals_per_s=5, workers=2) as system:
        stopped = eventually("the pool has processes", system.workers[0].children)
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        for _ in range(3):
            system.venue.burst()
            time.sleep(1.0)
        for second in range(STOPPED_S):
            time.sleep(1)
            setting.advance(second, STOPPED_S)
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
        system.recovered(found)
        system.judge(found, when="pool stopped")
        twice = system.workers[0].said.count("already captured")
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
