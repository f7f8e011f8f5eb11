"""The decay of today's edges by horizon, and the round trips of a taker: tables with bands.

The tables equal the report of the same day. A minute of a dex is one event of the bootstrap, because one oracle update
moves all its markets at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from hip3_tasks.domain.edge import Side
from hip3_tasks.stats.bootstrap import Array, Estimate, weights
from hip3_tasks.stats.cluster_totals import ClusterSums, SumSpec, Totals, totals_by_key
from hip3_tasks.status.trips import TRIP_SUMS
from hip3_tasks.web.today_sums import SUMS, WIDTH, DexSums, TodaySums

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


@dataclass(frozen=True, slots=True, kw_only=True)
class TripRow:
    """Orders at the touch of T0 that arrive after one latency and are closed after one time held, as in the report."""

    latency_ms: int
    held_ms: int
    n: int
    """The number of orders, without those that are too small."""
    too_small: int
    """The number of orders below the venue's least."""
    had: Estimate
    trips: int
    """The number of orders that were had and whose way out is known."""
    clusters: int
    """The number of clusters with a trip."""
    round_trip_bps: Estimate


def decay_table(sums: TodaySums, *, coin: str | None, side: Side | None) -> list[DecayRow]:
    """The rows, nearest horizon first; none before the first capture."""
    totals = _totals(sums.horizons(coin, side), SUMS)
    table = [_row(ms, total, "edge", total.ratio("markout", "markout_n")) for ms, total in totals.items()]
    signal = [_row(0, total, "edge_t0", UNMOVED) for total in totals.values()][:1]
    return signal + table


def trip_table(sums: TodaySums, *, coin: str | None, side: Side | None) -> list[TripRow]:
    """The rows by latency and time held, ascending; none before the first order."""
    totals = _totals(sums.trips(coin, side), TRIP_SUMS)
    return [
        TripRow(
            latency_ms=latency_ms,
            held_ms=held_ms,
            n=round(total["n"]),
            too_small=round(total["orders"] - total["n"]),
            had=total.ratio("had", "n"),
            trips=round(total["trip_n"]),
            clusters=total.nonzero_of("trip_n"),
            round_trip_bps=total.ratio("trip", "trip_n"),
        )
        for (latency_ms, held_ms), total in totals.items()
    ]


def _totals(dexes: Sequence[DexSums], names: tuple[str, ...]) -> dict[Any, Totals]:
    """The totals of each horizon or way out, in their order."""
    keys = sorted({key for dex in dexes for key, _, _ in dex.series})
    indices = {key: index for index, key in enumerate(keys)}
    every = np.arange(len(keys))
    sums = (ClusterSums(partial(_weights, dex), every, _cells(dex, indices)) for dex in dexes)
    return totals_by_key(sums, SumSpec(names), keys)


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


def _cells(dex: DexSums, indices: Mapping[Any, int]) -> Array:
    """The sums by cluster: float64, (minutes, horizons or ways out, WIDTH)."""
    cells = np.zeros((len(dex.minutes), len(indices), WIDTH))
    for key, minute, sums in dex.series:
        cells[np.searchsorted(dex.minutes, minute), indices[key]] += sums
    return cells
