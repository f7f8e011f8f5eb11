"""The last minutes of the data files, kept as they go by: counts, and how late captures were at which time."""

from collections.abc import Iterator
from typing import Any

from hip3_tasks.status.lateness_histogram import LatenessHistogram, joined
from hip3_tasks.status.line_counts import LineCounts, WorkerStart
from hip3_tasks.status.outcome_sums import CostTable

BUCKET_MS = 15_000
BUCKETS = 60


class RollingWindow:
    """Tallies of a quarter of an hour, by when a signal was and when a capture was due."""

    def __init__(self) -> None:
        self._buckets: dict[int, LineCounts] = {}
        self._costs, self.start = CostTable(), WorkerStart()

    def take(self, kind: str, record: dict[str, Any]) -> None:
        """What is no record counts for nothing."""
        at_ms = record.get("timestamp_ms" if kind == "signals" else "due_at_ms")
        if type(at_ms) is int:
            self._buckets.setdefault(at_ms // BUCKET_MS, LineCounts(self._costs, self.start)).take(kind, record)

    def forget_before(self, at_ms: int) -> None:
        """Let go of what is over a quarter of an hour older than this."""
        oldest = at_ms // BUCKET_MS - BUCKETS
        self._buckets = {number: counts for number, counts in self._buckets.items() if number > oldest}

    def counts(self) -> LineCounts:
        whole = LineCounts()
        for counts in self._buckets.values():
            whole.join(counts)
        return whole

    def lateness_since(self, at_ms: int) -> LatenessHistogram:
        """Of what fell due since about then."""
        young = [counts for number, counts in self._buckets.items() if number >= at_ms // BUCKET_MS]
        return joined(counts.lateness for counts in young)

    def lateness(self) -> Iterator[tuple[int, dict[int, LatenessHistogram]]]:
        """The start of each stretch of 15 s, and the lateness by offset of what fell due in it; oldest first."""
        for number in sorted(self._buckets):
            yield number * BUCKET_MS, self._buckets[number].lateness_by_offset_ms
