"""Rows 9 and 19: a worker killed while it receives, and invalid messages."""

import signal
import sys
import time

import redis

from hip3_tasks.store.keys import Keys, connect
from hip3_tasks.store.task_message import task_message
from tests.faults.row import Result, Setting
from tests.faults.system import NAME, OFFSETS, System
from tests.support.malformed_messages import changed, foreign, malformed, task
from tests.support.process import HIP3, ProcessUnderTest
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

TRIES = 50
PRODUCT, STOCK = "hip3_tasks.transport.channel:Transport", "kombu.transport.redis:Transport"
REPEATS = 5
MAX_RECAPTURED = 300


def frozen_receiver(setting: Setting) -> Result:
    """SIGSTOP while it waits, a message, SIGKILL. No sweeper runs, so only the transport can save the message."""
    result, tries, lost = Result(), setting.share(TRIES), dict[str, int]()
    with RedisServer(setting.folder) as server, connect(server.url) as client:
        for name in PRODUCT, STOCK:
            survived = [_survives(client, server, name, number) for number in setting.sample(range(TRIES))]
            lost[name] = survived.count(False)
    result.injected = result.wanted = tries
    result.lost = lost[PRODUCT]
    result.note = f"control: kombu's own transport loses {lost[STOCK]} of {tries}"
    if not lost[STOCK]:
        result.add_broken("the control lost nothing, so this row shows nothing")
    return result


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


def bad_messages(setting: Setting) -> Result:
    """Malformed and foreign messages of every kind among valid ones; every valid one repeated; a manual recapture."""
    result = Result()
    queue = Keys(NAME).queue
    with System(setting.folder / "bad", signals_per_s=20) as system:
        kinds = malformed() | foreign()
        for done, kind in enumerate(kinds.values()):
            system.client.lpush(queue, changed(queue, kind))
            result.injected += 1
            time.sleep(0.05)
            setting.advance(done, len(kinds))
        system.recovered(result)
        for signal_ in system.signals()[:50]:
            messages = [task_message(capture, queue=queue) for capture in signal_.captures()]
            system.client.lpush(queue, *(messages * REPEATS))
            result.injected += len(messages) * REPEATS
        system.judge(result, when="bad messages")
        quarantined = system.client.llen(system.keys.quarantine)
        if quarantined != len(malformed()):
            result.add_broken(f"{quarantined} quarantined of {len(malformed())}")
        _run_all_again(system, result)
        system.judge(result, when="run again")
        result.note = f"{quarantined} quarantined; no byte of any file changed when all ran again"
    return result


def _run_all_again(system: System, result: Result) -> None:
    before = {path: path.read_bytes() for path in system.data_dir.glob("*.jsonl")}
    ids = [signal_.signal_id for signal_ in system.signals()][:MAX_RECAPTURED]
    result.injected += len(ids)
    answered = _count_in_output(system, "already captured") + len(ids) * OFFSETS
    again = system.part("recapture", *HIP3, "recapture", *ids)
    again.start()
    if again.wait():
        result.add_broken(f"recapture: {again.log[-300:]}")
    eventually("all ran again", lambda: _count_in_output(system, "already captured") >= answered)
    after = {path: path.read_bytes() for path in system.data_dir.glob("*.jsonl")}
    if before != after:
        result.wrong += 1
        result.add_broken("running again changed a file")


def _count_in_output(system: System, words: str) -> int:
    return sum(worker.log.count(words) for worker in system.workers)
