"""`taken_DAY.parquet`: the orders of a finished day by the kept tape, which outlive it beside the day's Parquet."""

from pathlib import Path

import polars as pl
from pydantic import BaseModel, ValidationError

from hip3_tasks.analysis.loading.schemas import ROW_GROUP_ROWS, SIGN, SIGNALS
from hip3_tasks.analysis.measure.costs import with_costs
from hip3_tasks.analysis.orders.by_tape import ORDERS, OrderPlan, Span
from hip3_tasks.domain.detector import SLIPPAGE_BPS
from hip3_tasks.domain.edge import had, trip_move_bps
from hip3_tasks.domain.fees import NO_DISCOUNTS
from hip3_tasks.files.day_files import TAKEN, is_closed, parquet_path

META = "hip3"
FORMAT = 1
UNITS = (
    "instants, latencies and times held in ms; moves from the touch of T0 in bps, signed by side, infinite into an"
    " empty side, null unknown; notionals in USD; round_trip_bps when had, after the costs of a taker without discounts"
)


class TakenInfo(BaseModel, frozen=True):
    """The metadata of the file."""

    format: int = FORMAT
    units: str = UNITS
    latencies_ms: tuple[int, ...]
    held_ms: tuple[int, ...]
    covered_ms: list[Span]
    """The spans of time that the tape covered. A signal outside of them is not in the file."""
    day_signals: int
    """The signals of the day when the file was written. With others it does not count."""

    @property
    def plan(self) -> OrderPlan:
        return OrderPlan(self.latencies_ms, self.held_ms)


def read_info(data_dir: Path, day: str) -> TakenInfo | None:
    """The metadata of a closed day's file; None without a file of this format that fits the day."""
    try:
        info = TakenInfo.model_validate_json(pl.read_parquet_metadata(parquet_path(data_dir, TAKEN, day))[META])
        if info.format != FORMAT or not is_closed(data_dir, day):
            return None
        signals = pl.scan_parquet(parquet_path(data_dir, SIGNALS.name, day), glob=False).select(pl.len())
        return info if signals.collect().item() == info.day_signals else None
    except (OSError, pl.exceptions.PolarsError, KeyError, ValidationError):
        return None


def read_orders(path: Path, plan: OrderPlan) -> pl.DataFrame:
    """The orders of a plan. Raises OSError or PolarsError."""
    rows = pl.scan_parquet(path, glob=False).filter(
        pl.col("latency_ms").is_in(plan.latencies_ms), pl.col("held_ms").is_in(plan.held_ms)
    )
    return rows.select(pl.col(name).cast(kind) for name, kind in ORDERS.items()).collect()


def write_orders(path: Path, orders: pl.DataFrame, signals: pl.DataFrame, info: TakenInfo) -> None:
    """Write the orders of signals with their results. Raises OSError or PolarsError."""
    move_bps = trip_move_bps(SIGN, entry_move_bps=pl.col("entry_move_bps"), exit_move_bps=pl.col("exit_move_bps"))
    costs = with_costs(signals, fees=NO_DISCOUNTS, slippage_bps=SLIPPAGE_BPS).select(
        "market_key", "round_trip_cost_bps", signal_timestamp_ms="timestamp_ms"
    )
    is_had = had(pl.col("entry_move_bps"))
    rows = orders.lazy().join(costs.lazy(), on=["market_key", "signal_timestamp_ms"], how="left", maintain_order="left")
    rows.with_columns(
        pl.col("market_key").cast(pl.String),
        pl.col("side").cast(pl.String),
        is_had=is_had,
        round_trip_bps=pl.when(is_had).then(move_bps - pl.col("round_trip_cost_bps")),
    ).sink_parquet(path, compression="zstd", row_group_size=ROW_GROUP_ROWS, metadata={META: info.model_dump_json()})
