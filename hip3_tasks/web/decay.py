"""How edges decay: today's sums by market, side, horizon and minute, kept as lines go by. Horizon 0 is the signal.

A minute of a dex is one event, for one oracle update moves all its markets at once: bands are taken over those.
"""

import threading
from array import array
from contextlib import suppress
from typing import Any

from hip3_tasks.capture import DAY_MS
from hip3_tasks.edge import Side

MINUTE_MS = 60_000


class Minutes:
    """Sums of one market, side and horizon by minute of the signal; 32 bytes a minute."""

    def __init__(self) -> None:
        self.minute = array("q")
        self.n = array("I")
        self.edge_bps = array("d")
        self.n_markout = array("I")
        self.markout_bps = array("d")

    def add(self, minute: int, edge_bps: float, markout_bps: float | None) -> None:
        at = self._place(minute)
        self.n[at] += 1
        self.edge_bps[at] += edge_bps
        if markout_bps is not None:
            self.n_markout[at] += 1
            self.markout_bps[at] += markout_bps

    def copy(self) -> "Minutes":
        made = Minutes()
        for name in vars(made):
            setattr(made, name, getattr(self, name)[:])
        return made

    def _place(self, minute: int) -> int:
        """Where a minute's sums stand; it is made where it is new. Nearly always it is the last one."""
        at = len(self.minute)
        while at and self.minute[at - 1] > minute:
            at -= 1
        if at and self.minute[at - 1] == minute:
            return at - 1
        self.minute.insert(at, minute)
        for column in (self.n, self.edge_bps, self.n_markout, self.markout_bps):
            column.insert(at, 0)
        return at


class Decay:
    """The sums of a day. Those of whole dexes stand beside those of their markets.

    One thread may add while another asks.
    """

    def __init__(self) -> None:
        self.day_ms = 0
        """The UTC day of which these are the sums."""
        self._sums: dict[tuple[str, Side, int], Minutes] = {}
        self._lock = threading.Lock()

    def take(self, kind: str, record: dict[str, Any]) -> None:
        """A line of a signals or follow-ups file; one of another day, and what is no record, counts for nothing."""
        with suppress(ValueError, TypeError, KeyError, OverflowError):
            if kind == "signals":
                self._add(record, record["timestamp_ms"], offset_ms=0, markout_bps=0.0)
            elif kind == "followups":
                at_ms, offset_ms = record["signal_timestamp_ms"], int(record["offset_ms"])
                self._add(record, at_ms, offset_ms=offset_ms, markout_bps=record["markout_bps"])

    def turn_to(self, at_ms: int) -> None:
        """Begin anew when the day has changed."""
        day_ms = at_ms // DAY_MS * DAY_MS
        if day_ms != self.day_ms:
            with self._lock:
                self.day_ms, self._sums = day_ms, {}

    def clusters(self, coin: str | None, side: Side | None) -> list[tuple[int, str, Minutes]]:
        """(offset_ms, dex, its sums by minute) of a market or of all, of a side or of both."""
        with self._lock:
            return [
                (offset_ms, _dex(place), minutes.copy())
                for (place, of_side, offset_ms), minutes in self._sums.items()
                if (place == coin if coin else ":" not in place) and side in (None, of_side)
            ]

    def _add(self, record: dict[str, Any], at_ms: int, *, offset_ms: int, markout_bps: float | None) -> None:
        coin, side, edge_bps = str(record["market_key"]), Side(record["side"]), float(record["raw_edge_bps"])
        if self.day_ms <= at_ms < self.day_ms + DAY_MS:
            with self._lock:
                for place in (coin, _dex(coin)):
                    self._minutes(place, side, offset_ms).add(at_ms // MINUTE_MS, edge_bps, markout_bps)

    def _minutes(self, place: str, side: Side, offset_ms: int) -> Minutes:
        key = (place, side, offset_ms)
        if key not in self._sums:
            self._sums[key] = Minutes()
        return self._sums[key]


def _dex(coin: str) -> str:
    return coin.partition(":")[0]
