"""Holds each signal until its state is on the tape, writes its line to disk, then publishes its captures and tasks.

The event loop only waits: one thread writes to disk, another talks to Redis.
"""

import asyncio
from collections.abc import Sequence

import redis
import structlog

from feed.pending_rebuild import PendingRebuilder
from feed.threads import Threads
from hip3_tasks.clock import FeedClock
from hip3_tasks.domain.capture import Capture, utc_day
from hip3_tasks.domain.records import Signal
from hip3_tasks.errors import JournalError
from hip3_tasks.files.rules_log import RulesNote
from hip3_tasks.files.signal_files import SignalWriter
from hip3_tasks.settings import Settings
from hip3_tasks.store.pending import FIRST_TRY_MS, PendingCapture
from hip3_tasks.store.store import Store
from hip3_tasks.store.task_message import task_message

log = structlog.get_logger()

RETRY_INTERVAL_S = 0.25
MAX_HELD = 20_000
MAX_WRITTEN = 500
"""Signals that one sync makes durable."""
MAX_ADDED = 50
"""Signals that one atomic call publishes: it blocks the server for 3 ms, less than the tape's flush interval."""


class SignalPublisher:
    """Owns the signals files of one feed."""

    def __init__(
        self, settings: Settings, *, store: Store, threads: Threads, clock: FeedClock, rules: RulesNote
    ) -> None:
        self._pending, self._queue = store.pending, store.keys.queue
        self._threads, self._clock = threads, clock
        self._rules, self._writer = rules, SignalWriter(settings.data_dir)
        self._held: list[Signal] = []
        """Signals whose state is not sealed yet."""
        self._unwritten: list[Signal] = []
        self._unpublished: list[Signal] = []
        self._submitted, self._written = asyncio.Event(), asyncio.Event()
        self.rebuilder = PendingRebuilder(settings, pending=store.pending, threads=threads, clock=clock, add=self.add)
        self.signals = 0

    @property
    def unwritten(self) -> int:
        return len(self._unwritten)

    @property
    def oldest_unwritten_at_ms(self) -> int | None:
        """The time of the signal that has waited longest for the disk; None when no signal waits."""
        return self._unwritten[0].timestamp_ms if self._unwritten else None

    @property
    def unpublished(self) -> int:
        return len(self._unpublished)

    @property
    def is_idle(self) -> bool:
        """Whether every signal's captures are in the pending set, or were."""
        return not self._held and not self._unwritten and not self._unpublished and self.rebuilder.is_done

    def hold(self, signal: Signal) -> None:
        """Take a signal, to be written once its state is sealed: else a feed that dies could leave it without one."""
        self._held.append(signal)

    def on_sealed(self, sealed_ms: int) -> None:
        """Write the signals up to an instant, which come together: all states up to it are final."""
        ready = sorted(
            (signal for signal in self._held if signal.timestamp_ms <= sealed_ms),
            key=lambda signal: signal.timestamp_ms,
        )
        if ready:
            self._held = [signal for signal in self._held if signal.timestamp_ms > sealed_ms]
            self.submit(ready)

    def submit(self, signals: Sequence[Signal]) -> None:
        """Take signals whose states are on the tape, without blocking."""
        self.signals += len(signals)
        self._unwritten += signals
        self._submitted.set()

    def on_lost_data(self) -> None:
        """Rebuild the pending set: the server has lost data."""
        self.rebuilder.request()

    def detected_ms(self, sealed_ms: int) -> int:
        """The instant, `sealed_ms` at most, up to which every signal is in the signals file."""
        # Signals are submitted in order, so the first one is the oldest.
        waiting = [signal.timestamp_ms - 1 for signal in (*self._held, *self._unwritten[:1])]
        return min([sealed_ms, *waiting])

    async def write_signals(self) -> None:
        """Make each signal durable; it is published only after that."""
        while True:
            await self._submitted.wait()
            self._submitted.clear()
            while self._unwritten:
                day = utc_day(self._unwritten[0].timestamp_ms)
                batch = [s for s in self._unwritten[:MAX_WRITTEN] if utc_day(s.timestamp_ms) == day]
                try:
                    await self._threads.on_disk(self._write, batch)
                except JournalError as error:
                    log.error("signals_not_written", waiting=len(self._unwritten), outage=error)
                    await asyncio.sleep(RETRY_INTERVAL_S)
                    continue
                del self._unwritten[: len(batch)]
                self._unpublished += batch
                self._written.set()

    def _write(self, batch: Sequence[Signal]) -> None:
        self._rules.write()
        self._writer.append(batch)

    async def publish_signals(self) -> None:
        """Add signals, captures and tasks in atomic calls, each repeated until it succeeds."""
        while True:
            await self._written.wait()
            self._written.clear()
            while batch := self._unpublished[:MAX_ADDED]:
                try:
                    await self._threads.on_redis(self._publish, batch, self._clock.now_ms())
                except redis.RedisError as error:
                    log.error("signals_not_published", waiting=len(self._unpublished), outage=error)
                    if len(self._unpublished) > MAX_HELD:
                        del self._unpublished[:-MAX_HELD]
                        self.rebuilder.request()  # restores the others from the files
                    await asyncio.sleep(RETRY_INTERVAL_S)
                    continue
                del self._unpublished[: len(batch)]

    def add(self, signals: Sequence[Signal], captures: Sequence[Capture], at_ms: int) -> int:
        """Add signals and captures to the pending set with their tasks, from any thread; return how many were new."""
        # Workers wait by the wall clock; the due time itself stays on the feed's.
        behind_ms = self._clock.behind_wall_ms()
        pending = [PendingCapture(capture, self._message(capture, at_ms, behind_ms)) for capture in captures]
        return self._pending.add(signals, pending, at_ms=at_ms)

    def _publish(self, signals: Sequence[Signal], at_ms: int) -> None:
        self.add(signals, [capture for signal in signals for capture in signal.captures()], at_ms)

    def _message(self, capture: Capture, at_ms: int, behind_ms: int) -> bytes | None:
        if capture.due_at_ms + FIRST_TRY_MS < at_ms:
            return None  # the sweeper publishes late captures at a lower rate
        return task_message(capture, queue=self._queue, eta_ms=capture.due_at_ms + behind_ms)
