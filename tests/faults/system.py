"""A whole system of real processes: a scripted venue that knows the truth, a feed, a server, workers and files."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import redis

from hip3_tasks.audit.audit import audit
from hip3_tasks.clock import wall_ms
from hip3_tasks.domain.market import Entry, decode_entry
from hip3_tasks.domain.records import Followup, Missed
from hip3_tasks.errors import Unavailable
from hip3_tasks.settings import Settings, environment
from hip3_tasks.store.feed_status import FeedStatus
from hip3_tasks.store.keys import Keys, connect
from hip3_tasks.store.pending import Pending
from hip3_tasks.store.store import Store
from tests.faults.lines import judge
from tests.faults.receptions import Receptions
from tests.faults.recordings import judge_recording
from tests.faults.row import Result
from tests.faults.signals import Known, judge_signals
from tests.faults.venue import Venue
from tests.support.process import CELERY, HIP3, ProcessUnderTest
from tests.support.proxy import Proxy
from tests.support.redis_acl import acl_file
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually
from tools.data_files import DataFiles

TIMEOUT_S = 30.0
SETTLE_TIMEOUT_S = 40.0
EDGE_MS = 2_500
"""Allowed effect of a hole before its start and after its end: 1.5 s of grace, and the time to the next state."""
NAME = "faults"
PASSWORD = "not-a-secret"
TapeEntry = tuple[int, dict[bytes, bytes]]
"""The instant of an entry, and its fields."""
OFFSETS = 3
"""Number of follow-ups per signal, by default."""


class Hole(NamedTuple):
    """A period in which the feed could not know some coins, or all."""

    begin_ms: int
    end_ms: int
    coins: frozenset[str]
    """Empty for all."""

    def covers(self, coin: str | None) -> bool:
        return coin is None or not self.coins or coin in self.coins


class Outcomes(NamedTuple):
    """The records of all captures, and what the feed had received by their due times."""

    followups: Sequence[Followup]
    missed: Sequence[Missed]
    receptions: Receptions


class System(DataFiles):
    """A system with its own ports and folder; on exit its processes are killed."""

    def __init__(
        self,
        folder: Path,
        *,
        coins: int = 20,
        others: int = 0,
        signals_per_s: float = 10.0,
        books_per_s: float = 10.0,
        workers: int = 1,
        worker_arguments: Sequence[str] = ("--concurrency=2",),
        data_dir: Path | None = None,
        environments: Mapping[str, Mapping[str, str]] | None = None,
        ahead_ms: int = 0,
        feed_command: Sequence[str] = ("-m", "feed"),
        is_proxied: bool = False,
        recorded: bool = False,
        server_options: Sequence[str] = (),
        **settings: Any,
    ) -> None:
        self.data_dir = data_dir or folder / "data"
        self.venue = Venue(coins=coins, others=others, signals_per_s=signals_per_s, books_per_s=books_per_s)
        self.venue.ahead_ms = self._ahead_ms = ahead_ms
        self._environments = environments or {}
        self.keys = Keys(NAME)
        folder.mkdir(exist_ok=True)
        acl = acl_file(folder, PASSWORD, f"user harness on >{PASSWORD} ~* &* +@all", control_name=NAME)
        options, user = ("--aclfile", str(acl), *server_options), f"harness:{PASSWORD}@"
        self.server_dir = folder / "server"
        self.server = RedisServer(self.server_dir, *options, log=folder / "server.log", user=user)
        self.client = connect(self.server.url, timeout_s=1.0)
        """Connection of the tests, with all rights."""
        self.pending = Pending(self.client, self.keys)
        self.holes: list[Hole] = []
        self._folder, self._running = folder, ExitStack()
        self.proxy = Proxy(self.server.port)
        """Proxy between the system and the server, if `is_proxied`; the tests connect directly."""
        self._is_proxied = is_proxied
        # Without workers, the feed must not wait for any.
        wait_s = 10 if workers else 0
        self._settings = {
            "retention_s": 120,
            "data_dir": self.data_dir,
            "name": NAME,
            "worker_wait_s": wait_s,
        } | settings
        self._feed_command, self._arguments = feed_command, worker_arguments
        self._number_of_workers, self._workers_started = workers, 0
        self.workers: list[ProcessUnderTest] = []
        self._is_recorded = recorded
        self.recorder: ProcessUnderTest | None = None
        """Keeps the tape, where it is wanted; the judge compares its replay with the files."""

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
        self.redis_url = f"redis://hip3:{PASSWORD}@127.0.0.1:{port}/0"
        venue_url = self.venue.server.base_url
        self._environment = environment(Settings(venue_url=venue_url, redis_url=self.redis_url, **self._settings))
        self._running.enter_context(self.server)
        self.feed = self.part("feed", sys.executable, *self._feed_command)
        self.feed.start()
        if self._is_recorded:
            self.recorder = self.part("recorder", *HIP3, "record", POLARS_MAX_THREADS="1").start()
        for _ in range(self._number_of_workers):
            self.start_worker()
        self.wait_until_live()
        if self.workers:
            eventually("a follow-up is on disk", self.followups)
        self._detects_since_ms = self.now_ms()

    def part(self, name: str, *command: str, **environment: str) -> ProcessUnderTest:
        """A process of this system, not yet started; it is killed on exit."""
        kind = name.rstrip("0123456789")
        chosen = {**self._environment, **self._environments.get(kind, {}), **environment}
        part = ProcessUnderTest(*command, log=self._folder / f"{name}.log", env=chosen)
        self._running.callback(part.kill)
        return part

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command with the settings of this system to its end."""
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, check=True)

    def start_worker(self) -> ProcessUnderTest:
        self._workers_started += 1
        name = f"worker{self._workers_started}"
        options = f"--hostname={name}@%h", *self._arguments, "--without-gossip", "--without-mingle", "--loglevel=INFO"
        worker = self.part(name, *CELERY, "worker", *options)
        worker.start()
        self.workers.append(worker)
        return worker

    def wait_until_live(self, *, within_s: float = TIMEOUT_S) -> float:
        """Wait until the current feed knows all markets; return the seconds that this took."""

        def is_live() -> bool:
            status = self.status()
            return bool(status and status.pid == self.feed.pid and status.markets_live == len(self.venue.coins))

        began_s = time.monotonic()
        eventually("all markets are live", is_live, within_s=within_s)
        return time.monotonic() - began_s

    # Observing the system

    def now_ms(self) -> int:
        """The wall clock of the system's processes, in ms."""
        return wall_ms() + self._ahead_ms

    def status(self) -> FeedStatus | None:
        with suppress(redis.RedisError):
            return Store(self.client, self.keys).feed_status()
        return None

    def oldest_due_s(self) -> float:
        """Seconds since the oldest pending capture was due; 0 when none is overdue."""
        due_at_ms = self.pending.oldest_due_at_ms()
        return 0.0 if due_at_ms is None else max(0.0, (self.now_ms() - due_at_ms) / 1000)

    # Injecting faults

    @contextmanager
    def hole(self, *coins: str) -> Iterator[None]:
        """Mark a period in which the feed cannot know these coins, or any if none is given."""
        began_ms = self.now_ms()
        try:
            yield
        finally:
            self.holes.append(Hole(began_ms - EDGE_MS, self.now_ms() + EDGE_MS, frozenset(coins)))

    def replace_feed(self) -> float:
        """Kill the feed and start another; return the seconds until the new feed knows all markets."""
        with self.hole():
            self.feed.kill()
            self.feed.start()
            return self.wait_until_live()

    def recovered(self, result: Result, *, within_s: float = TIMEOUT_S) -> None:
        """Wait for a capture from now on, and record how long that took."""
        now_ms, before = self.now_ms(), len(self.lines("followups"))
        fresh = eventually(
            "a follow-up captured since the fault has ended",
            lambda: [at_ms for at_ms in self._captured_at_ms(before) if at_ms > now_ms],
            within_s=within_s,
        )
        result.add_recovery((min(fresh) - now_ms) / 1000)

    def _captured_at_ms(self, first: int) -> list[int]:
        return [Followup.from_line(line).captured_at_ms for line in self.lines("followups")[first:]]

    # Judging the result

    def judge(self, result: Result, *, when: str) -> None:
        """Stop the signals, wait until all captures are on disk, and compare them with the truth."""
        self.venue.signals_per_s = 0
        try:
            eventually("every capture has its line", self._is_settled, within_s=SETTLE_TIMEOUT_S)
        except AssertionError as error:
            result.add_broken(f"{when}: {error}: {self.pending.size()} pending")
        expected = [(signal.signal_id, offset_ms) for signal in self.signals() for offset_ms in signal.offsets_ms]
        judge(self.data_dir, expected, result, when=when)
        self._judge_audit(result, when)
        followups, missed, tapes = self.followups(), self.missed(), self.tapes()
        decoded = {
            coin: [decode_entry(b"%d" % at_ms, fields) for at_ms, fields in entries] for coin, entries in tapes.items()
        }
        self._judge_truth(Outcomes(followups, missed, Receptions(decoded, self.venue.sent_at_ms)), result, when)
        self._judge_tape(tapes, followups, result, when)
        self._judge_signals(decoded, result, when)
        if refused := self.client.acl_log():
            result.unclear += len(refused)
            result.add_broken(f"{when}: the server refused {refused[0]}")
        result.missed += len(missed)
        late_s = max((record.captured_at_ms - record.due_at_ms for record in followups), default=0) / 1000
        result.lateness_s = max(result.lateness_s or 0.0, late_s)
        if self.recorder is not None:
            self._judge_recording(self.recorder, result, when)

    def _judge_recording(self, recorder: ProcessUnderTest, result: Result, when: str) -> None:
        """End the recorder, compare what it kept with the server and its replay with the files, and start it again."""
        recorder.terminate()
        if (exit_code := recorder.wait()) or "Traceback" in recorder.log:
            result.unclear += 1
            result.add_broken(f"{when}: the recorder ended with {exit_code}: {recorder.log[-300:]}")
        tapes = {coin: self.client.xrange(self.keys.tape(coin)) for coin in self._coins()}
        judge_recording(self.data_dir, tapes, result, when=when)
        recorder.start()

    def _is_settled(self) -> bool:
        """Check twice, because a signal may be on its way from the feed to the disk."""
        return self._is_all_there() and (time.sleep(0.3) or self._is_all_there())

    def _is_all_there(self) -> bool:
        with suppress(redis.RedisError):
            expected = len(self.lines("signals")) * OFFSETS
            return len(self.lines("followups")) + len(self.lines("missed")) >= expected and not self.pending.size()
        return False

    def _judge_audit(self, result: Result, when: str) -> None:
        try:
            audited = audit(self.data_dir, at_ms=self.now_ms())
        except Unavailable as error:
            result.add_broken(f"{when}: {error}")
            return
        if not audited.ok:
            result.wrong += len(audited.problems)
            result.add_broken(f"{when}: audit: {[str(problem) for problem in audited.problems[:2]]}")

    def _judge_truth(self, outcomes: Outcomes, result: Result, when: str) -> None:
        for record in outcomes.followups:
            if self._is_in_hole(record.due_at_ms, record.market_key):
                continue
            number = int(record.best_size)
            wrong = self.venue.problem_of_state(record.market_key, number, record.due_at_ms)
            if wrong and outcomes.receptions.is_late_frame(record):
                result.starved += 1
            elif wrong:
                result.wrong += 1
                result.add_broken(f"{when}: {record.signal_id} + {record.offset_ms} shows state {number}: {wrong}")
        for record in outcomes.missed:
            if self._is_in_hole(record.due_at_ms, record.market_key):
                continue
            if outcomes.receptions.is_stall(record):
                result.starved += 1
            else:
                result.wrong += 1
                result.add_broken(
                    f"{when}: {record.signal_id} + {record.offset_ms} is missed ({record.reason}: {record.detail})"
                )

    def tapes(self) -> dict[str, list[TapeEntry]]:
        """The entries of every tape, as the server has them."""
        return {
            coin: [
                (int(entry_id.split(b"-")[0]), fields) for entry_id, fields in self.client.xrange(self.keys.tape(coin))
            ]
            for coin in self._coins()
        }

    def _coins(self) -> list[str]:
        """The coins that have a tape, sorted."""
        return sorted(coin.decode() for coin in self.client.smembers(self.keys.tapes))

    def _judge_tape(
        self, tapes: Mapping[str, list[TapeEntry]], followups: Sequence[Followup], result: Result, when: str
    ) -> None:
        """Check with an independent search that each follow-up shows the newest entry at or before its due time."""
        for record in followups:
            entries = tapes.get(record.market_key, [])
            in_force = [fields for at_ms, fields in entries if at_ms <= record.due_at_ms]
            if not in_force:
                continue  # trimmed, or lost with the server
            state = orjson.loads(in_force[-1].get(b"s", b"null"))
            if state is None or state[:5] != [
                record.bid_px,
                record.bid_sz,
                record.ask_px,
                record.ask_sz,
                record.oracle_px,
            ]:
                result.wrong += 1
                result.add_broken(f"{when}: {record.signal_id} + {record.offset_ms}: the tape has {in_force[-1]}")

    def _judge_signals(self, tapes: Mapping[str, Sequence[Entry]], result: Result, when: str) -> None:
        known = Known(
            moves=self.venue.moves(),
            tapes=tapes,
            rules=Settings(**self._settings).rules,
            is_certain=self._is_certain,
            clock_ms=self.venue.clock_ms,
            is_deceived=self._is_deceived,
        )
        judge_signals(self.signals(), known, result, when=when)

    def _is_certain(self, coin: str, at_ms: float) -> bool:
        """Whether the feed certainly received a coin's oracle at an instant, and detected."""
        return at_ms > self._detects_since_ms and not self._is_in_hole(at_ms, coin)

    def _is_deceived(self, coin: str, at_ms: float) -> bool:
        """Whether a record of a coin may rest on something that the venue did not have."""
        return False

    def _is_in_hole(self, at_ms: float, coin: str | None = None) -> bool:
        return any(hole.begin_ms <= at_ms <= hole.end_ms and hole.covers(coin) for hole in self.holes)


def frozen(pids: Sequence[int], seconds: float) -> None:
    """Stop processes for some seconds."""
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
