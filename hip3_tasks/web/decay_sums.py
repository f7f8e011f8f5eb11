"""How edges decay: today's sums by dex, market, side, horizon and minute, kept as lines of follow-ups go by."""

import threading
from array import array
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hip3_tasks.domain.capture import DAY_MS
from hip3_tasks.domain.edge import Side
from hip3_tasks.stats.bootstrap import Array
from hip3_tasks.status.line_counts import NO_RECORD

MINUTE_MS = 60_000
SUMS = ("n", "edge_t0", "edge", "markout_n", "markout")
"""By the report's names for them."""
WHOLE = ""
"""Stands for all markets of a dex."""


class MinuteSums:
    """SUMS of one market or dex, side and horizon by minute of the signal; 48 bytes a minute."""

    def __init__(self) -> None:
        self._minute = array("q")
        self._sums = array("d")

    def add(self, minute: int, values: Iterable[float]) -> None:
        place = self._place(minute) * len(SUMS)
        for at, value in enumerate(values, place):
            self._sums[at] += value

    def arrays(self) -> tuple[npt.NDArray[np.int64], Array]:
        """The minutes, ascending, and the sums of each: a copy."""
        return np.array(self._minute), np.array(self._sums).reshape(-1, len(SUMS))

    def _place(self, minute: int) -> int:
        """Where a minute stands; it is made where it is new. Nearly always it is the last one."""
        at = len(self._minute)
        while at and self._minute[at - 1] > minute:
            at -= 1
        if at and self._minute[at - 1] == minute:
            return at - 1
        self._minute.insert(at, minute)
        self._sums[at * len(SUMS) : at * len(SUMS)] = array("d", [0.0] * len(SUMS))
        return at


@dataclass(frozen=True, slots=True)
class DexSums:
    """What is asked for of one dex."""

    dex: str
    minutes: npt.NDArray[np.int64]
    """All in which anything of the dex was captured, of whatever market, side or horizon."""
    parts: list[tuple[int, npt.NDArray[np.int64], Array]]
    """Offset in ms, minutes, and the SUMS of each."""


class DecaySums:
    """The sums of a day. One thread may add while another asks."""

    def __init__(self) -> None:
        self.day_ms = 0
        """The UTC day of which these are the sums."""
        self._dexes: defaultdict[str, dict[tuple[str, Side, int], MinuteSums]] = defaultdict(dict)
        self._lock = threading.Lock()

    def take(self, kind: str, record: dict[str, Any]) -> None:
        """A line of a file; one of another day, and what is no follow-up, counts for nothing."""
        if kind == "followups":
            with suppress(*NO_RECORD):
                self._add(record)

    def turn_to(self, at_ms: int) -> None:
        """Begin anew when the day has changed."""
        day_ms = at_ms // DAY_MS * DAY_MS
        if day_ms != self.day_ms:
            with self._lock:
                self.day_ms = day_ms
                self._dexes.clear()

    def sums(self, coin: str | None, side: Side | None) -> list[DexSums]:
        """Of a market or of all, of a side or of both."""
        with self._lock:
            dexes = [_dex(coin)] if coin else list(self._dexes)
            found = [_dex_sums(dex, self._dexes[dex], coin, side) for dex in dexes if dex in self._dexes]
        return [of_dex for of_dex in found if of_dex.parts]

    def _add(self, record: dict[str, Any]) -> None:
        coin, side, offset_ms = str(record["market_key"]), Side(record["side"]), int(record["offset_ms"])
        at_ms, markout_bps = int(record["signal_timestamp_ms"]), record["markout_bps"]
        markout = (0.0, 0.0) if markout_bps is None else (1.0, float(markout_bps))
        values = (1.0, float(record["t0_raw_edge_bps"]), float(record["raw_edge_bps"]), *markout)
        if self.day_ms <= at_ms < self.day_ms + DAY_MS:
            with self._lock:
                of_dex = self._dexes[_dex(coin)]
                for place in (coin, WHOLE):
                    of_dex.setdefault((place, side, offset_ms), MinuteSums()).add(at_ms // MINUTE_MS, values)


def _dex_sums(
    dex: str, of_dex: dict[tuple[str, Side, int], MinuteSums], coin: str | None, side: Side | None
) -> DexSums:
    arrays = {key: minutes.arrays() for key, minutes in of_dex.items() if key[0] in (WHOLE, coin)}
    return DexSums(
        dex,
        np.unique(np.concatenate([minute for (place, _, _), (minute, _) in arrays.items() if place == WHOLE])),
        [
            (offset_ms, minute, sums)
            for (place, of_side, offset_ms), (minute, sums) in arrays.items()
            if place == (coin or WHOLE) and side in (None, of_side)
        ],
    )


def _dex(coin: str) -> str:
    return coin.partition(":")[0]
