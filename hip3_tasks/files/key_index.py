"""Which captures the lines of a day's files belong to, remembered in a few bytes each."""

import math
import re
import sys
from array import array
from bisect import bisect_left
from contextlib import suppress
from typing import Any

import orjson

from hip3_tasks.domain.capture import parse_signal_id
from hip3_tasks.domain.records import key_of
from hip3_tasks.errors import BadCapture, MalformedRecord
from hip3_tasks.files.line_reader import backwards, forwards

CLOCKS_DIFFER_MS = 10_000
"""By which the clocks of feed and workers may differ beyond what is seen, in a capture that is itself late."""
SECOND_MS = 1000
"""Few thousand keys at the highest rates: a new one moves half of them."""

# How a line of ours begins. It is understood so in a third of the time that decoding it takes.
_ours = re.compile(
    rb'\{"signal_id":"([^"\\]+)","market_key":"[^"\\]*","side":"\w+","signal_timestamp_ms":\d+,'
    rb'"offset_ms":(\d+),"captured_at_ms":(\d+),'
).match


class _Second:
    """The captures of one second's signals: fingerprints in order, and between which bytes of the file they are."""

    __slots__ = "end", "fingerprints", "start"

    def __init__(self) -> None:
        self.fingerprints = array("Q")
        self.start, self.end = sys.maxsize, 0

    def reach(self, start: int, end: int) -> None:
        self.start, self.end = min(self.start, start), max(self.end, end)


class KeyIndex:
    """Fingerprints of the keys of the last `window_ms` of a file's signal time, 8 bytes each, by second.

    A fingerprint that is there is only a reason to look into the file; one that is not there proves absence, for
    signals since `complete_since_ms`.
    """

    def __init__(self, window_ms: int) -> None:
        self.complete_since_ms = 0
        self._window_ms = window_ms
        self._newest_ms = 0
        self._seconds: dict[int, _Second] = {}

    def wider(self, since_ms: int) -> "KeyIndex":
        """An empty one, for signals since an instant: at least twice as wide, so that many steps back are few."""
        return KeyIndex(max(2 * self._window_ms, self._newest_ms - since_ms + SECOND_MS))

    def add(self, signal_id: str, offset_ms: int, start: int, end: int) -> None:
        """Take in a key whose line is between two bytes of the file. Raises BadCapture."""
        _, timestamp_ms = parse_signal_id(signal_id)
        second, fingerprint = self._second(timestamp_ms), _fingerprint(signal_id, offset_ms)
        at = bisect_left(second.fingerprints, fingerprint)
        if not _is_at(second.fingerprints, at, fingerprint):
            second.fingerprints.insert(at, fingerprint)
        second.reach(start, end)
        self._newest_ms = max(self._newest_ms, timestamp_ms)

    def where(self, signal_id: str, offset_ms: int) -> tuple[int, int] | None:
        """Between which bytes of the file its line can be; None when it has none."""
        _, timestamp_ms = parse_signal_id(signal_id)
        if timestamp_ms < self.complete_since_ms:
            return 0, sys.maxsize
        second = self._seconds.get(timestamp_ms // SECOND_MS)
        if second is None:
            return None
        fingerprint = _fingerprint(signal_id, offset_ms)
        at = bisect_left(second.fingerprints, fingerprint)
        return (second.start, second.end) if _is_at(second.fingerprints, at, fingerprint) else None

    def read_on(self, fd: int, start: int, end: int) -> None:
        """Read the lines between two offsets."""
        for line in forwards(fd, start, end):
            start, before = start + len(line) + 1, start
            with suppress(MalformedRecord, BadCapture):
                self.add(*key_of(line), before, start)
        self._forget_old()

    def read_back(self, fd: int, size: int) -> None:
        """Read a file from its end, as far as the window reaches.

        Lines of old signals may stand between those of new ones. But a line was captured after its signal's time, and
        after the lines before it: once captures are older than the window, so are all signals further back.
        """
        behind_ms = 0.0  # how far the workers' wall clock has been behind the feed's, at most
        for lines in backwards(fd, size):
            size, end = size - sum(map(len, lines)) - len(lines), size
            newest_ms, captured_ms, touched = 0, 0.0, set[_Second]()
            for line in lines:
                try:
                    signal_id, offset_ms, captured_at_ms = _read(line)
                    _, timestamp_ms = parse_signal_id(signal_id)
                except (MalformedRecord, BadCapture, ValueError):
                    captured_ms = math.inf
                    continue
                second = self._second(timestamp_ms)
                second.fingerprints.append(_fingerprint(signal_id, offset_ms))
                touched.add(second)
                newest_ms = max(newest_ms, timestamp_ms)
                captured_ms = max(captured_ms, captured_at_ms)
                behind_ms = min(behind_ms, captured_at_ms - timestamp_ms - offset_ms)
            for second in touched:
                second.reach(size, end)
            self._newest_ms = max(self._newest_ms, newest_ms)
            oldest_ms = self._newest_ms - self._window_ms
            if newest_ms < oldest_ms and captured_ms < oldest_ms + behind_ms - CLOCKS_DIFFER_MS:
                self.complete_since_ms = max(self.complete_since_ms, oldest_ms)
                break
        self._forget_old()
        # Sorted at once: many are so read.
        for second in self._seconds.values():
            second.fingerprints = array("Q", sorted(set(second.fingerprints)))

    def used_bytes(self) -> int:
        """What the fingerprints take up."""
        return sum(second.fingerprints.__sizeof__() for second in self._seconds.values())

    def _second(self, timestamp_ms: int) -> _Second:
        number = timestamp_ms // SECOND_MS
        second = self._seconds.get(number)
        if second is None:
            second = self._seconds[number] = _Second()
        return second

    def _forget_old(self) -> None:
        oldest = (self._newest_ms - self._window_ms) // SECOND_MS
        for number in [number for number in self._seconds if number < oldest]:
            del self._seconds[number]
            self.complete_since_ms = max(self.complete_since_ms, oldest * SECOND_MS)


def _is_at(fingerprints: "array[int]", at: int, fingerprint: int) -> bool:
    return at < len(fingerprints) and fingerprints[at] == fingerprint


def _fingerprint(signal_id: str, offset_ms: int) -> int:
    return hash((signal_id, offset_ms)) & 0xFFFF_FFFF_FFFF_FFFF


def _read(line: bytes) -> tuple[str, int, float]:
    """signal_id, offset_ms, and when it was captured: infinite where it does not say. Raises MalformedRecord."""
    if ours := _ours(line):
        return ours[1].decode(), int(ours[2]), int(ours[3])
    signal_id, offset_ms = key_of(line)
    record: Any = orjson.loads(line)
    captured_at_ms = record.get("captured_at_ms")
    return signal_id, offset_ms, captured_at_ms if type(captured_at_ms) is int else math.inf
