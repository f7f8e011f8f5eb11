"""The access rules of the deployed server allow all that the parts need, and no other command."""

import asyncio
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import redis

from hip3_tasks.store.keys import connect
from hip3_tasks.store.task_message import CAPTURE_FOLLOWUP
from hip3_tasks.up.embedded_redis import free_port
from tests.support.feed import FeedRig
from tests.support.process import ROOT, ProcessUnderTest, environment
from tests.support.redis_acl import acl_file
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually_async as eventually

PASSWORD = "not-a-secret"
NAME = "guarded"
FORBIDDEN = [
    "FLUSHALL",
    "FLUSHDB",
    "CONFIG GET *",
    "CONFIG SET maxmemory 1",
    "KEYS *",
    "SCAN 0",
    "SHUTDOWN",
    "DEBUG SLEEP 0",
    "ACL LIST",
    "ACL SETUSER mallory on nopass ~* +@all",
    "MODULE LIST",
    "REPLICAOF NO ONE",
    "CLIENT KILL TYPE normal",
    "CLIENT LIST",
    "CLIENT PAUSE 1",
    "MONITOR",
    "SAVE",
    "SWAPDB 0 1",
    "MIGRATE 127.0.0.1 1 hip3:x 0 1",
    "SCRIPT FLUSH",
    "EVAL return(1) 0",
    "GET another:key",
    "SET another:key 1",
    "PUBLISH another-channel 1",
    "PUBLISH /0.hip3:another.pidbox 1",
    "PSUBSCRIBE /0.hip3:another:events/*",
    "PSUBSCRIBE *",
]


@contextmanager
def guarded(folder: Path) -> Iterator[tuple[str, redis.Redis]]:
    """A server with these rules: the URL of its user, and a client that can read the refusals."""
    acl = acl_file(folder, PASSWORD, "user auditor on >auditor ~* &* +@all", control_name=NAME)
    with (
        RedisServer(folder, "--aclfile", str(acl), user="auditor:auditor@") as server,
        connect(server.url) as auditor,
    ):
        yield f"redis://hip3:{PASSWORD}@127.0.0.1:{server.port}/0", auditor


def test_no_client_connects_without_the_password(tmp_path: Path) -> None:
    with guarded(tmp_path) as (url, _):
        for stranger in (url.replace(PASSWORD, "wrong"), url.replace(f"hip3:{PASSWORD}@", "")):
            with connect(stranger) as client, pytest.raises(redis.AuthenticationError):
                client.ping()


def test_commands_that_the_system_does_not_need_are_refused(tmp_path: Path) -> None:
    with guarded(tmp_path) as (url, _), connect(url) as client:
        for command in FORBIDDEN:
            with pytest.raises(redis.ResponseError, match=r"(?i)no permissions|DEBUG command not allowed"):
                client.execute_command(*command.split())


def test_a_bot_reads_the_streams_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_BOT_PASSWORD", "bot")
    with guarded(tmp_path) as (url, _), connect(url) as system:
        system.xadd("hip3:any:signals", {"signal": "line"})
        with connect(url.replace(f"hip3:{PASSWORD}@", "bot:bot@")) as bot:
            ((name, [(_, fields)]),) = bot.xread({"hip3:any:signals": 0, "hip3:any:outcomes": 0})
            assert (name, fields, bot.xlen(name)) == (b"hip3:any:signals", {b"signal": b"line"}, 1)
            refused = "XADD hip3:any:signals * a b", "XTRIM hip3:any:signals MAXLEN 0", "DEL hip3:any:signals"
            for command in (
                *FORBIDDEN,
                *refused,
                "XRANGE hip3:any:tape:xyz:A - +",
                "LRANGE hip3:any:captures 0 -1",
                "INFO",
            ):
                with pytest.raises(redis.ResponseError, match=r"(?i)no permissions|DEBUG command not allowed"):
                    bot.execute_command(*command.split())


def test_the_documented_user_is_that_of_the_rules(tmp_path: Path) -> None:
    (documented,) = [
        line for line in (ROOT / "docs/library.md").read_text().splitlines() if line.startswith("user bot ")
    ]
    rules = acl_file(tmp_path, PASSWORD, REDIS_BOT_PASSWORD="PASSWORD").read_text().splitlines()
    assert rules[2:] == [documented]


def test_the_whole_system_works_under_the_rules(tmp_path: Path) -> None:
    with guarded(tmp_path) as (url, auditor):
        try:
            asyncio.run(asyncio.wait_for(run_everything(url, tmp_path), 150))
        finally:
            assert auditor.acl_log() == []


async def run_everything(url: str, folder: Path) -> None:
    """Run a feed, workers that start and end, Flower, and every command of an operator."""
    async with FeedRig(url, NAME, folder / "data", offsets_ms="200,400", retention_s=60) as rig:
        await rig.started()
        running = GuardedProcesses(rig)
        try:
            worker = running.celery("worker", "--autoscale=3,1", "-E", "--loglevel=INFO")
            recorder = running.record()
            flower_port = free_port()
            flower_url = f"http://127.0.0.1:{flower_port}"
            running.celery("flower", "--address=127.0.0.1", f"--port={flower_port}")
            await eventually("Flower knows the worker", lambda: len(workers_in(flower_url)) == 1, within_s=60)
            rig.quote("xyz:TSLA", bid=99.99, ask=100.01, oracle=101.0)
            await eventually("the recorder reads", lambda: (now := rig.store.recorder_status()) and now.read_ms)
            await eventually("both follow-ups", lambda: len(rig.followups()) == 2)
            await eventually("Flower has seen the tasks", lambda: len(succeeded_in(flower_url)) == 2)
            signal_id = rig.signals()[0].signal_id
            await running.done("celery", "-A", "hip3_tasks", "inspect", "scheduled")
            arguments = json.dumps([signal_id, 200])
            await running.done("celery", "-A", "hip3_tasks", "call", CAPTURE_FOLLOWUP, "--args", arguments)
            await running.done("hip3_tasks.cli", "recapture", signal_id)
            await running.done("hip3_tasks.cli", "recapture", "--open")
            rig.client.lpush(rig.keys.quarantine, b"not a message", b"another")
            await running.done("hip3_tasks.cli", "quarantine", "retry", sha256(b"another").hexdigest()[:8])
            await eventually("it is back", lambda: rig.client.llen(rig.keys.quarantine) == 2)
            await running.done("hip3_tasks.cli", "quarantine", "drop", "--all")
            assert rig.client.llen(rig.keys.quarantine) == 0
            await running.done("hip3_tasks.cli", "status", "--check")
            page_url = running.page(free_port())
            await eventually("the page shows all", lambda: page_shows_all(page_url), within_s=30)
            assert _asked(f"{page_url}/api/signal?id={signal_id}")["figure"]["data"]
            assert recaptured(page_url, signal_id) == [200, 400]
            await eventually("run by hand", lambda: len(succeeded_in(flower_url)) == 7)
            # Killed while it holds tasks: a second worker takes them, and is then ended.
            rig.quote("xyz:TSLA", bid=99.0, ask=99.5, oracle=102.0)
            await eventually("a second signal", lambda: len(rig.signals()) == 2)
            worker.kill()
            second = running.celery("worker", "--concurrency=1", "--without-mingle", "--loglevel=INFO")
            await eventually("all four follow-ups", lambda: len(rig.followups()) == 4, within_s=60)
            await running.done("celery", "-A", "hip3_tasks", "control", "cancel_consumer", rig.keys.queue)
            second.terminate()
            await eventually("the worker has ended", lambda: not second.is_running)
            assert second.wait() == 0
            rig.feed.terminate()
            assert await rig.ended() == 0
            recorder.terminate()
            await eventually("the recorder has ended", lambda: not recorder.is_running)
            assert recorder.wait() == 0 and rig.store.recorded_ms() == rig.watermark_ms()
        finally:
            running.kill()


class GuardedProcesses:
    """Processes of one system; they are killed with it."""

    def __init__(self, rig: FeedRig) -> None:
        self._environment = environment(
            HIP3_REDIS_URL=rig.url,
            HIP3_NAME=rig.keys.prefix.split(":")[1],
            HIP3_DATA_DIR=str(rig.data_dir),
            FLOWER_UNAUTHENTICATED_API="1",  # otherwise its API requires a login
        )
        self._log = rig.data_dir / "parts.log"
        self._running: list[ProcessUnderTest] = []

    def celery(self, *arguments: str) -> ProcessUnderTest:
        process = self._start("celery", "-A", "hip3_tasks", *arguments)
        self._running.append(process)
        return process

    def record(self) -> ProcessUnderTest:
        self._running.append(self._start("hip3_tasks.cli", "record"))
        return self._running[-1]

    def page(self, port: int) -> str:
        self._environment["HIP3_PAGE_PORT"] = str(port)
        self._running.append(self._start("hip3_tasks.cli", "page"))
        return f"http://127.0.0.1:{port}"

    async def done(self, *module: str) -> None:
        process = self._start(*module)
        await eventually(f"{' '.join(module)} has ended", lambda: not process.is_running, within_s=60)
        assert process.wait() == 0, (module, process.log[-2000:])

    def kill(self) -> None:
        for process in self._running:
            process.kill()

    def _start(self, *module: str) -> ProcessUnderTest:
        return ProcessUnderTest(sys.executable, "-m", *module, log=self._log, env=self._environment).start()


def workers_in(flower_url: str) -> Any:
    return _asked(f"{flower_url}/api/workers?status=1")


def succeeded_in(flower_url: str) -> Any:
    return _asked(f"{flower_url}/api/tasks?state=SUCCESS")


def page_shows_all(page_url: str) -> bool:
    state = _asked(f"{page_url}/api/state") or {}
    return bool(state.get("ok") and state["markets"] and state["signals"] and state["pipeline"]["workers"])


def recaptured(page_url: str, signal_id: str) -> Any:
    question = json.dumps({"signal_id": signal_id}).encode()
    request = urllib.request.Request(f"{page_url}/api/recapture", question, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)["queued_ms"]


def _asked(url: str) -> Any:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)
    except (OSError, urllib.error.URLError):
        return []
