"""The whole chain of real parts: a scripted venue that knows the truth, a feed, a server, workers, and their files."""

import os
import random
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import orjson
import redis

from hip3_tasks.audit.audit import audit
from hip3_tasks.clock import wall_ms
from hip3_tasks.domain.records import Followup, Missed
from hip3_tasks.errors import Unavailable
from hip3_tasks.settings import Settings, environment
from hip3_tasks.store.feed_status import FeedStatus
from hip3_tasks.store.keys import Keys, connect
from hip3_tasks.store.pending import Pending
from hip3_tasks.store.store import Store
from tests.faults.lines import judge
from tests.faults.row import Found
from tests.faults.venue import Venue
from tests.support.process import CELERY, ProcessUnderTest
from tests.support.proxy import Proxy
from tests.support.redis_acl import acl_file
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually
from tools.data_files import DataFiles

PATIENCE_S = 30.0
SETTLE_S = 40.0
EDGE_MS = 2_500
"""What a hole in the feed's knowledge may cost before it begins and after it has ended: 1.5 s of grace, and a state."""
NAME = "faults"
PASSWORD = "not-a-secret"
OFFSETS = 3
"""Follow-ups of a signal, by default."""


class System(DataFiles):
    """Own ports, one folder. What it starts ends with it."""

    def __init__(
        self,
        folder: Path,
        *,
        coins: int = 20,
        signals_per_s: float = 10.0,
        workers: int = 1,
        worker_arguments: Sequence[str] = ("--concurrency=2",),
        data_dir: Path | None = None,
        environments: Mapping[str, Mapping[str, str]] | None = None,
        ahead_ms: int = 0,
        is_proxied: bool = False,
        **settings: Any,
    ) -> None:
        self.data_dir = data_dir or folder / "data"
        self.venue = Venue(coins=coins, signals_per_s=signals_per_s)
        self.venue.ahead_ms = self._ahead_ms = ahead_ms
        self._environments = environments or {}
        self.keys = Keys(NAME)
        folder.mkdir(exist_ok=True)
        acl = acl_file(folder, PASSWORD, f"user harness on >{PASSWORD} ~* &* +@all")
        options, user = ("--aclfile", str(acl)), f"harness:{PASSWORD}@"
        self.server = RedisServer(folder / "server", *options, log=folder / "server.log", user=user)
        self.client = connect(self.server.url, timeout_s=1.0)
        """May do everything."""
        self.pending = Pending(self.client, self.keys)
        self.holes_ms: list[tuple[int, int]] = []
        """When the feed could not know the market: from, until."""
        self._folder, self._running = folder, ExitStack()
        self.proxy = Proxy(self.server.port)
        """The system's way to the server, if it is proxied; the harness has its own."""
        self._is_proxied = is_proxied
        # Without workers nobody is waited for.
        wait_s = 10 if workers else 0
        self._settings = {
            "retention_s": 120,
            "data_dir": self.data_dir,
            "name": NAME,
            "worker_wait_s": wait_s,
        } | settings
        self._arguments = worker_arguments
        self._number_of_workers, self._workers_started = workers, 0
        self.workers: list[ProcessUnderTest] = []

    def __enter__(self) -> "System":
        try:
            self._start()
        except BaseException:
            self._running.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def _start(self) -> None:
        self._running.enter_context(self.venue)
        self._running.callback(self.client.close)
        port = self._running.enter_context(self.proxy).port if self._is_proxied else self.server.port
        url = f"redis://hip3:{PASSWORD}@127.0.0.1:{port}/0"
        venue_url = self.venue.server.base_url
        self._environment = environment(Settings(venue_url=venue_url, redis_url=url, **self._settings))
        self._running.enter_context(self.server)
        self.feed = self.part("feed", sys.executable, "-m", "feed")
        self.feed.start()
        for _ in range(self._number_of_workers):
            self.start_worker()
        self.wait_until_live()
        if self.workers:
            eventually("a follow-up is on disk", self.followups)

    def part(self, name: str, *command: str, **environment: str) -> ProcessUnderTest:
        """A process of this system, not yet started; it is killed in the end."""
        kind = name.rstrip("0123456789")
        chosen = {**self._environment, **self._environments.get(kind, {}), **environment}
        part = ProcessUnderTest(*command, log=self._folder / f"{name}.log", env=chosen)
        self._running.callback(part.kill)
        return part

    def start_worker(self) -> ProcessUnderTest:
        self._workers_started += 1
        name = f"worker{self._workers_started}"
        options = f"--hostname={name}@%h", *self._arguments, "--without-gossip", "--without-mingle", "--loglevel=INFO"
        worker = self.part(name, *CELERY, "worker", *options)
        worker.start()
        self.workers.append(worker)
        return worker

    def wait_until_live(self, *, within_s: float = PATIENCE_S) -> float:
        """Until the feed that runs now knows all markets; how many seconds that took."""

        def is_live() -> bool:
            status = self.status()
            return bool(status and status.pid == self.feed.pid and status.markets_live == len(self.venue.coins))

        began_s = time.monotonic()
        eventually("all markets are live", is_live, within_s=within_s)
        return time.monotonic() - began_s

    # What is to be seen

    def now_ms(self) -> int:
        """The wall clock of its processes."""
        return wall_ms() + self._ahead_ms

    def status(self) -> FeedStatus | None:
        with suppress(redis.RedisError):
            return Store(self.client, self.keys).feed_status()
        return None

    def oldest_due_s(self) -> float:
        """How long ago the oldest capture was due that is not on disk; 0 when there is none."""
        due_at_ms = self.pending.oldest_due_at_ms()
        return 0.0 if due_at_ms is None else max(0.0, (self.now_ms() - due_at_ms) / 1000)

    # What is done to it

    @contextmanager
    def hole(self) -> Iterator[None]:
        """The feed cannot know the market meanwhile."""
        began_ms = self.now_ms()
        try:
            yield
        finally:
            self.holes_ms.append((began_ms - EDGE_MS, self.now_ms() + EDGE_MS))

    def replace_feed(self) -> float:
        """Kill it, and start another; how many seconds until that one knew all markets."""
        with self.hole():
            self.feed.kill()
            self.feed.start()
            return self.wait_until_live()

    def recovered(self, found: Found, *, within_s: float = PATIENCE_S) -> None:
        """Wait until something due from now on has been captured, and note how long that took."""
        now_ms, before = self.now_ms(), len(self.lines("followups"))
        fresh = eventually(
            "a follow-up captured since the fault has ended",
            lambda: [at_ms for at_ms in self._captured_at_ms(before) if at_ms > now_ms],
            within_s=within_s,
        )
        found.took((min(fresh) - now_ms) / 1000)

    def _captured_at_ms(self, first: int) -> list[int]:
        return [Followup.from_line(line).captured_at_ms for line in self.lines("followups")[first:]]

    # What became of it

    def judge(self, found: Found, *, when: str) -> None:
        """Let nothing more happen, wait until all is on disk, and hold it against the truth."""
        self.venue.signals_per_s = 0
        try:
            eventually("every capture has its line", self._is_settled, within_s=SETTLE_S)
        except AssertionError as error:
            found.blame(f"{when}: {error}: {self.pending.size()} pending")
        wanted = [(signal.signal_id, offset_ms) for signal in self.signals() for offset_ms in signal.offsets_ms]
        judge(self.data_dir, wanted, found, when=when)
        self._judge_audit(found, when)
        followups, missed = self.followups(), self.missed()
        self._judge_truth(followups, missed, found, when)
        self._judge_tape(followups, found, when)
        if refused := self.client.acl_log():
            found.unclear += len(refused)
            found.blame(f"{when}: the server refused {refused[0]}")
        found.missed += len(missed)
        late_s = max((one.captured_at_ms - one.due_at_ms for one in followups), default=0) / 1000
        found.lateness_s = max(found.lateness_s or 0.0, late_s)

    def _is_settled(self) -> bool:
        """Twice, for a signal may be on its way from the feed to the disk."""
        return self._is_all_there() and (time.sleep(0.3) or self._is_all_there())

    def _is_all_there(self) -> bool:
        with suppress(redis.RedisError):
            owed = len(self.lines("signals")) * OFFSETS
            return len(self.lines("followups")) + len(self.lines("missed")) >= owed and not self.pending.size()
        return False

    def _judge_audit(self, found: Found, when: str) -> None:
        try:
            audited = audit(self.data_dir, at_ms=self.now_ms())
        except Unavailable as error:
            found.blame(f"{when}: {error}")
            return
        if not audited.ok:
            found.wrong += len(audited.problems)
            found.blame(f"{when}: audit: {[str(problem) for problem in audited.problems[:2]]}")

    def _judge_truth(self, followups: Sequence[Followup], missed: Sequence[Missed], found: Found, when: str) -> None:
        for one in followups:
            if self._is_in_hole(one.due_at_ms):
                continue
            number = int(one.best_size)
            if wrong := self.venue.shows(one.market_key, number, one.due_at_ms):
                found.wrong += 1
                found.blame(f"{when}: {one.signal_id} + {one.offset_ms} shows state {number}: {wrong}")
        for one in missed:
            if not self._is_in_hole(one.due_at_ms):
                found.wrong += 1
                found.blame(f"{when}: {one.signal_id} + {one.offset_ms} is missed ({one.reason}: {one.detail})")

    def _judge_tape(self, followups: Sequence[Followup], found: Found, when: str) -> None:
        """Each shows the newest entry at or before its due time, found by another way of looking."""
        tapes: dict[str, list[tuple[int, dict[bytes, bytes]]]] = {}
        for one in followups:
            coin = one.market_key
            if coin not in tapes:
                entries = self.client.xrange(self.keys.tape(coin))
                tapes[coin] = [(int(entry_id.split(b"-")[0]), fields) for entry_id, fields in entries]
            in_force = [fields for at_ms, fields in tapes[coin] if at_ms <= one.due_at_ms]
            if not in_force:
                continue  # trimmed, or lost with the server
            state = orjson.loads(in_force[-1].get(b"s", b"null"))
            if state is None or state[:5] != [one.bid_px, one.bid_sz, one.ask_px, one.ask_sz, one.oracle_px]:
                found.wrong += 1
                found.blame(f"{when}: {one.signal_id} + {one.offset_ms}: the tape has {in_force[-1]}")

    def _is_in_hole(self, at_ms: int) -> bool:
        return any(begin <= at_ms <= end for begin, end in self.holes_ms)


def frozen(pids: Sequence[int], seconds: float) -> None:
    """Stop processes for a while."""
    signal_each(pids, signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        signal_each(pids, signal.SIGCONT)


def signal_each(pids: Sequence[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def kill_child(process: ProcessUnderTest, chance: random.Random) -> None:
    """Kill one of its children, if it has any."""
    if children := process.children():
        with suppress(ProcessLookupError):
            os.kill(chance.choice(children), signal.SIGKILL)
