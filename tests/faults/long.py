"""Rows 23 to 26: all faults at once, long runs, no worker, and a server that returns to an earlier state."""

import random
import shutil
import signal
import time
from collections.abc import Callable

import psutil

from tests.faults.row import Result, Setting
from tests.faults.system import System, frozen, kill_child
from tests.support.waiting import eventually

CHAOS_S, MAX_LATE_S = 300.0, 15.0
SOAK_S = 600.0
SETTLING_S = 240.0
ABSENCE_S, LONG_ABSENCE_S = 600.0, 180.0
RATE = 25.0


def everything(setting: Setting) -> Result:
    """A seeded random schedule of all faults of a running system."""
    result, chance = Result(), random.Random(23)
    with System(setting.folder / "everything", coins=40, signals_per_s=15, workers=2, recorded=True) as system:
        for _ in setting.during(setting.seconds(CHAOS_S, least=30)):
            chance.choice(ACTIONS)(system, chance)
            result.injected += 1
            time.sleep(chance.uniform(0.0, 3.0))
        system.recovered(result)
        system.judge(result, when="everything")
        if (result.lateness_s or 0.0) > MAX_LATE_S:
            result.add_broken(f"a follow-up was {result.lateness_s:.1f} s late, more than {MAX_LATE_S:g} s")
    return result


def _replace_worker(system: System, chance: random.Random) -> None:
    system.workers.pop(chance.randrange(len(system.workers))).kill()
    system.start_worker()


def _kill_child(system: System, chance: random.Random) -> None:
    kill_child(chance.choice(system.workers), chance)


def _freeze_child(system: System, chance: random.Random) -> None:
    children = chance.choice(system.workers).children()
    if children:
        frozen([chance.choice(children)], chance.uniform(0.5, 3.0))


def _replace_server(system: System, chance: random.Random) -> None:
    system.server.send_signal(chance.choice([signal.SIGKILL, signal.SIGTERM]))
    system.server.wait()
    time.sleep(chance.uniform(0.0, 2.0))
    system.server.start()


def _freeze_server(system: System, chance: random.Random) -> None:
    with system.hole():
        frozen([system.server.pid], chance.uniform(0.5, 7.0))


def _cut_connections(system: System, chance: random.Random) -> None:
    system.client.client_kill_filter(_type="normal", skipme=True)


def _replace_feed(system: System, chance: random.Random) -> None:
    system.replace_feed()


def _freeze_feed(system: System, chance: random.Random) -> None:
    with system.hole():
        frozen([system.feed.pid], chance.uniform(0.5, 4.0))
        system.wait_until_live()


def _drop_venue(system: System, chance: random.Random) -> None:
    with system.hole():
        system.venue.do(system.venue.server.drop_connections)
        time.sleep(0.5)
        system.wait_until_live()


def _replace_recorder(system: System, chance: random.Random) -> None:
    assert system.recorder is not None
    system.recorder.kill()
    time.sleep(chance.uniform(0.0, 2.0))
    system.recorder.start()


def _burst(system: System, chance: random.Random) -> None:
    system.venue.burst()


ACTIONS: tuple[Callable[[System, random.Random], None], ...] = (
    _replace_worker,
    _kill_child,
    _freeze_child,
    _replace_server,
    _freeze_server,
    _cut_connections,
    _replace_feed,
    _freeze_feed,
    _drop_venue,
    _replace_recorder,
    _burst,
)


def soak(setting: Setting) -> Result:
    """Ten minutes of work without a fault; checks that memory does not grow."""
    result = Result()
    with System(setting.folder / "soak", coins=60, signals_per_s=RATE) as system:
        settling_s = setting.seconds(SETTLING_S, least=8)
        setting.wait(settling_s)
        settled = _memory_mb(system)
        setting.wait(setting.seconds(SOAK_S, least=20) - settling_s)
        grown = {name: now / settled[name] - 1 for name, now in _memory_mb(system).items()}
        system.judge(result, when="soak")
        late_ms = sorted(record.captured_at_ms - record.due_at_ms for record in system.followups())
        growth = ", ".join(f"{name} {settled[name]:.0f} MB {share:+.1%}" for name, share in grown.items())
        result.note = f"p99 {late_ms[int(len(late_ms) * 0.99)]} ms late; after minute 4: {growth}"
        if setting.effort == 1 and max(grown.values()) > 0.05:
            result.add_broken(f"memory grows: {growth}")
    return result


def no_worker(setting: Setting) -> Result:
    """Ten minutes of signals without a worker; then a worker starts."""
    return _absence(setting, ABSENCE_S, retention_s=900)


def no_worker_for_longer(setting: Setting) -> Result:
    """No worker for three times the retention: the tape is kept for pending captures, a journal's memory is not."""
    return _absence(setting, LONG_ABSENCE_S, retention_s=60)


def _absence(setting: Setting, absence_s: float, *, retention_s: int) -> Result:
    result = Result(injected=1)
    with System(setting.folder / "absence", coins=60, signals_per_s=RATE, workers=0, retention_s=retention_s) as system:
        setting.wait(setting.seconds(absence_s, least=20))
        queued, waiting = system.client.llen(system.keys.queue), system.pending.size()
        began_s = time.monotonic()
        system.start_worker()
        eventually("all waiting captures are on disk", lambda: system.oldest_due_s() < 2, within_s=300)
        result.add_recovery(time.monotonic() - began_s)
        system.judge(result, when="no worker")
        result.note = f"{waiting:,} captures waited, {queued:,} of them in the queue"
    return result


def server_set_back(setting: Setting) -> Result:
    """The server restarts with its data of one or two seconds ago, while the feed runs."""
    result = Result()
    with System(setting.folder / "back", coins=40) as system:
        folder, older = setting.folder / "back" / "server", setting.folder / "older"
        for _ in setting.rounds(3, result):
            system.venue.burst()
            time.sleep(1.2)  # its append-only file is synced each second
            shutil.copytree(folder, older)
            time.sleep(1.5)
            system.server.kill()
            shutil.rmtree(folder)
            older.rename(folder)
            system.server.start()
            system.recovered(result)
        system.judge(result, when="set back")
    return result


def _memory_mb(system: System) -> dict[str, float]:
    parts = {"feed": system.feed, "worker": system.workers[0], "server": system.server}
    return {
        name: sum(psutil.Process(pid).memory_info().rss for pid in (part.pid, *part.children())) / 1e6
        for name, part in parts.items()
    }
