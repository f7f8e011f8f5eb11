"""The three kinds of record as the analysis reads them: fields with types, checks of a row, columns to project to."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import polars as pl

from hip3_tasks.analysis.loading.jsonl import Schema
from hip3_tasks.domain.capture import MAX_OFFSET_MS
from hip3_tasks.domain.conditions import Trigger
from hip3_tasks.domain.edge import Side, convergence_bps, moved_bps, spread_bps
from hip3_tasks.domain.market import COIN as COIN_NAME
from hip3_tasks.domain.records import MAX_BPS, Followup, Missed, Record, Signal

COIN = pl.Categorical()
SIDE = pl.Enum(Side)
TRIGGER = pl.Enum(Trigger)
KEY = "key"
"""The column that is equal for lines of the same signal, or of the same signal and offset; uint64."""
ROW_GROUP_ROWS = 131_072
"""Rows of a row group of a compacted day. Half as many or twice as many take 5 % more."""

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)
_TYPES = {"integer": pl.Int64(), "number": pl.Float64(), "string": pl.String()}
_OFFSET_FACTOR = 0x9E3779B97F4A7C15
_MIN_MS, _MAX_MS = 10**12, 10**13 - 1
_MAX_USD = 1e15
"""More than all the money that there is."""


@cache
def columns_of(record: type[Record]) -> dict[str, pl.DataType]:
    """The column types of a kind of record, in the order of the fields of its lines."""
    schema = record.model_json_schema()
    return {name: _type(field, schema.get("$defs", {})) for name, field in schema["properties"].items()}


def _type(field: dict[str, Any], defs: dict[str, Any]) -> pl.DataType:
    if "$ref" in field:
        return _type(defs[field["$ref"].rpartition("/")[2]], defs)
    if "anyOf" in field:
        (option,) = (option for option in field["anyOf"] if option.get("type") != "null")
        return _type(option, defs)
    if field["type"] == "array":
        return pl.List(_type(field["items"], defs))
    return _TYPES[field["type"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSchema:
    """A kind of record. `hip3_tasks.analysis.loading.load.load` documents its columns."""

    name: str
    """The prefix of the names of its files."""
    record: type[Record]
    timestamp: str
    """The column with the signal's time."""
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    columns: tuple[pl.Expr, ...]

    def fields(self, *, all_fields: bool) -> Schema:
        """The fields to read, with the types to read them as: all of a record, or those that the columns need."""
        names = tuple(columns_of(self.record)) if all_fields else ("signal_id", *self.required, *self.optional)
        return {name: _READ_AS.get(kind, kind) for name, kind in columns_of(self.record).items() if name in names}

    def fields_in(self, parquet: Collection[str], *, all_fields: bool) -> list[pl.Expr]:
        """The fields of a Parquet file with these columns: null where it is of a release that did not have them."""
        names, fields = list(columns_of(self.record)), self.fields(all_fields=all_fields).items()
        absent = set(names[min(self.record.RELEASED, default=len(names)) :]).difference(parquet)
        return [pl.lit(None, kind).alias(name) if name in absent else pl.col(name) for name, kind in fields]

    def project(self, rows: Frame, *, all_fields: bool) -> Frame:
        """The columns of the analysis; with `all_fields`, then all other fields; then KEY."""
        key = pl.col("signal_id").hash()
        if self.record is not Signal:
            key ^= pl.col("offset_ms").cast(pl.UInt64) * _OFFSET_FACTOR
        columns = {column.meta.output_name(): column for column in self.columns}
        if all_fields:
            others = columns_of(self.record).items()
            columns |= {name: pl.col(name).cast(kind, strict=False) for name, kind in others if name not in columns}
        return rows.select(*columns.values(), key.alias(KEY))

    def empty(self, *, all_fields: bool) -> pl.DataFrame:
        return self.project(pl.DataFrame(schema=self.fields(all_fields=all_fields)), all_fields=all_fields)

    def is_valid(self) -> pl.Expr:
        """Whether a row has all required fields, and each value is one that `Record` and the audit take for possible.

        Fields that no column needs are not read, and so not judged; those of foreign files may be absent.
        """
        required = (pl.col("signal_id", *self.required)).is_not_null()
        integers = [pl.col(name) == pl.col(name).floor() for name in self.required if name.endswith("_ms")]
        names = (*self.required, *self.optional)
        bps = [name for name in names if name.endswith("_bps")]
        names_read = pl.col("market_key").unique(maintain_order=True)
        above_0 = [name for name in names if name.endswith(("_px", "_sz", "_size"))]
        ranges = [
            # Each name is matched once, in half of the time.
            pl.col("market_key").is_in(names_read.filter(names_read.str.contains(f"^{COIN_NAME.pattern}$")).implode()),
            *([(pl.min_horizontal(above_0) > 0).fill_null(value=True)] if above_0 else []),
            pl.col("side").is_in(list(Side)),
            pl.col(self.timestamp).is_between(_MIN_MS, _MAX_MS),
            *([pl.min_horizontal(bps) >= -MAX_BPS, pl.max_horizontal(bps) <= MAX_BPS] if bps else []),
        ]
        if self.record is not Signal:
            ranges.append(pl.col("offset_ms").is_between(1, MAX_OFFSET_MS))
        if self.record is Followup:
            ranges.append(pl.col("captured_at_ms").is_between(_MIN_MS, _MAX_MS))
        return pl.all_horizontal(required, *integers, *ranges)


_READ_AS: dict[pl.DataType, pl.DataType] = {pl.Int64(): pl.Float64(), pl.List(pl.Int64()): pl.List(pl.Float64())}
"""Integers are read as floats, since other programs may write 1000.0."""
_BUYS = pl.col("side") == Side.BUY.value
SIGN = pl.when(_BUYS).then(float(Side.BUY.sign)).otherwise(float(Side.SELL.sign))
_MARKET_PART_BPS, _ORACLE_PART_BPS = convergence_bps(
    SIGN, market_moved_bps=pl.col("market_moved_bps"), oracle_moved_bps=pl.col("oracle_moved_bps")
)
_EXIT_PX = pl.when(_BUYS).then("bid_px").otherwise("ask_px")
_EXIT_SZ = pl.when(_BUYS).then("bid_sz").otherwise("ask_sz")
_EXIT_MOVE_BPS = SIGN * moved_bps(from_px=pl.col("t0_best_px"), to_px=_EXIT_PX)


def _possible(move_bps: pl.Expr) -> pl.Expr:
    """The move where it is known and possible; else null."""
    return pl.when(move_bps.is_between(-MAX_BPS, MAX_BPS)).then(move_bps)


def _usd(px: pl.Expr, sz: pl.Expr) -> pl.Expr:
    """The notional of one side of a book; null where it is not known."""
    usd = px * sz
    return pl.when(usd.is_between(0, _MAX_USD, closed="right")).then(usd).cast(pl.Float32)


_CAPTURE = ("market_key", "side", "signal_timestamp_ms", "offset_ms")
_LATENESS_MS = pl.col("captured_at_ms") - pl.col("signal_timestamp_ms") - pl.col("offset_ms")
_MARKET_AND_SIDE = (pl.col("market_key").cast(COIN), pl.col("side").cast(SIDE, strict=False))
_TIME_AND_OFFSET = (pl.col("signal_timestamp_ms").cast(pl.Int64), pl.col("offset_ms").cast(pl.Int32))

_AT_T0 = ("oracle_age_ms", "lag_ms", "bid_px", "ask_px", "trigger")

SIGNALS = RecordSchema(
    name="signals",
    record=Signal,
    timestamp="timestamp_ms",
    required=("market_key", "side", "timestamp_ms", "raw_edge_bps", "net_edge_bps"),
    optional=("threshold_bps", "offsets_ms", "oracle_px", "best_px", "best_size", "taker_fee_bps", *_AT_T0),
    columns=(
        *_MARKET_AND_SIDE,
        pl.col("timestamp_ms").cast(pl.Int64),
        pl.col("raw_edge_bps"),
        (pl.col("raw_edge_bps") - pl.col("net_edge_bps")).round(9).alias("cost_bps"),
        pl.col("threshold_bps"),
        pl.col("offsets_ms").list.len().cast(pl.UInt32).alias("expected"),
        pl.col("taker_fee_bps"),
        _usd(pl.col("best_px"), pl.col("best_size")).alias("touch_usd"),
        pl.col("oracle_age_ms").cast(pl.Int32, strict=False),
        pl.col("lag_ms").cast(pl.Int32, strict=False),
        _possible(spread_bps(pl.col("bid_px"), pl.col("ask_px"))).cast(pl.Float32).alias("spread_bps"),
        pl.col("trigger").cast(TRIGGER, strict=False),
        pl.col("best_px"),
    ),
)
FOLLOWUPS = RecordSchema(
    name="followups",
    record=Followup,
    timestamp="signal_timestamp_ms",
    required=(
        *_CAPTURE,
        *("captured_at_ms", "t0_raw_edge_bps", "raw_edge_bps", "oracle_moved_bps", "market_moved_bps"),
    ),
    optional=(
        *("markout_bps", "t0_oracle_px", "t0_best_px", "oracle_px", "best_px", "best_size"),
        *("bid_px", "bid_sz", "ask_px", "ask_sz"),
    ),
    columns=(
        *_MARKET_AND_SIDE,
        *_TIME_AND_OFFSET,
        _LATENESS_MS.cast(pl.Int64).alias("lateness_ms"),
        pl.col("t0_raw_edge_bps"),
        pl.col("raw_edge_bps"),
        _MARKET_PART_BPS.alias("market_part_bps"),
        _ORACLE_PART_BPS.alias("oracle_part_bps"),
        pl.col("markout_bps"),
        _possible(_EXIT_MOVE_BPS).alias("exit_move_bps"),
        _usd(pl.col("best_px"), pl.col("best_size")).alias("touch_usd"),
        _usd(_EXIT_PX, _EXIT_SZ).alias("exit_usd"),
    ),
)
MISSED = RecordSchema(
    name="missed",
    record=Missed,
    timestamp="signal_timestamp_ms",
    required=(*_CAPTURE, "reason"),
    columns=(*_MARKET_AND_SIDE, *_TIME_AND_OFFSET, pl.col("reason").cast(pl.Categorical())),
)
SCHEMAS = (SIGNALS, FOLLOWUPS, MISSED)
