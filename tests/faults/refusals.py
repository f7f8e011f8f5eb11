"""Row 30: a server that answers, and refuses: one row for each family of its refusals."""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from threading import Thread
from typing import NamedTuple

import orjson
import psutil
import redis

from tests.faults.row import Result, Setting
from tests.faults.system import System
from tests.support.process import HIP3
from tests.support.waiting import eventually

SHORT_S, REFUSAL_S = 1.5, 12.0
"""Shorter than the longest countdown, and longer."""
ON_TIME_AFTER_S, MAX_LATE_S = 2.0, 1.0
"""A capture that is due this long after the end of a refusal, or later, is at most this late."""
AFTER_S = 2.0
BEFORE_MS = 200
"""A capture that is due so shortly before a refusal may not have been made yet."""
RECOVERY_TIMEOUT_S = 5.0
MAX_SAME_LINES = 2
"""Lines with the same words: one of each of two pool processes, or of two minutes."""
EXIT_STATUSES = 0, 1, 2
MAX_OPENED = 20
"""Files and sockets that a process may have opened meanwhile; a pool of connections grows a little."""

Refusal = Callable[[System], AbstractContextManager[None]]


@contextmanager
def _misconf(system: System) -> Iterator[None]:
    """A snapshot that the disk refuses: its file is a directory."""
    snapshot = system.server_dir / "dump.rdb"
    snapshot.unlink(missing_ok=True)
    snapshot.mkdir()
    system.client.config_set("save", "3600 1000000")
    _snapshot(system, "err")
    yield
    snapshot.rmdir()
    _snapshot(system, "ok")
    system.client.config_set("save", "")


def _snapshot(system: System, status: str) -> None:
    system.client.bgsave()
    eventually(
        f"a snapshot ends: {status}",
        lambda: system.client.info("persistence")["rdb_last_bgsave_status"] == status,
    )


@contextmanager
def _configured(system: System, **options: int | str) -> Iterator[None]:
    """Settings of the server that it has while it refuses; then those of before."""
    chosen = {name.replace("_", "-"): value for name, value in options.items()}
    before = {name: system.client.config_get(name)[name] for name in chosen}
    for name, value in chosen.items():
        system.client.config_set(name, value)
    yield
    for name, value in before.items():
        system.client.config_set(name, value)


@contextmanager
def _replica(system: System, *, answers_reads: bool) -> Iterator[None]:
    """A replica of a server that is not there, so that it keeps its own data."""
    with _configured(system, replica_serve_stale_data="yes" if answers_reads else "no"):
        system.client.replicaof("127.0.0.1", "1")
        yield
        system.client.replicaof("NO", "ONE")


@contextmanager
def _without_permission(system: System) -> Iterator[None]:
    system.client.execute_command("ACL", "SETUSER", "hip3", "-@all")
    yield
    system.client.acl_load()
    system.client.acl_log_reset()


@contextmanager
def _busy(system: System) -> Iterator[None]:
    """A script that does not end until it is killed."""
    with _configured(system, busy_reply_threshold=50):
        script = _in_background(system, "EVAL", "while true do end", 0)
        yield
        system.client.script_kill()
        script.join()


@contextmanager
def _loading(system: System) -> Iterator[None]:
    """A server that reads its data again, slowly until the end."""
    delay_us = int(2e6 * REFUSAL_S / system.client.dbsize())
    with _configured(system, key_load_delay=delay_us, loading_process_events_interval_bytes=1024):
        reload = _in_background(system, "DEBUG", "RELOAD")
        yield
    reload.join()


def _in_background(system: System, *command: str | int) -> Thread:
    def call() -> None:
        client = redis.Redis.from_url(system.server.url, socket_timeout=None)
        with client, suppress(redis.ResponseError):  # it was killed
            client.execute_command(*command)

    thread = Thread(target=call, daemon=True)
    thread.start()
    return thread


class Family(NamedTuple):
    refusal: Refusal
    words: str
    """A part of the server's answer."""


FAMILIES = {
    "MISCONF": Family(_misconf, "MISCONF"),
    "READONLY": Family(partial(_replica, answers_reads=True), "read only replica"),
    "MASTERDOWN": Family(partial(_replica, answers_reads=False), "Link with"),
    "NOREPLICAS": Family(partial(_configured, min_replicas_to_write=1), "NOREPLICAS"),
    "OOM": Family(partial(_configured, maxmemory=1), "maxmemory"),
    "NOPERM": Family(_without_permission, "no permissions"),
    "LOADING": Family(_loading, "loading"),
    "BUSY": Family(_busy, "BUSY"),
}


def refused(setting: Setting, *, family: str) -> Result:
    """The server refuses twice: no process ends or floods its log, and captures are on time soon after."""
    result = Result()
    with System(setting.folder / family, recorded=True, server_options=("--enable-debug-command", "local")) as system:
        page = system.part("page", *HIP3, "page", HIP3_PAGE_PORT="0").start()
        page.wait_for("http")
        assert system.recorder is not None
        parts = {"feed": system.feed, "worker": system.workers[0], "recorder": system.recorder, "page": page}
        before = {name: (part.pid, part.children(), len(part.log)) for name, part in parts.items()}
        files = {name: psutil.Process(part.pid).num_fds() for name, part in parts.items()}
        spans = [_refuse(system, family, seconds, result) for seconds in setting.sample((SHORT_S, REFUSAL_S))]
        for name, part in parts.items():
            *processes, size = before[name]
            if not part.is_running or [part.pid, part.children()] != processes:
                result.add_broken(f"{name}: {processes} are now {part.pid}, {part.children()}")
            if part.is_running and (opened := psutil.Process(part.pid).num_fds() - files[name]) > MAX_OPENED:
                result.add_broken(f"{name}: {opened} more files are open than before")
            for problem in _log_problems(part.log[size:]):
                result.add_broken(f"{name}: {problem}")
        system.judge(result, when=family)
        late_s = max(
            (record.captured_at_ms - record.due_at_ms) / 1000
            for record in system.followups()
            if not any(begin_ms <= record.due_at_ms <= end_ms for begin_ms, end_ms in spans)
        )
        result.note = f"at most {late_s:.2f} s late where not due in a refusal or {ON_TIME_AFTER_S:g} s after it"
        if late_s > MAX_LATE_S:
            result.add_broken(result.note)
    return result


def _refuse(system: System, family: str, seconds: float, result: Result) -> tuple[int, int]:
    """Let the server refuse for so long; return the instants between which captures may be late."""
    refusal, words = FAMILIES[family]
    began_s, began_ms = time.monotonic(), system.now_ms()
    with refusal(system):
        eventually(f"the server answers {family}", lambda: words in _answer(system))
        if seconds > SHORT_S:
            _run_commands(system, result)
        time.sleep(max(0.0, began_s + seconds - time.monotonic()))
    ended_ms = system.now_ms()
    system.recovered(result, within_s=RECOVERY_TIMEOUT_S)
    time.sleep(AFTER_S)
    result.injected += 1
    return began_ms - BEFORE_MS, ended_ms + int(1000 * ON_TIME_AFTER_S)


def _answer(system: System) -> str:
    """The error of a read and a write of the system's user."""
    try:
        with redis.Redis.from_url(system.redis_url) as client:
            client.get(system.keys.watermark)
            client.set(system.keys.prefix + "refused", "")
    except redis.RedisError as error:
        return str(error)
    return ""


def _run_commands(system: System, result: Result) -> None:
    """Commands of the user end with a status that says so, and no traceback; an error is one line."""
    signal_id = system.signals()[0].signal_id
    for words in ("status",), ("quarantine", "list"), ("recapture", "--open"), ("recapture", signal_id):
        part = system.part("hip3-" + "-".join(words), *HIP3, *words).start()
        status = part.wait()
        text = part.log.strip()
        is_one_line = status != 2 or len(text.splitlines()) == 1
        if status not in EXIT_STATUSES or "Traceback" in text or not is_one_line:
            result.add_broken(f"hip3 {' '.join(words)}: {status}: {text[-300:]}")


def _log_problems(log: str) -> Iterator[str]:
    if "Traceback" in log:
        yield f"a traceback: {log[log.index('Traceback') :][:3000]}"
    counts = Counter(_lines(log))
    yield from (f"{count} lines {words}" for words, count in counts.items() if count > MAX_SAME_LINES)


def _lines(log: str) -> Iterator[str]:
    """Warnings and errors: the event and error of each JSON line, process and words of each line of Celery."""
    for line in log.splitlines():
        with suppress(orjson.JSONDecodeError):
            fields = orjson.loads(line)
            if fields["level"] not in ("debug", "info"):
                yield _without_numbers(f"{fields['event']} {fields.get('error')}")
            continue
        if match := re.match(r"\[.*: (?:WARNING|ERROR|CRITICAL)/(\S+)\] (.*)", line):
            yield _without_numbers(f"{match[1]} {match[2]}")


def _without_numbers(text: str) -> str:
    return re.sub(r"\S*\d\S*", "", text)
