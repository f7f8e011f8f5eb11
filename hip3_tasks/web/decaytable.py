"""The decay of edges by horizon, from the sums that the page keeps, with the report's own bands."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hip3_tasks.analysis.bootstrap import Array, Estimate, estimate, weights
from hip3_tasks.capture import DAY_MS
from hip3_tasks.edge import Side
from hip3_tasks.web.decay import MINUTE_MS, Decay, Minutes

MOST_CLUSTERS = 300
"""Of a dex: beyond it a cluster is longer, so that what a look costs does not grow with the day."""
SUMS = ("n", "edge_bps", "n_markout", "markout_bps")

draws = lru_cache(maxsize=8)(weights)


@dataclass(frozen=True, slots=True, kw_only=True)
class Horizon:
    """One horizon: the edge that is left, and the move of the mid in the taker's favour since the signal."""

    offset_ms: int
    edge_bps: Estimate
    markout_bps: Estimate
    n: int
    clusters: int
    """Minutes of dexes, or more minutes late in the day."""


def decay_table(decay: Decay, *, coin: str | None, side: Side | None) -> list[Horizon]:
    """The nearest horizon first."""
    found = decay.clusters(coin, side)
    offsets_ms = sorted({offset_ms for offset_ms, _, _ in found})
    by_dex: dict[str, list[tuple[int, Minutes]]] = {}
    for offset_ms, dex, minutes in found:
        by_dex.setdefault(dex, []).append((offsets_ms.index(offset_ms), minutes))
    shape = len(offsets_ms), len(SUMS)
    whole, drawn, clusters = np.zeros(shape), np.zeros((1, *shape)), np.zeros(len(offsets_ms), dtype=int)
    for dex, parts in sorted(by_dex.items()):
        cells = _cells(parts, offsets=len(offsets_ms))
        whole += cells.sum(axis=0)
        drawn = drawn + np.tensordot(draws(dex, len(cells)), cells, axes=1)
        clusters += (cells[:, :, 0] > 0).sum(axis=0)
    return [_horizon(at, offset_ms, whole, drawn, int(clusters[at])) for at, offset_ms in enumerate(offsets_ms)]


def cluster_minutes(first: int, last: int) -> int:
    """How many minutes make a cluster when so many minutes are spanned."""
    return next((size for size in (1, 2, 5, 10, 15) if last - first < MOST_CLUSTERS * size), DAY_MS // MINUTE_MS)


def _cells(parts: Sequence[tuple[int, Minutes]], *, offsets: int) -> Array:
    """Sums of one dex: clusters x offsets x SUMS."""
    first = min(minutes.minute[0] for _, minutes in parts)
    last = max(minutes.minute[-1] for _, minutes in parts)
    size = cluster_minutes(first, last)
    first -= first % size
    cells = np.zeros(((last - first) // size + 1, offsets, len(SUMS)))
    for offset, minutes in parts:
        cluster = (np.array(minutes.minute) - first) // size
        for at, name in enumerate(SUMS):
            np.add.at(cells[:, offset, at], cluster, np.array(getattr(minutes, name)))
    return cells[cells[:, :, 0].any(axis=1)]


def _horizon(at: int, offset_ms: int, whole: Array, drawn: Array, clusters: int) -> Horizon:
    n, edge, n_markout, markout = whole[at]
    drawn_n, drawn_edge, drawn_n_markout, drawn_markout = drawn[:, at].T
    return Horizon(
        offset_ms=offset_ms,
        edge_bps=estimate(float(_over(edge, n)), _over(drawn_edge, drawn_n), clusters=clusters),
        markout_bps=estimate(
            float(_over(markout, n_markout)), _over(drawn_markout, drawn_n_markout), clusters=clusters
        ),
        n=round(n),
        clusters=clusters,
    )


def _over(upper: Array, lower: Array) -> Array:
    """Of two sums; what is over nothing is not known."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Array = np.where(lower == 0, np.nan, upper / lower)
    return found
