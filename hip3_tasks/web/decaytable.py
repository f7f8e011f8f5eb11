"""The decay of edges by horizon, with bands, from the sums that the page keeps."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hip3_tasks.edge import Side
from hip3_tasks.web.decay import Decay, Minutes

Z = 1.96
"""A band of 95 %, as far as minutes are independent of each other."""


@dataclass(frozen=True, slots=True)
class Band:
    """None where too few minutes tell."""

    mean: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Horizon:
    """One horizon: the edge that is left, and the move of the mid in the taker's favour since the signal."""

    offset_ms: int
    edge_bps: Band
    markout_bps: Band
    n: int
    clusters: int
    """Minutes of dexes."""


def decay_table(decay: Decay, *, coin: str | None, side: Side | None) -> list[Horizon]:
    """The nearest horizon first."""
    by_offset: dict[int, dict[tuple[str, int], list[float]]] = {}
    for offset_ms, dex, minutes in decay.clusters(coin, side):
        clusters = by_offset.setdefault(offset_ms, {})
        for minute, *sums in _rows(minutes):
            known = clusters.setdefault((dex, minute), [0.0, 0.0, 0.0, 0.0])
            for place, value in enumerate(sums):
                known[place] += value
    return [_horizon(offset_ms, list(by_offset[offset_ms].values())) for offset_ms in sorted(by_offset)]


def _rows(minutes: Minutes) -> Iterable[tuple[int, int, float, int, float]]:
    return zip(minutes.minute, minutes.n, minutes.edge_bps, minutes.n_markout, minutes.markout_bps, strict=True)


def _horizon(offset_ms: int, clusters: Sequence[Sequence[float]]) -> Horizon:
    return Horizon(
        offset_ms=offset_ms,
        edge_bps=_band([(n, edge) for n, edge, _, _ in clusters]),
        markout_bps=_band([(n, markout) for _, _, n, markout in clusters if n]),
        n=int(sum(n for n, *_ in clusters)),
        clusters=len(clusters),
    )


def _band(clusters: Sequence[tuple[float, float]]) -> Band:
    """The mean over all of them, and how far it may be off: a ratio of sums over clusters."""
    n, count = sum(number for number, _ in clusters), len(clusters)
    if not n:
        return Band(None, None, None)
    mean = sum(total for _, total in clusters) / n
    if count < 2:
        return Band(mean, None, None)
    residues = sum((total - mean * number) ** 2 for number, total in clusters)
    off = Z * math.sqrt(residues * count / (count - 1)) / n
    return Band(mean, mean - off, mean + off)
