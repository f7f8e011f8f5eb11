"""Signals, follow-ups and missed follow-ups as a program takes them, plain or async."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from hip3_tasks.client.follower import POLL_INTERVAL_S, Batch, Follower, log
from hip3_tasks.domain.records import Followup, Missed, Signal
from hip3_tasks.errors import MalformedRecord

RECORDS: dict[str, type[Signal | Followup | Missed]] = {"signals": Signal, "followups": Followup, "missed": Missed}


class Following:
    """The records of a data directory as they are written, without end: for `for`, or for `async for`.

    Each comes at least once, a signal before its outcomes. A record counts as taken when the next one is asked for.
    """

    def __init__(self, follower: Follower, *, cursor: Path | None, since_ms: int) -> None:
        self._follower, self._path, self._since_ms = follower, cursor, since_ms

    def __iter__(self) -> Iterator[Signal | Followup | Missed]:
        try:
            for batch in self._follower.follow():
                yield from self._records(batch)
                self._save()
        finally:
            self._save()

    async def __aiter__(self) -> AsyncIterator[Signal | Followup | Missed]:
        try:
            while True:
                if self._follower.has_news():
                    batches = self._follower.batches()
                    # In a thread, because a compacted day takes seconds to read.
                    while batch := await asyncio.to_thread(next, batches, None):
                        for record in self._records(batch):
                            yield record
                        self._save()
                await asyncio.sleep(POLL_INTERVAL_S)
        finally:
            self._save()

    def _records(self, batch: Batch) -> Iterator[Signal | Followup | Missed]:
        """The records of lines; the cursor is advanced past each that was taken."""
        end = batch.start
        for line in batch.lines:
            try:
                record = RECORDS[batch.kind].from_line(line)
            except MalformedRecord as error:
                log.warning("%s: a line is left out: %s", batch.file, error)
            else:
                timestamp_ms = record.timestamp_ms if isinstance(record, Signal) else record.signal_timestamp_ms
                if timestamp_ms >= self._since_ms:
                    yield record
            if end is not None:
                end += len(line) + 1
                self._follower.cursor.files[batch.file] = end

    def _save(self) -> None:
        if self._path is not None:
            self._follower.cursor.write(self._path)


def follow(data_dir: Path | str, *, cursor: Path | str | None = None, since_ms: int | None = None) -> Following:
    """Follow the records of a data directory: those that come from now on, or those of signals since an instant.

    With the path of a file as `cursor`, go on where a process that followed with it before has ended, however it did.
    What cannot go on there is one line of the log `hip3_tasks.client`. Raises Unavailable for an absent directory.
    """
    path = None if cursor is None else Path(cursor)
    follower = Follower.resumed(Path(data_dir), path, since_ms)
    return Following(follower, cursor=path, since_ms=since_ms or 0)
