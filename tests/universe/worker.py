"""A broker that delivers at least once, in any order, and a worker that captures what it is given.

A capture whose task is revoked is set aside and discarded, like each copy of the task, until it is recaptured.
"""

import base64
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest.mock import patch

import orjson
import redis

import workers.capturer
from hip3_tasks.domain.capture import Capture
from hip3_tasks.files.journal import Journal
from hip3_tasks.store.keys import Keys
from hip3_tasks.store.pending import Pending
from hip3_tasks.store.store import Store
from tests.universe.chance import Chance, Killed, Life
from tests.universe.disk import Disk
from tests.universe.loop import VirtualLoop
from tests.universe.server import Server
from workers.capturer import Capturer


class Held(NamedTuple):
    """A task that waits until it is due."""

    due_ms: int
    capture: Capture
    task_id: str


class Worker:
    """Takes messages from the queue, holds them until they are due, and captures them together."""

    def __init__(self, loop: VirtualLoop, chance: Chance, *, server: Server, disk: Disk, keys: Keys, data_dir: Path):
        self._loop, self._chance, self._server, self._disk = loop, chance, server, disk
        self._keys, self._data_dir = keys, data_dir
        self._held: list[Held] = []
        self._revoked_ids: set[str] = set()
        self.stopped_until_s = 0.0
        self.life = Life("worker", chance)
        self._capturer = self._start()

    def run(self) -> None:
        """Take new messages, and run what is due."""
        if self._loop.time() < self.stopped_until_s:
            return
        if self._server.refusal and not self._chance.happens("a job runs while the server refuses", 0.05):
            return
        if not self._server.is_away and not self._server.refusal:
            self._take()
        now_ms = self._loop.wall_ms()
        due = [held for held in self._held if held.due_ms <= now_ms]
        if not due:
            return
        self._held = [held for held in self._held if held.due_ms > now_ms]
        batch = [held.capture for held in due if held.task_id not in self._revoked_ids]
        self._chance.shuffle(batch)
        try:
            self._set_aside([held.capture for held in due if held.task_id in self._revoked_ids])
            self._disk.run(self.life, self._capturer.capture_all, batch)
        except Killed:
            self._restart(due)
        else:
            if self._chance.happens("a task is delivered twice", 0.1):
                self._held += [held._replace(due_ms=now_ms + self._chance.randint(0, 2000)) for held in due]

    def revoke(self) -> None:
        """Revoke a task that it holds, as an operator does."""
        if self._held:
            self._revoked_ids.add(self._chance.choice(self._held).task_id)

    def recapture_revoked(self) -> None:
        """Publish what was set aside again, as `hip3 recapture` does: by ids of their own."""
        members: Any = self._server.direct.zrange(self._keys.revoked, 0, -1)
        captures = [Capture.from_member(member.decode()) for member in members]
        Store(self._server.direct, self._keys).publish(captures)

    def count_revoked(self) -> int:
        return Pending(self._server.direct, self._keys).revoked()

    def _set_aside(self, captures: Sequence[Capture]) -> None:
        with suppress(redis.RedisError):
            for capture in captures:
                self._store.pending.revoke(capture)

    def _take(self) -> None:
        length = self._server.length(self._keys.queue)
        for message in self._server.direct.rpop(self._keys.queue, length) if length else ():
            if self._chance.happens("a task is lost", 0.05):
                continue
            held = _read(message)
            self._held.append(held._replace(due_ms=held.due_ms + self._chance.choice([0, 0, 3, 40])))

    def _restart(self, under_way: list[Held]) -> None:
        """Begin a new life; the messages under way were not acknowledged and come again."""
        self._disk.close_files(self.life)
        self.life, self._revoked_ids = Life("worker", self._chance), set()
        self._capturer = self._start()
        if not self._chance.happens("unacknowledged tasks are lost", 0.2):
            again_ms = self._loop.wall_ms() + self._chance.randint(0, 1500)
            self._held += [held._replace(due_ms=again_ms) for held in under_way]

    def _start(self) -> Capturer:
        self._store = Store(self._server.client(self.life), self._keys)  # type: ignore[arg-type]
        return Capturer(
            self._store, journal=Journal(self._data_dir), data_dir=self._data_dir, now_ms=self._loop.wall_ms
        )


def never_waits() -> AbstractContextManager[object]:
    """Let a capturer read the watermark once, and answer `pending` instead of waiting."""
    ticks = iter(range(10**9))
    time = SimpleNamespace(monotonic=lambda: next(ticks), sleep=lambda _: None)
    return patch.object(workers.capturer, "time", time)


def _read(message: bytes) -> Held:
    envelope: Any = orjson.loads(message)
    (signal_id, offset_ms), *_ = orjson.loads(base64.b64decode(envelope["body"]))
    eta = envelope["headers"]["eta"]
    eta_ms = 0 if eta is None else int(datetime.fromisoformat(eta).timestamp() * 1000)
    return Held(eta_ms, Capture.from_ids(signal_id, offset_ms), envelope["headers"]["id"])
