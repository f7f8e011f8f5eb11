"""Which captures the lines of a day's files belong to, remembered in a few bytes each."""

import math
from array import array
from bisect import bisect_left
from typing import Any

import orjson

from hip3_tasks.errors import MalformedRecord
from hip3_tasks.lines import backwards
from hip3_tasks.records import key_of

CLOCKS_DIFFER_MS = 10_000
"""By which the clocks of feed and workers may differ beyond what is seen, in a capture that is itself late."""
BUCKET_MS = 1_000
"""Few thousand keys at the highest rates: a new one moves half of them."""


class KeyIndex:
    """Fingerprints of the keys of the last `window_ms` of signal time, 8 bytes each, by second.

    A fingerprint that is there is only a reason to look into the file; one that is not there proves absence, for
    signals since `complete_since_ms`.
    """

    def __init__(self, window_ms: int) -> None:
        self.complete_since_ms = 0
        self._window_ms = window_ms
        self._newest_ms = 0
        self._buckets: dict[int, array[int]] = {}

    def add_line(self, line: bytes) -> int:
        """Take in one line; return its signal's time, 0 for a line that names none."""
        try:
            return self.add(*key_of(line))
        except (MalformedRecord, ValueError):
            return 0

    def add(self, signal_id: str, offset_ms: int) -> int:
        """Take in one key; return its signal's time. Raises ValueError for an id without a time."""
        timestamp_ms = int(signal_id.rpartition("-")[2])
        bucket = self._buckets.setdefault(timestamp_ms // BUCKET_MS, array("Q"))
        fingerprint = _fingerprint(signal_id, offset_ms)
        at = bisect_left(bucket, fingerprint)
        if at == len(bucket) or bucket[at] != fingerprint:
            bucket.insert(at, fingerprint)
        self._newest_ms = max(self._newest_ms, timestamp_ms)
        return timestamp_ms

    def may_hold(self, signal_id: str, offset_ms: int) -> bool:
        timestamp_ms = int(signal_id.rpartition("-")[2])
        if timestamp_ms < self.complete_since_ms:
            return True
        bucket = self._buckets.get(timestamp_ms // BUCKET_MS)
        if bucket is None:
            return False
        fingerprint = _fingerprint(signal_id, offset_ms)
        at = bisect_left(bucket, fingerprint)
        return at < len(bucket) and bucket[at] == fingerprint

    def read_back(self, fd: int, size: int) -> None:
        """Read a file from its end, as far as the window reaches.

        Lines of old signals may stand between those of new ones. But a line was captured after its signal's time, and
        after the lines before it: once captures are older than the window, so are all signals further back.
        """
        behind_ms = 0.0  # how far the workers' wall clock has been behind the feed's, at most
        for lines in backwards(fd, size):
            signal_ms = max(self.add_line(line) for line in lines)
            times_ms = [_times_ms(line) for line in lines]
            behind_ms = min(behind_ms, *(captured_ms - due_ms for captured_ms, due_ms in times_ms))
            captured_ms = max(captured_ms for captured_ms, _ in times_ms)
            oldest_ms = self._newest_ms - self._window_ms
            if signal_ms < oldest_ms and captured_ms < oldest_ms + behind_ms - CLOCKS_DIFFER_MS:
                self.complete_since_ms = max(self.complete_since_ms, oldest_ms)
                return

    def forget_old(self) -> None:
        oldest = (self._newest_ms - self._window_ms) // BUCKET_MS
        for number in [number for number in self._buckets if number < oldest]:
            del self._buckets[number]
            self.complete_since_ms = max(self.complete_since_ms, oldest * BUCKET_MS)

    def used_bytes(self) -> int:
        """What the fingerprints take up."""
        return sum(bucket.__sizeof__() for bucket in self._buckets.values())


def _fingerprint(signal_id: str, offset_ms: int) -> int:
    return hash((signal_id, offset_ms)) & 0xFFFF_FFFF_FFFF_FFFF


def _times_ms(line: bytes) -> tuple[float, float]:
    """When it was captured, and when it was due; for a line that does not say so, an instant that is never old."""
    try:
        record: Any = orjson.loads(line)
        captured_at_ms, due_at_ms = record["captured_at_ms"], record["due_at_ms"]
    except (ValueError, TypeError, KeyError):
        return math.inf, 0
    return (captured_at_ms, due_at_ms) if type(captured_at_ms) is type(due_at_ms) is int else (math.inf, 0)
