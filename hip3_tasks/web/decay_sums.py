"""Today's sums of edges by dex, market, side, horizon and minute, updated with each line of a follow-up."""

import threading
from array import array
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hip3_tasks.domain.capture import DAY_MS, MINUTE_MS
from hip3_tasks.domain.edge import Side
from hip3_tasks.stats.bootstrap import Array
from hip3_tasks.status.line_counts import NO_RECORD

SUMS = ("n", "edge_t0", "edge", "markout_n", "markout")
"""The report's names."""
ALL_COINS = ""
"""The key of the sums over all markets of a dex."""


class MinuteSums:
    """The SUMS of one market or dex, side and horizon by minute of the signal; 48 bytes per minute."""

    def __init__(self) -> None:
        self._minute = array("q")
        self._sums = array("d")

    def add(self, minute: int, values: Iterable[float]) -> None:
        start = self._index(minute) * len(SUMS)
        for index, value in enumerate(values, start):
            self._sums[index] += value

    def arrays(self) -> tuple[npt.NDArray[np.int64], Array]:
        """Copies of the minutes, ascending, int64, (minutes,), and their sums, float64, (minutes, len(SUMS))."""
        return np.array(self._minute), np.array(self._sums).reshape(-1, len(SUMS))

    def _index(self, minute: int) -> int:
        """The index of a minute, inserted if it is new. It is nearly always the last one."""
        index = len(self._minute)
        while index and self._minute[index - 1] > minute:
            index -= 1
        if index and self._minute[index - 1] == minute:
            return index - 1
        self._minute.insert(index, minute)
        self._sums[index * len(SUMS) : index * len(SUMS)] = array("d", [0.0] * len(SUMS))
        return index


@dataclass(frozen=True, slots=True)
class DexSums:
    """The selected sums of one dex."""

    dex: str
    minutes: npt.NDArray[np.int64]
    """The minutes with a capture of any market, side or horizon of the dex. int64, (minutes,), ascending."""
    series: list[tuple[int, npt.NDArray[np.int64], Array]]
    """(offset in ms, minutes, SUMS of each minute: float64, (minutes, len(SUMS)))."""


class DecaySums:
    """The sums of a day. One thread may add while another reads."""

    def __init__(self) -> None:
        self.day_ms = 0
        """The start of the UTC day that is summed."""
        self._dexes: defaultdict[str, dict[tuple[str, Side, int], MinuteSums]] = defaultdict(dict)
        self._lock = threading.Lock()

    def take(self, kind: str, record: dict[str, Any]) -> None:
        """Add a decoded line. A line of another day, or that is no follow-up, is not counted."""
        if kind == "followups":
            with suppress(*NO_RECORD):
                self._add(record)

    def turn_to(self, at_ms: int) -> None:
        """Clear the sums if the day has changed."""
        day_ms = at_ms // DAY_MS * DAY_MS
        if day_ms != self.day_ms:
            with self._lock:
                self.day_ms = day_ms
                self._dexes.clear()

    def sums(self, coin: str | None, side: Side | None) -> list[DexSums]:
        """The sums by dex, of one market or all, of one side or both."""
        with self._lock:
            dexes = [_dex(coin)] if coin else list(self._dexes)
            sums = [_dex_sums(dex, self._dexes[dex], coin, side) for dex in dexes if dex in self._dexes]
        return [dex_sums for dex_sums in sums if dex_sums.series]

    def _add(self, record: dict[str, Any]) -> None:
        coin, side, offset_ms = str(record["market_key"]), Side(record["side"]), int(record["offset_ms"])
        at_ms, markout_bps = int(record["signal_timestamp_ms"]), record["markout_bps"]
        markout = (0.0, 0.0) if markout_bps is None else (1.0, float(markout_bps))
        values = (1.0, float(record["t0_raw_edge_bps"]), float(record["raw_edge_bps"]), *markout)
        if self.day_ms <= at_ms < self.day_ms + DAY_MS:
            with self._lock:
                by_key = self._dexes[_dex(coin)]
                for name in (coin, ALL_COINS):
                    by_key.setdefault((name, side, offset_ms), MinuteSums()).add(at_ms // MINUTE_MS, values)


def _dex_sums(
    dex: str, by_key: dict[tuple[str, Side, int], MinuteSums], coin: str | None, side: Side | None
) -> DexSums:
    totals = [sums.arrays()[0] for (name, _, _), sums in by_key.items() if name == ALL_COINS]
    series = [
        (offset_ms, *sums.arrays())
        for (name, sums_side, offset_ms), sums in by_key.items()
        if name == (coin or ALL_COINS) and side in (None, sums_side)
    ]
    return DexSums(dex, np.unique(np.concatenate(totals)), series)


def _dex(coin: str) -> str:
    return coin.partition(":")[0]
