"""The three kinds of record as the analysis wants them: what is read of a line, what must be there, what it becomes."""

from dataclasses import dataclass
from typing import TypeVar

import polars as pl

from hip3_tasks.analysis.loading.columns import columns_of
from hip3_tasks.analysis.loading.jsonl import Schema
from hip3_tasks.domain.capture import MAX_OFFSET_MS
from hip3_tasks.domain.edge import Side, convergence_bps
from hip3_tasks.domain.records import Followup, Missed, Record, Signal

COIN = pl.Categorical()
SIDE = pl.Enum(Side)
KEY = "key"
"""Of a record: equal for lines of the same signal, or of the same signal and offset."""

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)
_ODD = 0x9E3779B97F4A7C15
_FIRST_MS, _LAST_MS = 10**12, 10**13 - 1
_MOST_BPS = 1e9
"""Prices a hundred thousand times the oracle's: what is beyond it is no price, and its squares would not be numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of record. `tidy` is documented in `hip3_tasks.analysis.loading.load`."""

    name: str
    """As its files begin."""
    record: type[Record]
    timestamp: str
    """Which column holds the signal's time."""
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    tidy: tuple[pl.Expr, ...]

    def schema(self, *, whole: bool) -> Schema:
        """What is to be read: all of a record, or what is needed. Whole numbers may have come as 1000.0."""
        names = tuple(columns_of(self.record)) if whole else ("signal_id", *self.required, *self.optional)
        return {name: _LOOSE.get(kind, kind) for name, kind in columns_of(self.record).items() if name in names}

    def tidied(self, read: Frame, *, whole: bool) -> Frame:
        """The columns of the analysis, then the key; with `whole`, all other fields as well."""
        key = pl.col("signal_id").hash()
        if self.record is not Signal:
            key ^= pl.col("offset_ms").cast(pl.UInt64) * _ODD
        tidy = read.select(*self.tidy, key.alias(KEY))
        if not whole:
            return tidy
        there = tidy.collect_schema().names()
        others = [
            pl.col(name).cast(kind, strict=False) for name, kind in columns_of(self.record).items() if name not in there
        ]
        return read.select(*self.tidy, *others, key.alias(KEY))

    def empty(self, *, whole: bool) -> pl.DataFrame:
        return self.tidied(pl.DataFrame(schema=self.schema(whole=whole)), whole=whole)

    def in_order(self) -> pl.Expr:
        """Whether a row has all that is required, and is of this world."""
        given = [pl.col("signal_id").is_not_null(), *(pl.col(name).is_not_null() for name in self.required)]
        whole = [pl.col(name) == pl.col(name).floor() for name in self.required if name.endswith("_ms")]
        world = [
            pl.col("side").is_in(SIDE.categories.to_list()),
            pl.col(self.timestamp).is_between(_FIRST_MS, _LAST_MS),
        ]
        bps = [name for name in (*self.required, *self.optional) if name.endswith("_bps")]
        world += [pl.col(name).is_between(-_MOST_BPS, _MOST_BPS).fill_null(value=True) for name in bps]
        if self.record is not Signal:
            world.append(pl.col("offset_ms").is_between(1, MAX_OFFSET_MS))
        if self.record is Followup:
            world.append(pl.col("captured_at_ms").is_between(_FIRST_MS, _LAST_MS))
        return pl.all_horizontal(*given, *whole, *world)


_LOOSE: dict[pl.DataType, pl.DataType] = {pl.Int64(): pl.Float64(), pl.List(pl.Int64()): pl.List(pl.Float64())}
_SIGN = pl.when(pl.col("side") == Side.BUY.value).then(float(Side.BUY.sign)).otherwise(float(Side.SELL.sign))
_MARKET_PART_BPS, _ORACLE_PART_BPS = convergence_bps(
    _SIGN, market_moved_bps=pl.col("market_moved_bps"), oracle_moved_bps=pl.col("oracle_moved_bps")
)
_LATENESS = pl.col("captured_at_ms") - pl.col("signal_timestamp_ms") - pl.col("offset_ms")
_WHO = (pl.col("market_key").cast(COIN), pl.col("side").cast(SIDE, strict=False))
_WHEN = (pl.col("signal_timestamp_ms").cast(pl.Int64), pl.col("offset_ms").cast(pl.Int32))

SIGNALS = Kind(
    name="signals",
    record=Signal,
    timestamp="timestamp_ms",
    required=("market_key", "side", "timestamp_ms", "raw_edge_bps", "net_edge_bps"),
    optional=("threshold_bps", "offsets_ms"),
    tidy=(
        *_WHO,
        pl.col("timestamp_ms").cast(pl.Int64),
        pl.col("raw_edge_bps"),
        (pl.col("raw_edge_bps") - pl.col("net_edge_bps")).round(9).alias("cost_bps"),
        pl.col("threshold_bps"),
        pl.col("offsets_ms").list.len().cast(pl.UInt32).alias("due"),
    ),
)
FOLLOWUPS = Kind(
    name="followups",
    record=Followup,
    timestamp="signal_timestamp_ms",
    required=(
        "market_key",
        "side",
        "signal_timestamp_ms",
        "offset_ms",
        "captured_at_ms",
        "t0_raw_edge_bps",
        "raw_edge_bps",
        "oracle_moved_bps",
        "market_moved_bps",
    ),
    optional=("markout_bps",),
    tidy=(
        *_WHO,
        *_WHEN,
        _LATENESS.cast(pl.Int64).alias("lateness_ms"),
        pl.col("t0_raw_edge_bps"),
        pl.col("raw_edge_bps"),
        _MARKET_PART_BPS.alias("market_part_bps"),
        _ORACLE_PART_BPS.alias("oracle_part_bps"),
        pl.col("markout_bps"),
    ),
)
MISSED = Kind(
    name="missed",
    record=Missed,
    timestamp="signal_timestamp_ms",
    required=("market_key", "side", "signal_timestamp_ms", "offset_ms", "reason"),
    tidy=(*_WHO, *_WHEN, pl.col("reason").cast(pl.Categorical())),
)
KINDS = (SIGNALS, FOLLOWUPS, MISSED)
