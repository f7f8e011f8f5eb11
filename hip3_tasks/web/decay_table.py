"""The decay of edges by horizon with bands, equal to the report of the same day.

A minute of a dex is one event of the bootstrap, because one oracle update moves all its markets at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from hip3_tasks.domain.edge import Side
from hip3_tasks.stats.bootstrap import Array, Estimate, weights
from hip3_tasks.stats.cluster_totals import SumSpec, Totals, totals_by_key
from hip3_tasks.web.decay_sums import SUMS, DecaySums, DexSums

UNMOVED = Estimate(value=0.0, low=0.0, high=0.0)


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
    dexes = ((_draws(dex.dex, len(dex.minutes)).astype(np.float64), _cells(dex, indices)) for dex in sums)
    totals = totals_by_key(dexes, SumSpec(SUMS), offsets_ms)
    table = [_row(ms, total, "edge", total.ratio("markout", "markout_n")) for ms, total in totals.items()]
    signal = [_row(0, total, "edge_t0", UNMOVED) for total in totals.values()][:1]
    return signal + table


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


def _cells(dex: DexSums, indices: Mapping[int, int]) -> Array:
    """The sums by cluster: float64, (minutes, offsets, len(SUMS))."""
    cells = np.zeros((len(dex.minutes), len(indices), len(SUMS)))
    for offset_ms, minute, sums in dex.series:
        cells[np.searchsorted(dex.minutes, minute), indices[offset_ms]] += sums
    return cells
