"""Counts of the last minutes of the data files, and lateness over time."""

from collections.abc import Iterator
from typing import Any

from hip3_tasks.status.lateness_histogram import LatenessHistogram, joined
from hip3_tasks.status.line_counts import LineCounts, WorkerStart
from hip3_tasks.status.trips import ANY_TAKER, OpenSignals, Taker

BUCKET_MS = 15_000
BUCKETS = 60


class RollingWindow:
    """Line counts of the last 15 minutes in buckets, by a signal's time or a capture's due time."""

    def __init__(self, taker: Taker = ANY_TAKER) -> None:
        self._buckets: dict[int, LineCounts] = {}
        self._signals, self.start = OpenSignals(taker), WorkerStart()

    def take(self, kind: str, record: dict[str, Any]) -> None:
        """Count a decoded line. One that is no record is not counted."""
        at_ms = record.get("timestamp_ms" if kind == "signals" else "due_at_ms")
        if type(at_ms) is int:
            self._buckets.setdefault(at_ms // BUCKET_MS, LineCounts(self._signals, self.start)).take(kind, record)

    def forget_before(self, at_ms: int) -> None:
        """Drop the buckets that are over 15 minutes older than this."""
        oldest = at_ms // BUCKET_MS - BUCKETS
        self._buckets = {number: counts for number, counts in self._buckets.items() if number > oldest}

    def counts(self) -> LineCounts:
        total = LineCounts()
        for bucket in self._buckets.values():
            total.join(bucket)
        return total

    def lateness_since(self, at_ms: int) -> LatenessHistogram:
        """The lateness of captures that were due since then, by whole buckets."""
        recent = [counts for number, counts in self._buckets.items() if number >= at_ms // BUCKET_MS]
        return joined(counts.lateness for counts in recent)

    def lateness(self) -> Iterator[tuple[int, dict[int, LatenessHistogram]]]:
        """Yield the start of each bucket and the lateness by offset of the captures due in it, oldest first."""
        for number in sorted(self._buckets):
            yield number * BUCKET_MS, self._buckets[number].lateness_by_offset_ms
