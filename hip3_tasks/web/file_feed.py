"""Reads the ends of the data files for the page: signals, counts, lateness, today's decay and round trips.

Older lines are read backwards: the last 15 minutes at once, the rest of the day in small steps.
"""

import heapq
import time
from collections.abc import Iterator
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Any

from hip3_tasks.domain.capture import DAY_MS, utc_day
from hip3_tasks.files.day_files import KINDS, jsonl_path
from hip3_tasks.files.line_reader import backwards
from hip3_tasks.files.tail import Tail
from hip3_tasks.status.line_counts import LineCounts, read_records, recent_lines
from hip3_tasks.status.rolling_window import BUCKET_MS, BUCKETS, RollingWindow
from hip3_tasks.status.trips import ANY_TAKER, Taker
from hip3_tasks.web.recent_signals import RecentSignals
from hip3_tasks.web.today_sums import TodaySums

CATCH_UP_S = 0.05
"""The time per poll for older lines, until the day is read: a tenth of a core."""
STEP_LINES = 256
"""A few milliseconds' work: the clock is read after each."""

Record = dict[str, Any]


class FileFeed:
    """The lines of one data directory, which need not exist yet."""

    def __init__(self, data_dir: Path, taker: Taker = ANY_TAKER) -> None:
        self.recent_signals, self.window, self.today = RecentSignals(taker), RollingWindow(taker), TodaySums(taker)
        self.totals = LineCounts(start=self.window.start)
        """Counts of the lines appended since the page started. They only grow."""
        self._data_dir = data_dir
        self._tail: Tail | None = None
        self._backlog: Iterator[None] = iter(())
        self.is_caught_up = False

    def update(self, at_ms: int) -> None:
        """Read new lines, and some older ones. A directory that does not exist has none."""
        with suppress(OSError):
            self.today.turn_to(at_ms)
            self._tail = self._tail or self._begin(at_ms)
            # Before new lines, since these may be captures of signals that stood in the files before.
            self._catch_up()
            for kind, lines, *_ in self._tail.new_lines():
                for record in read_records(lines):
                    self.totals.take(kind, record)
                    self._take(kind, record)
                    self.today.take(kind, record)
            self.window.forget_before(at_ms)

    def _begin(self, at_ms: int) -> Tail:
        tail = Tail(self._data_dir)
        ends = dict(tail.read_to)
        since_ms = at_ms - BUCKET_MS * BUCKETS
        recent = [
            (kind, list(read_records(lines)))
            for kind, lines in recent_lines(self._data_dir, since_ms, until_ms=at_ms, ends=ends)
        ]
        for kind, records in sorted(recent, key=lambda item: item[0] != "signals"):
            for record in sorted(records, key=_written_at_ms):
                self._take(kind, record)
        self._backlog = self._rest_of_the_day(ends, utc_day(at_ms))
        return tail

    def _take(self, kind: str, record: dict[str, Any]) -> None:
        self.recent_signals.take(kind, record)
        self.window.take(kind, record)

    def _rest_of_the_day(self, ends: dict[Path, int], day: str) -> Iterator[None]:
        """Add the day's lines, the newest signal first, then its captures."""
        lines = heapq.merge(*(self._backwards(kind, ends, day) for kind in KINDS), key=self._place)
        for number, (kind, record) in enumerate(lines):
            self.today.take(kind, record)
            if number % STEP_LINES == 0:
                yield

    def _backwards(self, kind: str, ends: dict[Path, int], day: str) -> Iterator[tuple[str, Record]]:
        path = jsonl_path(self._data_dir, kind, day)
        with suppress(FileNotFoundError), path.open("rb") as file:
            for lines in backwards(file.fileno(), ends.get(path, 0)):
                yield from ((kind, record) for record in read_records(reversed(lines)))

    def _place(self, line: tuple[str, Record]) -> tuple[float, int]:
        """The place of a line by its signal; one of no signal of the day comes first, and delays none behind it."""
        kind, record = line
        at_ms = record.get("timestamp_ms" if kind == "signals" else "signal_timestamp_ms")
        if not isinstance(at_ms, int) or not 0 <= at_ms - self.today.day_ms < DAY_MS:
            at_ms = inf
        return -at_ms, KINDS.index(kind)

    def _catch_up(self) -> None:
        until_s = time.monotonic() + CATCH_UP_S
        while not self.is_caught_up and time.monotonic() < until_s:
            self.is_caught_up = next(self._backlog, self) is self


def _written_at_ms(record: dict[str, Any]) -> int:
    at_ms = record.get("captured_at_ms") or record.get("timestamp_ms")
    return at_ms if type(at_ms) is int else 0
