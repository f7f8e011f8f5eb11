"""One pass over the follow-ups, chunk by chunk: sums by cluster, sums by threshold, and the values of quantiles."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl

from hip3_tasks.analysis.loading.jsonl import Advance
from hip3_tasks.analysis.loading.load import LazyChunk, read_all
from hip3_tasks.analysis.loading.schemas import COIN
from hip3_tasks.analysis.measure.chunk import Chunk, sum_by
from hip3_tasks.analysis.measure.cluster_sums import cluster_sums
from hip3_tasks.analysis.measure.codes import labels
from hip3_tasks.analysis.measure.costs import Costs
from hip3_tasks.analysis.measure.grouping import Grouping
from hip3_tasks.analysis.measure.levels import LevelPlan
from hip3_tasks.analysis.measure.quantiles import Samples
from hip3_tasks.analysis.measure.trips import TripPlan, Trips, pair
from hip3_tasks.analysis.orders.find import TapeOrders
from hip3_tasks.stats.bootstrap import Array, Integers

MALLOC_BYTES = 30 << 20
"""Freeing a block of this size makes glibc keep freed memory from then on, so that the next chunk takes it without page
faults: a third of the time. glibc does so only for blocks below 32 MiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregationPlan:
    """All that must be known before the pass."""

    by: Grouping
    costs: Costs
    levels: LevelPlan
    trips: TripPlan
    orders: TapeOrders

    @property
    def cluster_ms(self) -> int:
        return self.levels.cluster_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregates:
    """The results of the pass."""

    offsets_ms: list[int]
    """The distinct offsets, ascending."""
    sums: pl.DataFrame
    """Sums per (market_key, dex, group, offset_ms, cluster); groups by their codes. A cluster split over chunks has
    several rows."""
    level_sums: pl.DataFrame
    """Sums per (market_key, dex, sample, level, cluster) at the last offset; several rows as above, and others for
    `round_trip` than for `net`."""
    trip_sums: pl.DataFrame
    """Sums per (market_key, dex, group, by_tape, latency_ms, held_ms, cluster); several rows as above."""
    too_small: int
    """The number of signals that were smaller than an order may be."""
    lateness: pl.DataFrame
    """The number `n` of follow-ups per (offset_ms, lateness_ms)."""
    min_edge_bps: dict[str, float]
    """The lowest edge at T0 per market."""
    markout_bps: Samples
    retained: Samples


def aggregate(chunks: Sequence[LazyChunk], plan: AggregationPlan, advance: Advance) -> Aggregates | None:
    """Aggregate all chunks; None if they have no row. Raises Unavailable when a file cannot be read."""
    np.empty(MALLOC_BYTES, dtype=np.uint8)
    parts = [_ChunkAggregates.from_rows(rows, plan) for rows in read_all(chunks, advance) if not rows.is_empty()]
    if not parts:
        return None
    offsets_ms = sorted({offset_ms for part in parts for offset_ms in part.offsets_ms})
    at_last = [part.level_sums for part in parts if part.offsets_ms[-1] == offsets_ms[-1]]
    last, _ = pair(pl.concat([part.aside for part in parts]), plan.trips.offsets_ms, is_last=True)
    trips = [*(part.trips for part in parts), _TripAggregates.from_orders(last, plan)]
    trips += [_TripAggregates.from_orders(orders, plan, by_tape=True) for orders in plan.orders.read(advance)]
    min_edges = _labelled(pl.concat([part.min_edge_bps for part in parts])).group_by("market_key").min()
    return Aggregates(
        offsets_ms=offsets_ms,
        sums=_labelled(pl.concat([part.sums for part in parts])),
        level_sums=_labelled(_united([*at_last, *(part.level_sums for part in trips)])),
        trip_sums=_labelled(pl.concat([part.sums for part in trips])),
        too_small=sum(part.too_small for part in trips),
        lateness=pl.concat([part.lateness for part in parts]).group_by("offset_ms", "lateness_ms").sum(),
        min_edge_bps=dict(min_edges.select("market_key", "edge_bps").iter_rows()),
        markout_bps=_samples([part.markout_bps for part in parts]),
        retained=_samples([part.retained for part in parts]),
    )


@dataclass(frozen=True, slots=True)
class _ChunkAggregates:
    """The aggregates of one chunk, with category codes in place of markets."""

    offsets_ms: list[int]
    sums: pl.DataFrame
    level_sums: pl.DataFrame
    lateness: pl.DataFrame
    min_edge_bps: pl.DataFrame
    markout_bps: dict[tuple[int, int], Array]
    """The values of each group's code and offset_ms."""
    retained: dict[tuple[int, int], Array]
    trips: "_TripAggregates"
    aside: pl.DataFrame
    """The rows of signals that other chunks may have more of."""

    @classmethod
    def from_rows(cls, rows: pl.DataFrame, plan: AggregationPlan) -> Self:
        chunk = Chunk.from_rows(rows, by=plan.by, costs=plan.costs)
        keys, order, starts = _order_by_group_and_offset(chunk)
        pairs, aside = pair(plan.trips.by_followups(rows), plan.trips.offsets_ms, is_last=False)
        return cls(
            offsets_ms=chunk.offsets_ms.tolist(),
            sums=_with_offset_ms(cluster_sums(chunk, cluster_ms=plan.cluster_ms), chunk),
            level_sums=plan.levels.sums(chunk, chunk.at_last, due_after_ms=int(chunk.offsets_ms[-1]), result="net"),
            lateness=_with_offset_ms(sum_by({"offset": chunk.offset, "lateness_ms": chunk.lateness_ms}, {}), chunk),
            min_edge_bps=_min_edge_bps(chunk),
            markout_bps=dict(zip(keys, np.split(chunk.markout_bps[order], starts), strict=True)),
            retained=dict(zip(keys, np.split(chunk.retained[order], starts), strict=True)),
            trips=_TripAggregates.from_orders(pairs, plan),
            aside=aside,
        )


@dataclass(frozen=True, slots=True)
class _TripAggregates:
    """The aggregates of some orders, with category codes in place of markets."""

    sums: pl.DataFrame
    level_sums: pl.DataFrame
    too_small: int

    @classmethod
    def from_orders(cls, orders: pl.DataFrame, plan: AggregationPlan, *, by_tape: bool = False) -> Self:
        trips, too_small = Trips.from_rows(
            orders, by=plan.by, cost_bps=plan.costs.round_trip, plan=plan.trips, by_tape=by_tape
        )
        judged, due_after_ms = np.flatnonzero(trips.are_judged(plan.trips)), sum(plan.trips.judged(by_tape=by_tape))
        return cls(
            sums=trips.sums(cluster_ms=plan.cluster_ms),
            level_sums=plan.levels.sums(trips, judged, due_after_ms=due_after_ms, result="round_trip"),
            too_small=too_small,
        )


def _united(sums: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Sums of different results as one frame, 0 where a row has none."""
    return pl.concat(sums, how="diagonal").fill_null(0)


def _with_offset_ms(sums: pl.DataFrame, chunk: Chunk) -> pl.DataFrame:
    """The offsets of a chunk in place of their indices, which differ between chunks."""
    offset_ms = pl.lit(pl.Series(chunk.offsets_ms)).gather(pl.col("offset")).cast(pl.Int64)
    return sums.with_columns(offset_ms=offset_ms).drop("offset")


def _min_edge_bps(chunk: Chunk) -> pl.DataFrame:
    """The lowest edge at T0 of each run of rows of the same market."""
    starts = np.flatnonzero(np.diff(chunk.market_key.astype(np.int64), prepend=-1))
    min_bps = np.minimum.reduceat(chunk.edge_t0_bps, starts)
    return pl.DataFrame({"market_key": chunk.market_key[starts], "edge_bps": min_bps})


def _order_by_group_and_offset(chunk: Chunk) -> tuple[list[tuple[int, int]], Integers, Integers]:
    """The keys (group, offset_ms) that occur, the row indices sorted by them, and where all but the first key start."""
    offsets_ms = chunk.offsets_ms.tolist()
    key = chunk.group.astype(np.int64) * len(offsets_ms) + chunk.offset
    # numpy sorts 16 bits by radix, in a fifth of the time.
    order = np.argsort(key.astype(np.uint16) if np.max(key) < 1 << 16 else key, kind="stable")
    key = key[order]
    starts = np.flatnonzero(np.diff(key, prepend=-1))
    groups, offsets = np.divmod(key[starts], len(offsets_ms))
    keys = [(int(group), offsets_ms[offset]) for group, offset in zip(groups, offsets, strict=True)]
    return keys, order, starts[1:]


def _samples(parts: Sequence[dict[tuple[int, int], Array]]) -> Samples:
    arrays: dict[tuple[int, int], list[Array]] = defaultdict(list)
    for part in parts:
        for key, array in part.items():
            arrays[key].append(array)
    return arrays


def _labelled(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with names of markets in place of category codes, and with the market's dex."""
    market_key = labels("market_key", COIN).cast(pl.String)
    return rows.with_columns(market_key, market_key.str.split(":").list.first().cast(COIN).alias("dex"))
