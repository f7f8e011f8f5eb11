"""One pass over the follow-ups, chunk by chunk: sums by cluster, sums by threshold, and the values of quantiles.

The results of several parts unite to those of all: all in them adds up.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Self

import numpy as np
import polars as pl

from hip3_tasks.analysis.loading.jsonl import THREADS, Advance, map_ahead
from hip3_tasks.analysis.loading.load import Data, drained, read_all
from hip3_tasks.analysis.loading.schemas import COIN
from hip3_tasks.analysis.measure.chunk import Chunk, sum_by
from hip3_tasks.analysis.measure.cluster_sums import cluster_sums
from hip3_tasks.analysis.measure.codes import labels
from hip3_tasks.analysis.measure.costs import Costs
from hip3_tasks.analysis.measure.grouping import Grouping
from hip3_tasks.analysis.measure.levels import LevelPlan
from hip3_tasks.analysis.measure.quantiles import BIN_WIDTHS, MEASURE, Samples, bins_of
from hip3_tasks.analysis.measure.trips import TripPlan, Trips, pair
from hip3_tasks.analysis.orders.find import TapeOrders
from hip3_tasks.stats.bootstrap import Array

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
    last_ms: int
    """The last offset of all."""
    binned_by: Sequence[Grouping] = ()
    """The groupings for which values are counted in bins. None: the values are kept, grouped by `by`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregates:
    """The results of the pass over some signals and their follow-ups.

    A cluster split over chunks has several rows. The rows of a cluster are in the order of the chunks and of the names
    of markets, so that they sum up to the same last digit, whatever parts they were united from.
    """

    signals: pl.DataFrame
    """The number `n` of signals per (market_key, group, cluster, cost_bps), the follow-ups that they expect, and the
    number of those that do not say it, and of those without a fee."""
    missed: pl.DataFrame
    """The number `n` of missed follow-ups per (market_key, reason)."""
    sums: pl.DataFrame
    """Sums per (market_key, dex, group, offset_ms, cluster); groups by their codes."""
    level_sums: pl.DataFrame
    """Sums per (market_key, dex, level, cluster, later) at the last offset; other rows for `round_trip` than for
    `net`."""
    trip_sums: pl.DataFrame
    """Sums per (market_key, dex, group, by_tape, latency_ms, held_ms, cluster)."""
    orders: pl.DataFrame
    """Numbers of signals: `by_tape`, whose orders the tape tells, and `too_small`, smaller than an order may be."""
    lateness: pl.DataFrame
    """The number `n` of follow-ups per (offset_ms, lateness_ms)."""
    min_edges: pl.DataFrame
    """The lowest `edge_bps` at T0 per market_key."""
    bins: pl.DataFrame
    """The number `n` of values of a `measure` per (by, group, offset_ms, bin)."""
    samples: dict[str, Samples] = field(default_factory=dict)
    """The values of each measure; empty if they are in bins."""

    @classmethod
    def united(cls, parts: Sequence[Self]) -> Self:
        """The results of all parts; of one part alone, unless values are in bins."""
        frames = {item.name: [getattr(part, item.name) for part in parts] for item in fields(cls)}
        samples = frames.pop("samples")
        return cls(
            **{name: pl.concat(some, how="diagonal") for name, some in frames.items()},
            samples=samples[0] if len(parts) == 1 else {},
        )

    @property
    def offsets_ms(self) -> list[int]:
        """The distinct offsets, ascending."""
        return self.lateness["offset_ms"].unique().sort().to_list()


def aggregate(data: Data, plan: AggregationPlan, advance: Advance, *, is_last: bool = False) -> Aggregates:
    """Aggregate loaded data; with `is_last`, the data lose their follow-ups, which are half of the memory.

    Raises Unavailable when a file cannot be read.
    """
    np.empty(MALLOC_BYTES, dtype=np.uint8)
    chunks = drained(data.chunks) if is_last else data.chunks
    present = (rows for rows in read_all(chunks, advance) if not rows.is_empty())
    parts = [*map_ahead(lambda rows: _ChunkAggregates.from_rows(rows, plan), present, threads=THREADS, steps=THREADS)]
    asides = [part.aside for part in parts]
    last = [pair(pl.concat(asides), plan.trips.offsets_ms, is_last=True)[0]] if asides else []
    trips = [*(part.trips for part in parts), *(_TripAggregates.from_orders(pairs, plan) for pairs in last)]
    by_tape = (source.read(advance) for source in plan.orders.sources)
    trips += [_TripAggregates.from_orders(orders, plan, by_tape=True) for orders in by_tape]
    level_sums = [*(part.level_sums for part in parts), *(part.level_sums for part in trips)]
    lateness, min_edges = _concat(part.lateness for part in parts), _concat(part.min_edges for part in parts)
    return Aggregates(
        signals=_labelled(_counts(data.signals, plan)),
        missed=data.missed.group_by(pl.col("market_key", "reason").cast(pl.String)).len("n"),
        sums=_concat(_labelled(part.sums) for part in parts),
        level_sums=_concat(_labelled(sums) for sums in level_sums).fill_null(0),  # a row has one of the two results
        trip_sums=_concat(_labelled(part.sums) for part in trips),
        orders=pl.DataFrame({"by_tape": plan.orders.count, "too_small": sum(part.too_small for part in trips)}),
        lateness=lateness.group_by("offset_ms", "lateness_ms").sum() if parts else lateness,
        min_edges=_labelled(min_edges).group_by("market_key").min() if parts else min_edges,
        bins=_concat(part.bins for part in parts),
        samples={}
        if plan.binned_by
        else {name: _samples([part.samples[name] for part in parts]) for name in BIN_WIDTHS},
    )


@dataclass(frozen=True, slots=True)
class _ChunkAggregates:
    """The aggregates of one chunk, with category codes in place of markets."""

    sums: pl.DataFrame
    level_sums: pl.DataFrame
    lateness: pl.DataFrame
    min_edges: pl.DataFrame
    bins: pl.DataFrame
    samples: dict[str, dict[tuple[int, int], Array]]
    trips: "_TripAggregates"
    aside: pl.DataFrame
    """The rows of signals that other chunks may have more of."""

    @classmethod
    def from_rows(cls, rows: pl.DataFrame, plan: AggregationPlan) -> Self:
        chunk = Chunk.from_rows(rows, by=plan.by, costs=plan.costs)
        at_last = np.flatnonzero(chunk.offsets_ms[chunk.offset] == plan.last_ms)
        pairs, aside = pair(plan.trips.by_followups(rows), plan.trips.offsets_ms, is_last=False)
        edges = pl.DataFrame({"market_key": chunk.market_key, "edge_bps": chunk.edge_t0_bps})
        bins = [_binned(rows, chunk, name, grouping) for name in BIN_WIDTHS for grouping in plan.binned_by]
        return cls(
            sums=_with_offset_ms(cluster_sums(chunk, cluster_ms=plan.levels.cluster_ms), chunk),
            level_sums=plan.levels.sums(chunk, at_last, due_after_ms=plan.last_ms, result="net"),
            lateness=_with_offset_ms(sum_by({"offset": chunk.offset, "lateness_ms": chunk.lateness_ms}, {}), chunk),
            min_edges=edges.group_by("market_key").min(),
            bins=_concat(bins),
            samples={} if bins else _values(chunk),
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
            sums=trips.sums(cluster_ms=plan.levels.cluster_ms),
            level_sums=plan.levels.sums(trips, judged, due_after_ms=due_after_ms, result="round_trip"),
            too_small=too_small,
        )


def _with_offset_ms(sums: pl.DataFrame, chunk: Chunk) -> pl.DataFrame:
    """The offsets of a chunk in place of their indices, which differ between chunks."""
    offset_ms = pl.lit(pl.Series(chunk.offsets_ms)).gather(pl.col("offset")).cast(pl.Int64)
    return sums.with_columns(offset_ms=offset_ms).drop("offset")


def _counts(signals: pl.DataFrame, plan: AggregationPlan) -> pl.DataFrame:
    group = plan.by.codes(signals, timestamp="timestamp_ms", edge="raw_edge_bps")
    rows = signals.lazy().with_columns(group=group, cluster=pl.col("timestamp_ms") // plan.levels.cluster_ms)
    counts = rows.group_by(pl.col("market_key").to_physical(), "group", "cluster", "cost_bps").agg(
        n=pl.len().cast(pl.Int64),
        expected=pl.col("expected").cast(pl.Int64).sum(),
        unsaid=pl.col("expected").null_count().cast(pl.Int64),
        without_fee=pl.col("taker_fee_bps").null_count().cast(pl.Int64),
    )
    return counts.collect(engine="streaming")


def _binned(rows: pl.DataFrame, chunk: Chunk, name: str, by: Grouping) -> pl.DataFrame:
    values = getattr(chunk, name)
    known = np.flatnonzero(~np.isnan(values))
    group = by.codes(rows, timestamp="signal_timestamp_ms", edge="t0_raw_edge_bps")
    keys = {"group": group[known], "offset": chunk.offset[known], "bin": bins_of(values[known], BIN_WIDTHS[name])}
    counts = _with_offset_ms(sum_by(keys, {}), chunk)
    small = pl.col("group", "offset_ms", "bin").cast(pl.Int32), pl.col("n").cast(pl.UInt32)
    return counts.select(pl.lit(name, MEASURE).alias("measure"), pl.lit(str(by)).alias("by"), *small)


def _values(chunk: Chunk) -> dict[str, dict[tuple[int, int], Array]]:
    """The values of each measure, by group's code and offset_ms."""
    offsets_ms = chunk.offsets_ms.tolist()
    key = chunk.group.astype(np.int64) * len(offsets_ms) + chunk.offset
    # numpy sorts 16 bits by radix, in a fifth of the time.
    order = np.argsort(key.astype(np.uint16) if np.max(key) < 1 << 16 else key, kind="stable")
    key = key[order]
    starts = np.flatnonzero(np.diff(key, prepend=-1))
    groups, offsets = np.divmod(key[starts], len(offsets_ms))
    keys = [(int(group), offsets_ms[offset]) for group, offset in zip(groups, offsets, strict=True)]
    parts = {name: np.split(getattr(chunk, name)[order], starts[1:]) for name in BIN_WIDTHS}
    return {name: dict(zip(keys, arrays, strict=True)) for name, arrays in parts.items()}


def _concat(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """The rows of all frames; a frame without columns if there are none."""
    return pl.concat([pl.DataFrame(), *frames], how="diagonal")


def _samples(parts: Sequence[dict[tuple[int, int], Array]]) -> Samples:
    arrays: dict[tuple[int, int], list[Array]] = defaultdict(list)
    for part in parts:
        for key, array in part.items():
            arrays[key].append(array)
    return arrays


def _labelled(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with names of markets in place of category codes, in the order of the names, and with their dexes."""
    named = rows.with_columns(labels("market_key", COIN).cast(pl.String)).sort("market_key", maintain_order=True)
    return with_dex(named)


def with_dex(rows: pl.DataFrame) -> pl.DataFrame:
    coins = rows["market_key"].unique()
    dexes = coins.str.split(":").list.first()
    return rows.with_columns(dex=pl.col("market_key").replace_strict(coins, dexes).cast(COIN))
