"""Adds the open captures in the files to the pending set: at the start, and when Redis may have lost them."""

import asyncio
import sys
from collections.abc import Callable, Sequence

import redis
import structlog

from feed.threads import Threads
from hip3_tasks.clock import FeedClock
from hip3_tasks.domain.capture import MAX_OFFSET_MS, Capture
from hip3_tasks.domain.records import Signal
from hip3_tasks.errors import Hip3Error, Unavailable
from hip3_tasks.files.journal import Journal
from hip3_tasks.files.signal_files import signals_since
from hip3_tasks.settings import Settings, environment
from hip3_tasks.store.pending import Pending

log = structlog.get_logger()

RETRY_INTERVAL_S = 1.0
RETRY_OLDER_INTERVAL_S = 10.0
CHUNK = 500
MAX_HASTENED = 2_000

Add = Callable[[Sequence[Signal], Sequence[Capture], int], int]


class PendingRebuilder:
    """Adds recent captures in the thread for files, then older ones in a child process.

    Neither uses the thread that publishes: reading may wait for a lock that a stopped worker holds.
    """

    def __init__(self, settings: Settings, *, pending: Pending, threads: Threads, clock: FeedClock, add: Add) -> None:
        self._settings, self._pending, self._threads = settings, pending, threads
        self._clock, self._add = clock, add
        # Captures that are not due yet have a signal younger than this; the child process adds the older ones.
        self._window_ms = max(settings.retention_s * 1000, MAX_OFFSET_MS)
        self._recent, self._older = asyncio.Event(), asyncio.Event()
        self.is_done = False
        """Whether no recent capture is known to be missing from the pending set."""

    def request(self) -> None:
        """Rebuild, since the pending set may lack captures that are open."""
        self.is_done = False
        self._recent.set()

    async def restore_recent(self) -> None:
        """On request, add the open captures of the last hour, or of the tape's retention if that is longer."""
        while True:
            await self._recent.wait()
            self._recent.clear()
            try:
                restored = await self._threads.on_files(self._restore, self._clock.now_ms())
            except (redis.RedisError, Hip3Error, OSError) as error:
                log.error("rebuild_failed", outage=error)
                await asyncio.sleep(RETRY_INTERVAL_S)
                self._recent.set()
                continue
            log.info("pending_rebuilt", captures=restored)
            self.is_done = not self._recent.is_set()
            self._older.set()

    async def restore_older(self) -> None:
        """After that, add older open captures with `hip3 recapture --open`, until it succeeds."""
        while True:
            await self._older.wait()
            self._older.clear()
            try:
                await self._recapture_open()
            except (Unavailable, OSError) as error:
                log.error("older_days_not_checked", outage=error)
                await asyncio.sleep(RETRY_OLDER_INTERVAL_S)
                self._older.set()

    async def _recapture_open(self) -> None:
        """Run the command. Raises Unavailable with its last words, and OSError."""
        command = (sys.executable, "-P", "-m", "hip3_tasks.cli", "recapture", "--open")
        child = await asyncio.create_subprocess_exec(
            *command, env=environment(self._settings), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        try:
            _, text = await child.communicate()
        finally:
            if child.returncode is None:
                child.kill()
        if child.returncode:
            raise Unavailable(text.decode(errors="replace").strip() or f"exit status {child.returncode}")

    def _restore(self, at_ms: int) -> int:
        signals = signals_since(self._settings.data_dir, at_ms - self._window_ms, until_ms=at_ms)
        journal = Journal(self._settings.data_dir, window_ms=self._window_ms)
        restored = 0
        for first in range(0, len(signals), CHUNK):
            chunk = signals[first : first + CHUNK]
            captures = journal.open_among([capture for signal in chunk for capture in signal.captures()])
            signal_ids = {capture.signal_id for capture in captures}
            if captures:
                restored += self._add([signal for signal in chunk if signal.signal_id in signal_ids], captures, at_ms)
        journal.close()
        self._pending.hasten(at_ms=at_ms, limit=MAX_HASTENED)
        return restored
