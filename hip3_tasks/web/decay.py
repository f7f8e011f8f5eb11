"""The decay of edges by horizon: today's sums, updated with each line of a follow-up, and their table with bands.

The table equals the report of the same day. A minute of a dex is one event of the bootstrap, because one oracle update
moves all its markets at once.
"""

import threading
from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from hip3_tasks.domain.capture import DAY_MS, MINUTE_MS
from hip3_tasks.domain.edge import Side
from hip3_tasks.domain.market import dex_of
from hip3_tasks.stats.bootstrap import Array, Estimate, weights
from hip3_tasks.stats.cluster_totals import ClusterSums, SumSpec, Totals, totals_by_key
from hip3_tasks.status.line_counts import NO_RECORD

SUMS = ("n", "edge_t0", "edge", "markout_n", "markout")
"""The report's names."""
ALL_COINS = ""
"""The key of the sums over all markets of a dex."""
UNMOVED = Estimate(value=0.0, low=0.0, high=0.0)


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
            dexes = [dex_of(coin)] if coin else list(self._dexes)
            sums = [_dex_sums(dex, self._dexes[dex], coin, side) for dex in dexes if dex in self._dexes]
        return [dex_sums for dex_sums in sums if dex_sums.series]

    def _add(self, record: dict[str, Any]) -> None:
        coin, side, offset_ms = str(record["market_key"]), Side(record["side"]), int(record["offset_ms"])
        at_ms, markout_bps = int(record["signal_timestamp_ms"]), record["markout_bps"]
        markout = (0.0, 0.0) if markout_bps is None else (1.0, float(markout_bps))
        values = (1.0, float(record["t0_raw_edge_bps"]), float(record["raw_edge_bps"]), *markout)
        if self.day_ms <= at_ms < self.day_ms + DAY_MS:
            with self._lock:
                by_key = self._dexes[dex_of(coin)]
                for name in (coin, ALL_COINS):
                    by_key.setdefault((name, side, offset_ms), MinuteSums()).add(at_ms // MINUTE_MS, values)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecayRow:
    """One horizon: the mean edge then, and the mean move of the mid in the taker's favour since the signal."""

    offset_ms: int
    """0 stands for the signals themselves that have the next horizon."""
    edge_bps: Estimate
    markout_bps: Estimate
    n: int
    clusters: int


def decay_table(decay: DecaySums, *, coin: str | None, side: Side | None) -> list[DecayRow]:
    """The rows, nearest horizon first; none before the first capture."""
    sums = decay.sums(coin, side)
    offsets_ms = sorted({offset_ms for dex in sums for offset_ms, _, _ in dex.series})
    indices = {offset_ms: index for index, offset_ms in enumerate(offsets_ms)}
    every = np.arange(len(offsets_ms))
    dexes = (ClusterSums(partial(_weights, dex), every, _cells(dex, indices)) for dex in sums)
    totals = totals_by_key(dexes, SumSpec(SUMS), offsets_ms)
    table = [_row(ms, total, "edge", total.ratio("markout", "markout_n")) for ms, total in totals.items()]
    signal = [_row(0, total, "edge_t0", UNMOVED) for total in totals.values()][:1]
    return signal + table


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


def _row(offset_ms: int, total: Totals, edge: str, markout_bps: Estimate) -> DecayRow:
    return DecayRow(
        offset_ms=offset_ms,
        edge_bps=total.ratio(edge, "n"),
        markout_bps=markout_bps,
        n=round(total["n"]),
        clusters=total.clusters,
    )


@lru_cache(maxsize=8)
def _draws(dex: str, clusters: int) -> npt.NDArray[np.uint8]:
    """The report's bootstrap weights in an eighth of the space: a day has 1,440 clusters, each drawn a few times."""
    return weights(dex, clusters).astype(np.uint8)


def _weights(dex: DexSums) -> Array:
    return _draws(dex.dex, len(dex.minutes)).astype(np.float64)


def _cells(dex: DexSums, indices: Mapping[int, int]) -> Array:
    """The sums by cluster: float64, (minutes, offsets, len(SUMS))."""
    cells = np.zeros((len(dex.minutes), len(indices), len(SUMS)))
    for offset_ms, minute, sums in dex.series:
        cells[np.searchsorted(dex.minutes, minute), indices[offset_ms]] += sums
    return cells
