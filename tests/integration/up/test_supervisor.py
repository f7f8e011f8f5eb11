"""`hip3 up` with small programs as its parts: parts that die, parts that end slowly, and its own death."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hip3_tasks.up.reaper import running_groups
from tests.support.up_system import UpSystem
from tests.support.waiting import eventually

# argv: data directory, duration or '', then name=code of each part.
UP = """
import dataclasses, sys
from hip3_tasks import cli, settings
from hip3_tasks.up import child_process, plan
from hip3_tasks.up.child_process import ProcessSpec
from hip3_tasks.up.command import up

child_process.MAX_BACKOFF_S = 0.1
child_process.MIN_UPTIME_S = 2.0
data_dir, duration, *codes = sys.argv[1:]
chosen = settings.load(data_dir=data_dir, venue="http://127.0.0.1:1")

def make(chosen, options):
    real = plan.make_plan(chosen, options)
    def stand_in(name, code):
        command = [sys.executable, "-c", code]
        environment = real.feed.environment
        return ProcessSpec(
            name=name, command=command, environment=environment, stop_timeout_s=1.0, is_required=name != "flower"
        )
    parts = {name: stand_in(name, code) for name, code in (pair.split("=", 1) for pair in codes)}
    return dataclasses.replace(real, **{"venue": None, "recorder": None, **parts})

options = plan.UpOptions(duration_s=float(duration) if duration else None, as_json=True, flower=False)
sys.exit(cli.exit_status(lambda: up(chosen, options, make_plan=make)))
"""

IDLE = "import signal; signal.pause()"

FEED = """
import os, signal, sys, time
from hip3_tasks import settings
from hip3_tasks.clock import wall_ms
from hip3_tasks.store.feed_status import FeedStatus
from hip3_tasks.store.store import Store
store = Store.from_settings(settings.load())
client, keys = store.client, store.keys
at_end = sys.exit
signal.signal(signal.SIGTERM, lambda *_: at_end(0))
"""
LIVE = """
began_at_ms = wall_ms()
while True:
    counts = dict.fromkeys(("reconnects tape_entries signals signals_dropped signals_unwritten signals_unpublished "
                            "swept clock_behind_wall_ms").split(), 0)
    store.write_feed_status(
        FeedStatus(at_ms=wall_ms(), started_at_ms=wall_ms(), pid=os.getpid(), detecting=True, markets_followed=1,
                   markets_live=1, sockets=1, frames={}, watermark_ms=wall_ms(), problems=[],
                   detection_began_at_ms=began_at_ms, **counts))
    client.set(keys.watermark, wall_ms())
    time.sleep(0.05)
"""


Start = Callable[..., UpSystem]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[UpSystem] = []

    def run(*, duration: str = "", **codes: str) -> UpSystem:
        """Start a `hip3 up` of small programs, each with the given code."""
        parts = {"feed": FEED + LIVE, "worker": IDLE} | codes
        data_dir, path = tmp_path / "data", os.pathsep.join(filter(None, sys.path))
        arguments = (str(data_dir), duration, *(f"{name}={code}" for name, code in parts.items()))
        started.append(UpSystem(data_dir, command=(sys.executable, "-c", UP, *arguments), PYTHONPATH=path))
        return started[-1]

    yield run
    for up in started:
        up.kill()


def wait_until_up(up: UpSystem) -> None:
    """Wait until all parts run: server, feed, worker and reaper."""
    eventually("all runs", lambda: len(up.others()) >= 4 and (up.data_dir / "run.json").exists())


def test_it_runs_for_its_duration_and_leaves_nothing_behind(start: Start) -> None:
    up = start(duration="0.3")
    code, out, err = up.wait()
    assert code == 0, err
    assert json.loads(out) == {
        "signals": 0,
        "followups": 0,
        "missed": 0,
        "pending": 0,
        "lateness_ms": {"p50": None, "p99": None, "max": None},
    }
    assert "this run: signals 0" in err
    assert err.count("the tape is not kept: polars is not installed (extra analysis)") == 1
    assert up.others() == []
    assert not (up.data_dir / "run.json").exists()


def test_open_captures_are_reported_with_exit_1(start: Start) -> None:
    add = "client.zadd(keys.pending, {'one': 1, 'two': 2})\n"
    code, out, err = start(duration="0.1", feed=FEED + add + LIVE).wait()
    assert code == 1
    assert json.loads(out)["pending"] == 2
    assert "2 captures are left open" in err


def test_a_failing_feed_makes_the_run_exit_1(start: Start) -> None:
    code, out, err = start(duration="0.1", feed=FEED + "at_end = lambda _: os._exit(1)\n" + LIVE).wait()
    assert code == 1
    assert json.loads(out)["pending"] == 0
    assert "the feed ended with exit status 1, see" in err


def test_a_dead_child_is_started_again(start: Start, tmp_path: Path) -> None:
    once = (
        f"import os, pathlib; p = pathlib.Path({str(tmp_path / 'died')!r})\nif not p.exists(): p.touch(); os._exit(9)\n"
    )
    up = start(worker=once + IDLE)
    up.wait_for_log("up", "worker died (exit 9), see")
    assert "worker started again" not in up.log("up")
    up.wait_for_log("up", "worker started again")
    up.process.send_signal(signal.SIGINT)
    assert up.wait()[0] == 0


def test_a_child_that_cannot_live_ends_all_with_the_end_of_its_log(start: Start) -> None:
    up = start(worker="raise SystemExit('the moon is blue')")
    code, out, err = up.wait()
    assert code == 2
    assert "hip3: worker died (exit 1) at once, 4 times in a row; the end of" in err
    assert "the moon is blue" in err
    assert out == ""
    assert up.others() == []


def test_flower_is_not_needed(start: Start) -> None:
    up = start(flower="raise SystemExit('no petals')")
    up.wait_for_log("up", "the other processes keep running")
    up.process.send_signal(signal.SIGINT)
    assert up.wait()[0] == 0


def test_the_recorder_ends_after_the_feed_and_before_the_server(start: Start, tmp_path: Path) -> None:
    note = f"open({str(tmp_path / 'ended')!r}, 'a').write"
    feed = f"at_end = lambda code: ({note}('feed '), time.sleep(0.3), {note}('drained '), sys.exit(code))\n"
    recorder = f"at_end = lambda _: ({note}(f'recorder {{client.ping()}}'), sys.exit(0))\nprint('begun', flush=True)\n"
    up = start(feed=FEED + feed + LIVE, recorder=FEED + recorder + "signal.pause()")
    up.wait_for_log("recorder", "begun")
    up.process.send_signal(signal.SIGINT)
    code, _, err = up.wait()
    assert code == 0, err
    assert (tmp_path / "ended").read_text() == "feed drained recorder True"
    assert "the tape is not kept" not in err


def test_a_child_that_does_not_stop_is_killed_with_its_group(start: Start) -> None:
    stubborn = "import signal, subprocess, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    child = "subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
    up = start(duration="0.3", worker=stubborn + child + "while True: signal.pause()")
    assert up.wait()[0] == 0
    assert up.others() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stop_signals_end_the_run_in_order(start: Start, number: signal.Signals) -> None:
    up = start()
    wait_until_up(up)
    up.process.send_signal(number)
    code, out, _ = up.wait()
    assert code == 0
    assert json.loads(out)["pending"] == 0
    assert up.others() == []


def test_a_second_ctrl_c_stops_at_once(start: Start) -> None:
    up = start(feed=FEED + "at_end = lambda _: time.sleep(1_000)\n" + LIVE)
    wait_until_up(up)
    up.process.send_signal(signal.SIGINT)
    up.wait_for_log("up", "no new signals")
    up.process.send_signal(signal.SIGINT)
    assert up.wait()[0] == 130
    assert up.others() == []


def test_being_killed_leaves_nothing_behind(start: Start) -> None:
    up = start()
    wait_until_up(up)
    up.process.kill()
    up.wait()
    up.wait_until_gone()


def test_a_killed_one_keeps_its_directory_until_the_last_of_it_is_gone(start: Start) -> None:
    first = start(worker="import signal, time; signal.signal(signal.SIGTERM, lambda *_: time.sleep(1))\nsignal.pause()")
    wait_until_up(first)
    servers = [process for process in first.others() if "valkey" in process.name()]
    first.process.kill()
    first.wait()
    second = start()
    wait_until_up(second)
    assert not any(server.is_running() for server in servers)
    second.process.send_signal(signal.SIGINT)
    assert second.wait()[0] == 0


def test_a_directory_runs_one_hip3_up(start: Start) -> None:
    first = start()
    wait_until_up(first)
    code, _, err = start(duration="0.1").wait()
    assert code == 2
    assert f"another `hip3 up` runs in {first.data_dir} with process id {first.process.pid}" in err
    first.process.send_signal(signal.SIGINT)
    assert first.wait()[0] == 0


def test_a_dead_reaper_is_replaced(start: Start) -> None:
    up = start()
    wait_until_up(up)
    (old,) = [process for process in up.others() if "reaper.py" in " ".join(process.cmdline())]
    old.kill()
    up.wait_for_log("up", "reaper died and was replaced")
    up.process.kill()
    up.wait()
    up.wait_until_gone()


def test_the_reaper_knows_which_groups_run_and_which_stop_last() -> None:
    announcements = [b"+10 last\n", b"+11\n", b"+12\n", b"-11\n", b"+13\n", b"-10\n", b"+14 last\n", b"+15\n", b"+1"]
    assert running_groups(announcements) == ([15, 13, 12], [14])
    assert running_groups([]) == ([], [])
