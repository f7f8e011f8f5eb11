"""Two numbers that only signals record: the cost of a trade, and the lowest edge that was recorded throughout."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, nan
from typing import Self

import numpy as np
import polars as pl

from hip3_tasks.analysis.measure.codes import ByCode, codes
from hip3_tasks.stats.bootstrap import Array, Integers


@dataclass(frozen=True, slots=True)
class Costs:
    """The cost of each signal in bps. Market and time identify a signal, so that each has the cost then in force."""

    by_market: ByCode
    """The only cost of a market; NaN is unknown."""
    changes: Mapping[int, tuple[Integers, Array]] = field(default_factory=dict)
    """For markets whose cost changed, by code: start times in ms and costs in bps, int64 and float64, (changes,).

    The first cost also applies before its start.
    """

    @classmethod
    def from_signals(cls, signals: pl.DataFrame) -> Self:
        """The costs that the signals recorded."""
        cost_bps, columns = pl.col("cost_bps"), ("market_key", "timestamp_ms", "cost_bps")
        ranges = signals.lazy().group_by("market_key").agg(low=cost_bps.min(), high=cost_bps.max())
        markets = ranges.collect(engine="streaming")
        changed = markets.filter(pl.col("low") < pl.col("high"))["market_key"]
        rows = signals.select(columns).filter(pl.col("market_key").is_in(changed.implode())).sort(columns)
        changes = {}
        for market in rows.partition_by("market_key"):
            starts = market.filter((cost_bps != cost_bps.shift()).fill_null(value=True))
            code = int(codes(market["market_key"])[0])
            changes[code] = starts["timestamp_ms"].to_numpy(), starts["cost_bps"].to_numpy()
        return cls(ByCode.from_columns(markets["market_key"], markets["low"], default=nan), changes)

    @classmethod
    def from_constant(cls, cost_bps: float) -> Self:
        """The same cost for every signal."""
        return cls(ByCode(np.array([cost_bps])))

    def bps(self, market_key: Integers, timestamp_ms: Integers) -> Array:
        """The cost of each row, given its market's code; float64, (rows,)."""
        costs_bps = self.by_market[market_key]
        for market, (starts_ms, market_costs_bps) in self.changes.items():
            rows = np.flatnonzero(market_key == market)
            latest = np.searchsorted(starts_ms, timestamp_ms[rows], side="right") - 1
            costs_bps[rows] = market_costs_bps[np.maximum(latest, 0)]
        return costs_bps


def recording_threshold_bps(signals: pl.DataFrame, *, split_at_ms: int) -> ByCode:
    """The lowest edge that was recorded throughout, per market: both before the split and after it.

    It is the greatest threshold of the market's signals; without a threshold, the greater of the least edges before and
    after the split. An edge recorded in one part only must not be chosen, or validated, as if it were in both.
    """
    edge_bps, is_late = pl.col("raw_edge_bps").min(), pl.col("timestamp_ms") >= split_at_ms
    thresholds = signals.lazy().group_by("market_key").agg(bps=pl.col("threshold_bps").max())
    known = thresholds.collect(engine="streaming")
    unknown = known.filter(pl.col("bps").is_null())["market_key"]
    rows = signals.lazy().filter(pl.col("market_key").is_in(unknown.implode()))
    edges = rows.group_by("market_key", is_late).agg(bps=edge_bps).group_by("market_key").agg(pl.col("bps").max())
    all_bps = pl.concat([known.drop_nulls(), edges.collect(engine="streaming")])
    return ByCode.from_columns(all_bps["market_key"], all_bps["bps"], default=-inf)
