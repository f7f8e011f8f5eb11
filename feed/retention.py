"""Trims the tape to its retention, and deletes the files of old days."""

import asyncio

import redis
import structlog

from feed.threads import Threads
from hip3_tasks.clock import FeedClock, wall_ms
from hip3_tasks.files.retention import delete_old_days
from hip3_tasks.settings import Settings
from hip3_tasks.store.keys import is_cancelled
from hip3_tasks.store.store import Store
from hip3_tasks.store.tape_writer import TapeWriter

log = structlog.get_logger()

TRIM_INTERVAL_S = 10.0
DELETE_INTERVAL_S = 3_600.0
TAPE_MARGIN_MS = 60_000
MAX_RETENTIONS = 4
"""The tape is kept for at most this many times its retention, however old the oldest open capture is."""


class Retention:
    """Removes the old data of one feed."""

    def __init__(
        self, settings: Settings, *, store: Store, writer: TapeWriter, threads: Threads, clock: FeedClock
    ) -> None:
        self._settings, self._pending, self._writer = settings, store.pending, writer
        self._threads, self._clock = threads, clock

    async def trim_tape(self) -> None:
        """Drop entries older than the retention, except those that an open capture may need, within a limit."""
        retention_ms = self._settings.retention_s * 1000
        while not is_cancelled():
            await asyncio.sleep(TRIM_INTERVAL_S)
            try:
                oldest_ms = await self._threads.on_redis(self._pending.oldest_due_at_ms)
                now_ms = self._clock.now_ms()
                needed_ms = now_ms if oldest_ms is None else oldest_ms - TAPE_MARGIN_MS
                before_ms = max(now_ms - MAX_RETENTIONS * retention_ms, min(now_ms - retention_ms, needed_ms))
                await self._writer.trim(sorted(await self._writer.coins()), before_ms=before_ms)
            except redis.RedisError as error:
                log.warning("trim_failed", error=str(error))

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
