"""Making the pending set hold what the files say is open: at the start, and whenever Redis may have lost it."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import redis
import structlog

from hip3_tasks.clock import FeedClock
from hip3_tasks.domain.capture import MAX_OFFSET_MS, Capture
from hip3_tasks.domain.records import Signal
from hip3_tasks.errors import Hip3Error
from hip3_tasks.files.journal import Journal
from hip3_tasks.files.signal_files import signals_since
from hip3_tasks.settings import Settings, environment
from hip3_tasks.store.pending import Pending

log = structlog.get_logger()

RETRY_EVERY_S = 1.0
RETRY_OLDER_EVERY_S = 10.0
AT_ONCE = 500
HASTEN_MOST = 2_000

Add = Callable[[Sequence[Signal], Sequence[Capture], int], int]


class Rebuilder:
    """What is young at once, in a thread of its own; what is older beside it, in a process of its own.

    Neither uses the thread that publishes: reading may wait for a lock that a stopped worker holds.
    """

    def __init__(self, settings: Settings, *, pending: Pending, clock: FeedClock, add: Add) -> None:
        self._settings, self._pending, self._clock, self._add = settings, pending, clock, add
        # Every capture that is not due yet is of a signal younger than this; older ones are the other process's.
        self._window_ms = max(settings.retention_s * 1000, MAX_OFFSET_MS)
        self._files = ThreadPoolExecutor(1, "files")
        self._young, self._older = asyncio.Event(), asyncio.Event()
        self.is_done = False
        """Whether nothing is known to be missing from the pending set."""

    def soon(self) -> None:
        """The pending set may lack what the files say is open."""
        self.is_done = False
        self._young.set()

    async def young(self) -> None:
        """Add what is open of the last hour, or the tape's window if that is longer."""
        while True:
            await self._young.wait()
            self._young.clear()
            loop = asyncio.get_running_loop()
            try:
                restored = await loop.run_in_executor(self._files, self._restore, self._clock.now_ms())
            except (redis.RedisError, Hip3Error, OSError) as error:
                log.error("rebuild_failed", error=str(error))
                await asyncio.sleep(RETRY_EVERY_S)
                self._young.set()
                continue
            log.info("pending_rebuilt", captures=restored)
            self.is_done = not self._young.is_set()
            self._older.set()

    async def older(self) -> None:
        """Add what is open of older days, as `hip3 recapture --open` does, until that has succeeded."""
        while True:
            await self._older.wait()
            self._older.clear()
            exit_status = await self._recapture_open()
            if exit_status != 0:
                log.error("older_days_not_checked", exit_status=exit_status)
                await asyncio.sleep(RETRY_OLDER_EVERY_S)
                self._older.set()

    def close(self, *, at_once: bool) -> None:
        self._files.shutdown(wait=not at_once, cancel_futures=True)

    async def _recapture_open(self) -> int | str:
        command = (sys.executable, "-P", "-m", "hip3_tasks.cli", "recapture", "--open")
        try:
            child = await asyncio.create_subprocess_exec(
                *command, env=environment(self._settings), stdout=asyncio.subprocess.DEVNULL
            )
        except OSError as error:
            return str(error)
        try:
            return await child.wait()
        finally:
            if child.returncode is None:
                child.kill()

    def _restore(self, at_ms: int) -> int:
        signals = signals_since(self._settings.data_dir, at_ms - self._window_ms, until_ms=at_ms)
        journal = Journal(self._settings.data_dir, window_ms=self._window_ms)
        restored = 0
        for first in range(0, len(signals), AT_ONCE):
            some = signals[first : first + AT_ONCE]
            left = journal.open_among([capture for signal in some for capture in signal.captures()])
            owing = {capture.signal_id for capture in left}
            if owing:
                restored += self._add([signal for signal in some if signal.signal_id in owing], left, at_ms)
        journal.close()
        self._pending.hasten(at_ms=at_ms, limit=HASTEN_MOST)
        return restored
