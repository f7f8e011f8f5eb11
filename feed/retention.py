"""Trims the tape to its retention, and deletes the files of old days."""

import asyncio

import redis
import structlog

from feed.threads import Threads
from hip3_tasks.clock import FeedClock, wall_ms
from hip3_tasks.files.retention import delete_old_days
from hip3_tasks.settings import Settings
from hip3_tasks.store.keys import is_cancelled
from hip3_tasks.store.store import MAX_RETENTIONS, Store
from hip3_tasks.store.tape_writer import TapeWriter

log = structlog.get_logger()

TRIM_INTERVAL_S = 10.0
DELETE_INTERVAL_S = 3_600.0
TAPE_MARGIN_MS = 60_000
"""Longer than the interval of keyframes, so that the state in force at the oldest instant needed is kept too."""


class Retention:
    """Removes the old data of one feed."""

    def __init__(
        self, settings: Settings, *, store: Store, writer: TapeWriter, threads: Threads, clock: FeedClock
    ) -> None:
        self._settings, self._store, self._writer = settings, store, writer
        self._threads, self._clock = threads, clock

    async def trim_tape(self) -> None:
        """Trim the tape at intervals until cancelled."""
        while not is_cancelled():
            await asyncio.sleep(TRIM_INTERVAL_S)
            try:
                before_ms = await self._threads.on_redis(self.trimmed_before_ms, self._clock.now_ms())
                await self._writer.trim(sorted(await self._writer.coins()), before_ms=before_ms)
            except redis.RedisError as error:
                log.warning("trim_failed", outage=error)

    def trimmed_before_ms(self, now_ms: int) -> int:
        """Entries older than this are dropped: those past the retention.

        Within a limit, it keeps what an open capture may need and what is not recorded yet. Raises redis.RedisError.
        """
        retention_ms = self._settings.retention_s * 1000
        needed_ms = [
            since_ms - TAPE_MARGIN_MS
            for since_ms in (self._store.pending.oldest_due_at_ms(), self._recorded_ms())
            if since_ms is not None
        ]
        return max(now_ms - MAX_RETENTIONS * retention_ms, min([now_ms - retention_ms, *needed_ms]))

    def _recorded_ms(self) -> int | None:
        """How far the tape is recorded; None where trimming does not wait for that: no error may keep it waiting."""
        if not self._settings.tape_days:
            return None
        try:
            recorded_ms = self._store.recorded_ms()
            return None if recorded_ms is None or self._store.is_half_full() else recorded_ms
        except (redis.RedisError, KeyError, ValueError) as error:
            log.debug("recorded_unknown", error=str(error))
            return None

    async def delete_days(self) -> None:
        """Delete the files of days that are more than HIP3_KEEP_DAYS old."""
        while self._settings.keep_days is not None:
            await self._threads.on_disk(self._delete_days, self._settings.keep_days)
            await asyncio.sleep(DELETE_INTERVAL_S)

    def _delete_days(self, keep_days: int) -> None:
        try:
            delete_old_days(self._settings.data_dir, keep_days=keep_days, at_ms=wall_ms())
        except OSError as error:
            log.error("old_days_not_deleted", error=str(error))
