"""The keys of a day file, each remembered in a few bytes: which captures have a line, and where it may stand."""

import math
import re
import sys
from array import array
from bisect import bisect_left, insort
from collections import defaultdict
from contextlib import suppress
from typing import Any

import orjson

from hip3_tasks.domain.capture import parse_signal_id
from hip3_tasks.domain.records import key_of
from hip3_tasks.errors import BadCapture, MalformedRecord
from hip3_tasks.files.line_reader import backwards, forwards

CLOCK_SKEW_MS = 10_000
"""Allowance for clock skew between feed and workers that late captures hide."""
BUCKET_MS = 1000
"""Holds a few thousand keys at the highest rates; a new key moves half of them."""

# The beginning of a line that this program wrote; matching it takes a third of the time of decoding the line.
_match_own_line = re.compile(
    rb'\{"signal_id":"([^"\\]+)","market_key":"[^"\\]*","side":"\w+","signal_timestamp_ms":\d+,'
    rb'"offset_ms":(\d+),"captured_at_ms":(\d+),'
).match


class _Bucket:
    """Captures whose signals are of one second: sorted fingerprints, and the span of the file that has their lines."""

    __slots__ = "end", "fingerprints", "start"

    def __init__(self) -> None:
        self.fingerprints = array("Q")
        self.start, self.end = sys.maxsize, 0

    def extend(self, start: int, end: int) -> None:
        self.start, self.end = min(self.start, start), max(self.end, end)


class KeyIndex:
    """Fingerprints of the keys of the last `window_ms` of a file's signal time, 8 bytes each, by second.

    A fingerprint in the index is only a reason to look into the file. One that is not there proves that the key has no
    line, for signals since `complete_since_ms`.
    """

    def __init__(self, window_ms: int) -> None:
        self.complete_since_ms = 0
        self._window_ms = window_ms
        self._newest_ms = 0
        self._buckets = defaultdict[int, _Bucket](_Bucket)

    def widened(self, since_ms: int) -> "KeyIndex":
        """An empty index for signals since an instant; at least twice as wide, so that a file is read again rarely."""
        return KeyIndex(max(2 * self._window_ms, self._newest_ms - since_ms + BUCKET_MS))

    def add(self, signal_id: str, offset_ms: int, start: int, end: int) -> None:
        """Add a key whose line stands between two bytes of the file. Raises BadCapture."""
        _, timestamp_ms = parse_signal_id(signal_id)
        bucket, fingerprint = self._buckets[timestamp_ms // BUCKET_MS], _fingerprint(signal_id, offset_ms)
        insort(bucket.fingerprints, fingerprint)
        bucket.extend(start, end)
        self._newest_ms = max(self._newest_ms, timestamp_ms)

    def find_span(self, signal_id: str, offset_ms: int) -> tuple[int, int] | None:
        """The bytes of the file between which a key's line can stand; None when it has none. Raises BadCapture."""
        _, timestamp_ms = parse_signal_id(signal_id)
        if timestamp_ms < self.complete_since_ms:
            return 0, sys.maxsize
        bucket = self._buckets.get(timestamp_ms // BUCKET_MS)
        if bucket is None:
            return None
        fingerprint = _fingerprint(signal_id, offset_ms)
        index = bisect_left(bucket.fingerprints, fingerprint)
        has_key = index < len(bucket.fingerprints) and bucket.fingerprints[index] == fingerprint
        return (bucket.start, bucket.end) if has_key else None

    def index_forward(self, fd: int, start: int, end: int) -> None:
        """Add the lines between two offsets."""
        for line in forwards(fd, start, end):
            start, before = start + len(line) + 1, start
            with suppress(MalformedRecord, BadCapture):
                self.add(*key_of(line), before, start)
        self._forget_old()

    def index_backward(self, fd: int, size: int) -> None:
        """Add the lines of a file from its end, as far as the window reaches.

        Lines of old signals may stand between those of new ones. But a line was captured after its signal's time, and
        after the lines before it: once captures are older than the window, so are all signals further back.
        """
        behind_ms = 0.0  # how far the workers' wall clock has been behind the feed's, at most
        for lines in backwards(fd, size):
            size, end = size - sum(map(len, lines)) - len(lines), size
            newest_ms, captured_ms, touched = 0, 0.0, set[_Bucket]()
            for line in lines:
                try:
                    signal_id, offset_ms, captured_at_ms = _parse_line(line)
                    _, timestamp_ms = parse_signal_id(signal_id)
                except (MalformedRecord, BadCapture, ValueError):
                    captured_ms = math.inf
                    continue
                bucket = self._buckets[timestamp_ms // BUCKET_MS]
                bucket.fingerprints.append(_fingerprint(signal_id, offset_ms))
                touched.add(bucket)
                newest_ms = max(newest_ms, timestamp_ms)
                captured_ms = max(captured_ms, captured_at_ms)
                behind_ms = min(behind_ms, captured_at_ms - timestamp_ms - offset_ms)
            for bucket in touched:
                bucket.extend(size, end)
            self._newest_ms = max(self._newest_ms, newest_ms)
            oldest_ms = self._newest_ms - self._window_ms
            if newest_ms < oldest_ms and captured_ms < oldest_ms + behind_ms - CLOCK_SKEW_MS:
                self.complete_since_ms = max(self.complete_since_ms, oldest_ms)
                break
        self._forget_old()
        # One sort is faster than an insertion for each of so many.
        for bucket in self._buckets.values():
            bucket.fingerprints = array("Q", sorted(set(bucket.fingerprints)))

    def _forget_old(self) -> None:
        oldest = (self._newest_ms - self._window_ms) // BUCKET_MS
        for number in [number for number in self._buckets if number < oldest]:
            del self._buckets[number]
            self.complete_since_ms = max(self.complete_since_ms, oldest * BUCKET_MS)


def _fingerprint(signal_id: str, offset_ms: int) -> int:
    return hash((signal_id, offset_ms)) & 0xFFFF_FFFF_FFFF_FFFF


def _parse_line(line: bytes) -> tuple[str, int, float]:
    """(signal_id, offset_ms, captured_at_ms), the last infinite where absent. Raises MalformedRecord or ValueError."""
    # A power cut may leave zeros behind such a beginning: then it is no line.
    if (match := _match_own_line(line)) and b"\0" not in line:
        return match[1].decode(), int(match[2]), int(match[3])
    signal_id, offset_ms = key_of(line)
    record: Any = orjson.loads(line)
    captured_at_ms = record.get("captured_at_ms")
    return signal_id, offset_ms, captured_at_ms if type(captured_at_ms) is int else math.inf
