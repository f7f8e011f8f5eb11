"""The decay of edges by horizon with its bands, as the report of the same day has it.

A minute of a dex is one event, for one oracle update moves all its markets at once: bands are taken over those.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from hip3_tasks.domain.edge import Side
from hip3_tasks.stats.bootstrap import Array, Estimate, weights
from hip3_tasks.stats.cluster_totals import Asked, Totals, totals_of
from hip3_tasks.web.decay_sums import SUMS, DecaySums, DexSums

UNMOVED = Estimate(value=0.0, low=0.0, high=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecayRow:
    """One horizon: the edge that is left, and the move of the mid in the taker's favour since the signal."""

    offset_ms: int
    """0 is the signal itself, of those that the next horizon has."""
    edge_bps: Estimate
    markout_bps: Estimate
    n: int
    clusters: int


def decay_table(decay: DecaySums, *, coin: str | None, side: Side | None) -> list[DecayRow]:
    """The nearest horizon first; none before anything was captured."""
    found = decay.sums(coin, side)
    offsets_ms = sorted({offset_ms for of_dex in found for offset_ms, _, _ in of_dex.parts})
    key_at = {offset_ms: at for at, offset_ms in enumerate(offsets_ms)}
    dexes = ((_draws(one.dex, len(one.minutes)).astype(np.float64), _cells(one, key_at)) for one in found)
    totals = totals_of(dexes, Asked(SUMS), offsets_ms)
    table = [_horizon(offset_ms, of, "edge", of.ratio("markout", "markout_n")) for offset_ms, of in totals.items()]
    signal = [_horizon(0, of, "edge_t0", UNMOVED) for of in totals.values()][:1]
    return signal + table


def _horizon(offset_ms: int, of: Totals, edge: str, markout_bps: Estimate) -> DecayRow:
    return DecayRow(
        offset_ms=offset_ms,
        edge_bps=of.ratio(edge, "n"),
        markout_bps=markout_bps,
        n=round(of["n"]),
        clusters=of.clusters,
    )


@lru_cache(maxsize=8)
def _draws(dex: str, clusters: int) -> npt.NDArray[np.uint8]:
    """The report's, in an eighth of their space: a cluster is drawn a few times at most, and a day has 1,440."""
    return weights(dex, clusters).astype(np.uint8)


def _cells(of_dex: DexSums, key_at: Mapping[int, int]) -> Array:
    """Clusters x offsets x SUMS."""
    cells = np.zeros((len(of_dex.minutes), len(key_at), len(SUMS)))
    for offset_ms, minute, sums in of_dex.parts:
        cells[np.searchsorted(of_dex.minutes, minute), key_at[offset_ms]] += sums
    return cells
