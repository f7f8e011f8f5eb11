"""Rows 9 and 19: a worker killed as it receives, and messages that nobody should have sent."""

import signal
import sys
import time

import redis

from hip3_tasks.store.keys import Keys, connect
from hip3_tasks.store.task_message import task_message
from tests.faults.row import Found, Setting
from tests.faults.system import NAME, OFFSETS, System
from tests.support.malformed_messages import changed, foreign, malformed, task
from tests.support.process import HIP3, ProcessUnderTest
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

TRIES = 50
OURS, STOCK = "hip3_tasks.transport.channel:Transport", "kombu.transport.redis:Transport"
REPEATS = 5
RE_RUN_MOST = 300


def frozen_receiver(setting: Setting) -> Found:
    """SIGSTOP while it waits, a message, SIGKILL. No sweeper, so that the transport alone answers for the message."""
    found, tries, lost = Found(), setting.share(TRIES), dict[str, int]()
    with RedisServer(setting.folder) as server, connect(server.url) as client:
        for name in OURS, STOCK:
            survived = [_survives(client, server, name, number) for number in setting.some(range(TRIES))]
            lost[name] = survived.count(False)
    found.injected = found.wanted = tries
    found.lost = lost[OURS]
    found.note = f"control: kombu's own transport loses {lost[STOCK]} of {tries}"
    if not lost[STOCK]:
        found.blame("the control lost nothing, so this row shows nothing")
    return found


def _survives(client: "redis.Redis", server: RedisServer, transport: str, number: int) -> bool:
    """Whether the message is in its queue, or registered as received, when its receiver is dead."""
    queue = f"{transport}-{number}"
    command = (sys.executable, "-m", "tests.faults.receiver", server.url, queue, transport)
    with ProcessUnderTest(*command, log=server.log_path.with_name(f"receiver-{queue}.log")) as receiver:
        receiver.wait_for("waits\n")
        eventually("it waits for a message", lambda: _blocked(client))
        receiver.send_signal(signal.SIGSTOP)
        client.lpush(queue, task(number, queue=queue))
        time.sleep(0.02)
    return bool(client.llen(queue) + client.hlen(f"{queue}:unacked"))


def _blocked(client: "redis.Redis") -> int:
    return int(client.info("clients")["blocked_clients"])


def bad_messages(setting: Setting) -> Found:
    """Every kind of malformed and foreign message among the good ones; every good one again; a day re-run by hand."""
    found = Found()
    queue = Keys(NAME).queue
    with System(setting.folder / "bad", signals_per_s=20) as system:
        kinds = malformed() | foreign()
        for done, kind in enumerate(kinds.values()):
            system.client.lpush(queue, changed(queue, kind))
            found.injected += 1
            time.sleep(0.05)
            setting.advance(done, len(kinds))
        system.recovered(found)
        for signal_ in system.signals()[:50]:
            messages = [task_message(capture, queue=queue) for capture in signal_.captures()]
            system.client.lpush(queue, *(messages * REPEATS))
            found.injected += len(messages) * REPEATS
        system.judge(found, when="bad messages")
        quarantined = system.client.llen(system.keys.quarantine)
        if quarantined != len(malformed()):
            found.blame(f"{quarantined} quarantined of {len(malformed())}")
        _run_all_again(system, found)
        system.judge(found, when="run again")
        found.note = f"{quarantined} quarantined; no byte of any file changed when all ran again"
    return found


def _run_all_again(system: System, found: Found) -> None:
    before = {path: path.read_bytes() for path in system.data_dir.glob("*.jsonl")}
    ids = [signal_.signal_id for signal_ in system.signals()][:RE_RUN_MOST]
    found.injected += len(ids)
    answered = _said(system, "already captured") + len(ids) * OFFSETS
    again = system.part("recapture", *HIP3, "recapture", *ids)
    again.start()
    if again.wait():
        found.blame(f"recapture: {again.log[-300:]}")
    eventually("all ran again", lambda: _said(system, "already captured") >= answered)
    after = {path: path.read_bytes() for path in system.data_dir.glob("*.jsonl")}
    if before != after:
        found.wrong += 1
        found.blame("running again changed a file")


def _said(system: System, words: str) -> int:
    return sum(worker.log.count(words) for worker in system.workers)
