"""Rows 6, 10 and 11: workers that are killed, ended or stopped while they hold captures or the lock."""

import os
import random
import signal
import time
from itertools import cycle
from pathlib import Path

import psutil

from tests.faults.row import Result, Setting
from tests.faults.system import System, kill_child, signal_each
from tests.support.process import ProcessUnderTest
from tests.support.waiting import eventually

BURST = 100
MAX_PROCESSES = 8
KILLS = 20
DRAINED_MAX_LATE_S = 1.0
MAX_LATE_S = 5.0
ENDS_WITHIN_S = 5.0
STOPPED_S = 18


def worker_killed_with_a_burst(setting: Setting) -> Result:
    """SIGKILL of a whole worker that holds three hundred captures; then a new worker starts."""
    result = Result()
    with System(setting.folder / "burst", coins=BURST, signals_per_s=5) as system:
        system.venue.burst()
        eventually("300 captures wait", lambda: system.client.hlen(f"{system.keys.unacked}") >= 3 * BURST)
        system.workers[0].kill()
        result.injected += 1
        system.start_worker()
        system.recovered(result)
        system.judge(result, when="worker killed")
    _expect_lateness(MAX_LATE_S, result)
    return result


def children_killed(setting: Setting) -> Result:
    """SIGKILL of a pool process, again and again."""
    result, chance = Result(), random.Random(10)
    with System(setting.folder / "children", signals_per_s=20) as system:
        for _ in setting.rounds(KILLS, result, least=3):
            time.sleep(0.4)
            eventually("the pool has processes", system.workers[0].children)
            kill_child(system.workers[0], chance)
        system.recovered(result)
        system.judge(result, when="children killed")
    _expect_lateness(MAX_LATE_S, result)
    return result


def worker_ended_under_load(setting: Setting) -> Result:
    """SIGTERM and SIGQUIT alternately, during bursts; another worker is ready each time."""
    result, numbers = Result(), cycle((signal.SIGTERM, signal.SIGQUIT))
    with System(setting.folder / "ended", coins=60, signals_per_s=20) as system:
        for _ in setting.rounds(6, result, least=2):
            old = _next_worker(system)
            system.venue.burst()
            time.sleep(0.5)
            old.send_signal(next(numbers))
            began_s = time.monotonic()
            old.wait(ENDS_WITHIN_S)
            result.add_recovery(time.monotonic() - began_s)
        system.judge(result, when="worker ended")
    _expect_lateness(MAX_LATE_S, result)
    result.note = f"ends within {result.recovery_s:.1f} s"
    return result


def rolling_restart(setting: Setting) -> Result:
    """Start the next worker before the old worker gets SIGTERM, under a steady load."""
    result = Result()
    with System(setting.folder / "rolling", signals_per_s=20) as system:
        began_ms = system.now_ms()
        for _ in setting.rounds(10, result):
            old = _next_worker(system)
            time.sleep(1)
            old.send_signal(signal.SIGTERM)
            old.wait(ENDS_WITHIN_S)
            time.sleep(2)
        system.judge(result, when="rolling restart")
        late_ms = [
            record.captured_at_ms - record.due_at_ms for record in system.followups() if record.due_at_ms > began_ms
        ]
        result.lateness_s = max(late_ms) / 1000
    _expect_lateness(DRAINED_MAX_LATE_S, result)
    return result


def autoscaled(setting: Setting) -> Result:
    """Grow the pool from one process to eight and back. All are stopped until then: the load needs only three."""
    result = Result()
    keepalive = {"worker": {"AUTOSCALE_KEEPALIVE": "2"}}
    arguments = (f"--autoscale={MAX_PROCESSES},1",)
    with System(setting.folder / "scaled", coins=200, worker_arguments=arguments, environments=keepalive) as system:
        worker = system.workers[0]

        def has_grown() -> bool:
            signal_each(worker.children(), signal.SIGSTOP)
            system.venue.burst()
            time.sleep(0.1)
            return len(worker.children()) == MAX_PROCESSES

        for _ in setting.rounds(3, result):
            eventually("the pool has grown", has_grown)
            signal_each(worker.children(), signal.SIGCONT)
            system.recovered(result)
            eventually("one process is left", lambda: len(worker.children()) == 1, within_s=60)
        system.judge(result, when="autoscaled")
    return result


def child_stopped(setting: Setting) -> Result:
    """SIGSTOP of a whole pool for longer than the visibility timeout, with work in its pipes, beside another worker."""
    result = Result(injected=1)
    with System(setting.folder / "stopped", coins=60, signals_per_s=5, workers=2) as system:
        stopped = eventually("the pool has processes", system.workers[0].children)
        signal_each(stopped, signal.SIGSTOP)
        for _ in range(3):
            system.venue.burst()
            time.sleep(1.0)
        setting.wait(STOPPED_S)
        signal_each(stopped, signal.SIGCONT)
        system.recovered(result)
        system.judge(result, when="pool stopped")
        twice = system.workers[0].log.count("already captured")
        result.note = f"{twice} captures ran twice"
        if not twice:
            result.add_broken("nothing ran twice, so this row shows little")
    return result


def lock_holder_stopped(setting: Setting) -> Result:
    """SIGSTOP of a pool process that holds the lock of the day; the time limit ends it."""
    result = Result(injected=1)
    with System(setting.folder / "holder", signals_per_s=60, workers=2) as system:
        pid = eventually("a pool process is caught with the lock", lambda: _stop_holder(system))
        began_s = time.monotonic()
        system.venue.signals_per_s = 5
        eventually("it was ended", lambda: not psutil.pid_exists(pid), within_s=60)
        result.note = f"ended after {time.monotonic() - began_s:.0f} s"
        system.recovered(result)
        system.judge(result, when="holder of the lock stopped")
    return result


def _next_worker(system: System) -> ProcessUnderTest:
    """Start another worker, wait until it is ready, and return the previous worker."""
    old, new = system.workers[-1], system.start_worker()
    eventually("the next worker is ready", lambda: " ready." in new.log)
    return old


def _expect_lateness(late_s: float, result: Result) -> None:
    if result.lateness_s is None or result.lateness_s > late_s:
        result.add_broken(f"a follow-up was {result.lateness_s} s late, more than {late_s:g} s")


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
    """Ids of processes that hold a lock of the journal's kind."""
    lines = Path("/proc/locks").read_text().splitlines()
    return {int(line.split()[4]) for line in lines if "FLOCK" in line and "->" not in line}
