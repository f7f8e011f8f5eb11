"""Today's sums of follow-ups and of a taker's orders by minute, updated with each line."""

import threading
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hip3_tasks.domain.capture import DAY_MS, MINUTE_MS
from hip3_tasks.domain.edge import Side
from hip3_tasks.domain.market import dex_of
from hip3_tasks.stats.bootstrap import Array
from hip3_tasks.status.line_counts import NO_RECORD
from hip3_tasks.status.trips import ANY_TAKER, OpenSignals, Taker

SUMS = ("n", "edge_t0", "edge", "markout_n", "markout")
"""The sums of a horizon, by the report's names."""
WIDTH = len(SUMS)
"""The number of SUMS, and of TRIP_SUMS."""
ALL_COINS = ""
"""The key of the sums over all markets of a dex."""


class MinuteSums:
    """WIDTH sums of one market or dex, side and horizon or way out, by minute of the signal; 48 bytes per minute."""

    def __init__(self) -> None:
        self._minute = array("q")
        self._sums = array("d")

    def add(self, minute: int, values: Iterable[float]) -> None:
        start = self._index(minute) * WIDTH
        for index, value in enumerate(values, start):
            self._sums[index] += value

    def arrays(self) -> tuple[npt.NDArray[np.int64], Array]:
        """Copies of the minutes, ascending, int64, (minutes,), and their sums, float64, (minutes, WIDTH)."""
        return np.array(self._minute), np.array(self._sums).reshape(-1, WIDTH)

    def _index(self, minute: int) -> int:
        """The index of a minute, inserted if it is new."""
        index = bisect_left(self._minute, minute)
        if index == len(self._minute) or self._minute[index] != minute:
            self._minute.insert(index, minute)
            self._sums[index * WIDTH : index * WIDTH] = array("d", [0.0] * WIDTH)
        return index


@dataclass(frozen=True, slots=True)
class DexSums:
    """The selected sums of one dex."""

    dex: str
    minutes: npt.NDArray[np.int64]
    """The minutes with a capture of any market, side or horizon of the dex. int64, (minutes,), ascending."""
    series: list[tuple[Any, npt.NDArray[np.int64], Array]]
    """(offset in ms, or latency and time held, minutes, sums of each minute: float64, (minutes, WIDTH))."""


Series = defaultdict[str, defaultdict[tuple[str, Side, Any], MinuteSums]]
"""The sums of each coin or ALL_COINS, side, and horizon or way out, by dex."""


class TodaySums:
    """The sums of a day. One thread may add while another reads."""

    def __init__(self, taker: Taker = ANY_TAKER) -> None:
        self.day_ms = 0
        """The start of the UTC day that is summed."""
        self._horizons: Series = defaultdict(lambda: defaultdict(MinuteSums))
        self._trips: Series = defaultdict(lambda: defaultdict(MinuteSums))
        self._signals = OpenSignals(taker)
        self._lock = threading.Lock()

    def take(self, kind: str, record: dict[str, Any]) -> None:
        """Add a decoded line. A line of another day, or that is no record, is not counted."""
        with suppress(*NO_RECORD):
            if kind == "signals":
                self._signals.take(record)
            else:
                signal = self._signals.answered(record)
                if kind == "followups":
                    self._add_followup(record)
                    for latency_ms, held_ms, terms in signal.take(record) if signal else ():
                        self._add(self._trips, record, (latency_ms, held_ms), terms)

    def turn_to(self, at_ms: int) -> None:
        """Clear the sums if the day has changed."""
        day_ms = at_ms // DAY_MS * DAY_MS
        if day_ms != self.day_ms:
            with self._lock:
                self.day_ms = day_ms
                self._horizons.clear()
                self._trips.clear()

    def horizons(self, coin: str | None, side: Side | None) -> list[DexSums]:
        """The SUMS by dex and offset, of one market or all, of one side or both."""
        return self._selected(self._horizons, coin, side)

    def trips(self, coin: str | None, side: Side | None) -> list[DexSums]:
        """The TRIP_SUMS by dex, latency and time held, selected alike."""
        return self._selected(self._trips, coin, side)

    def _selected(self, series: Series, coin: str | None, side: Side | None) -> list[DexSums]:
        with self._lock:
            selected = [
                DexSums(dex, self._minutes(dex), _series(by_key, coin or ALL_COINS, side))
                for dex, by_key in series.items()
                if coin is None or dex == dex_of(coin)
            ]
        return [dex_sums for dex_sums in selected if dex_sums.series]

    def _minutes(self, dex: str) -> npt.NDArray[np.int64]:
        totals = [sums.arrays()[0] for (name, _, _), sums in self._horizons[dex].items() if name == ALL_COINS]
        return np.unique(np.concatenate(totals))

    def _add_followup(self, record: dict[str, Any]) -> None:
        markout_bps = record["markout_bps"]
        markout = (0.0, 0.0) if markout_bps is None else (1.0, float(markout_bps))
        values = (1.0, float(record["t0_raw_edge_bps"]), float(record["raw_edge_bps"]), *markout)
        self._add(self._horizons, record, int(record["offset_ms"]), values)

    def _add(self, series: Series, record: dict[str, Any], column: Any, values: Iterable[float]) -> None:
        coin, side, at_ms = str(record["market_key"]), Side(record["side"]), int(record["signal_timestamp_ms"])
        if self.day_ms <= at_ms < self.day_ms + DAY_MS:
            with self._lock:
                by_key = series[dex_of(coin)]
                for name in (coin, ALL_COINS):
                    by_key[name, side, column].add(at_ms // MINUTE_MS, values)


def _series(
    by_key: Mapping[tuple[str, Side, Any], MinuteSums], wanted: str, side: Side | None
) -> list[tuple[Any, npt.NDArray[np.int64], Array]]:
    return [
        (column, *sums.arrays())
        for (name, sums_side, column), sums in by_key.items()
        if name == wanted and side in (None, sums_side)
    ]
