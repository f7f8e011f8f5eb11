"""Two things that only signals record: the cost of a trade, and the lowest edge that was recorded throughout."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, nan
from typing import Self

import numpy as np
import polars as pl

from hip3_tasks.analysis.loading.schemas import COIN
from hip3_tasks.analysis.measure.codes import ByCode, codes
from hip3_tasks.domain.fees import TakerFees
from hip3_tasks.stats.bootstrap import Array, Integers


@dataclass(frozen=True, slots=True)
class BySignal:
    """A number of bps for each signal. Market and time identify a signal, so that each has the one then in force."""

    by_market: ByCode
    """The only one of a market; NaN is unknown."""
    changes: Mapping[int, tuple[Integers, Array]] = field(default_factory=dict)
    """For markets where it changed, by code: start times in ms and bps, int64 and float64, (changes,).

    The first one also applies before its start.
    """

    @classmethod
    def from_column(cls, signals: pl.DataFrame, name: str) -> Self:
        bps, columns = pl.col(name), ("market_key", "timestamp_ms", name)
        ranges = signals.lazy().group_by("market_key").agg(low=bps.min(), high=bps.max())
        markets = ranges.collect(engine="streaming")
        changed = markets.filter(pl.col("low") < pl.col("high"))["market_key"]
        rows = signals.select(columns).filter(pl.col("market_key").is_in(changed.implode())).sort(columns)
        changes = {}
        for market in rows.partition_by("market_key"):
            starts = market.filter((bps != bps.shift()).fill_null(value=True))
            code = int(codes(market["market_key"])[0])
            changes[code] = starts["timestamp_ms"].to_numpy(), starts[name].to_numpy()
        return cls(ByCode.from_columns(markets["market_key"], markets["low"], default=nan), changes)

    @classmethod
    def from_constant(cls, bps: float) -> Self:
        return cls(ByCode(np.array([bps])))

    def bps(self, market_key: Integers, timestamp_ms: Integers) -> Array:
        """The bps of each row, given its market's code; float64, (rows,)."""
        result_bps = self.by_market[market_key]
        for market, (starts_ms, market_bps) in self.changes.items():
            rows = np.flatnonzero(market_key == market)
            latest = np.searchsorted(starts_ms, timestamp_ms[rows], side="right") - 1
            result_bps[rows] = market_bps[np.maximum(latest, 0)]
        return result_bps


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """The costs of taking each signal."""

    mid: BySignal
    """The costs against which a markout is held: fee + slippage."""
    taken: BySignal
    """The costs of getting in: one fee."""
    round_trip: BySignal
    """The costs of getting in and out."""

    @classmethod
    def from_signals(cls, signals: pl.DataFrame) -> Self:
        """The costs of signals with the columns of `with_costs`."""
        columns = {"mid": "cost_bps", "taken": "fee_bps", "round_trip": "round_trip_cost_bps"}
        return cls(**{name: BySignal.from_column(signals, column) for name, column in columns.items()})

    @classmethod
    def from_constant(cls, cost_bps: float) -> Self:
        """The same cost of everything for every signal."""
        return cls(**dict.fromkeys(("mid", "taken", "round_trip"), BySignal.from_constant(cost_bps)))


def with_costs(signals: pl.DataFrame, *, fees: TakerFees, slippage_bps: float) -> pl.DataFrame:
    """The signals with a taker's own costs. A line without a fee has what is left of its cost after this slippage."""
    recorded_cost_bps = pl.col("cost_bps")
    recorded_fee_bps = pl.coalesce("taker_fee_bps", (recorded_cost_bps - slippage_bps).clip(lower_bound=0))
    own = fees.costs(recorded_cost_bps, recorded_fee_bps)
    return signals.with_columns(fee_bps=own.fee_bps, cost_bps=own.markout_bps, round_trip_cost_bps=own.round_trip_bps)


def recording_threshold_bps(
    signals: pl.DataFrame, thresholds_bps: Mapping[str, float | None], *, split_at_ms: int
) -> ByCode:
    """The lowest edge that was recorded throughout, per market: both before the split and after it.

    It is the greatest threshold of the market's signals; without a threshold, the greater of the least edges before and
    after the split. An edge recorded in one part only must not be chosen, or validated, as if it were in both.
    """
    edge_bps, is_late = pl.col("raw_edge_bps").min(), pl.col("timestamp_ms") >= split_at_ms
    columns = {"market_key": list(thresholds_bps), "bps": list(thresholds_bps.values())}
    thresholds = pl.DataFrame(columns, schema={"market_key": COIN, "bps": pl.Float64()})
    unknown = thresholds.filter(pl.col("bps").is_null())["market_key"]
    rows = signals.lazy().filter(pl.col("market_key").is_in(unknown.implode()))
    edges = rows.group_by("market_key", is_late).agg(bps=edge_bps).group_by("market_key").agg(pl.col("bps").max())
    all_bps = pl.concat([thresholds.drop_nulls(), edges.collect(engine="streaming")])
    return ByCode.from_columns(all_bps["market_key"], all_bps["bps"], default=-inf)
