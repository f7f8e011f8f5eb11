"""A chunk of follow-ups as arrays: few enough rows to stay in a processor's cache while all sums are computed."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from hip3_tasks.analysis.measure.codes import are_buys, codes
from hip3_tasks.analysis.measure.costs import Costs
from hip3_tasks.analysis.measure.grouping import Grouping
from hip3_tasks.domain.edge import mid_move_bps
from hip3_tasks.stats.bootstrap import Array, Integers

MAX_CELLS = 1 << 22
"""Maximum number of cells of `sum_by` that get memory whether or not they hold a row."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Follow-ups as arrays, (rows,). `market_key` is a category code, `group` that of a Grouping; NaN is unknown."""

    market_key: Integers
    group: Integers
    timestamp_ms: Integers
    offset: Integers
    """The index of the offset in `offsets_ms`."""
    offsets_ms: Integers
    """The distinct offsets, ascending; int32, (offsets,)."""
    lateness_ms: Integers
    is_buy: npt.NDArray[np.bool_]
    edge_t0_bps: Array
    edge_bps: Array
    retained: Array
    """The edge as a share of the edge at T0; NaN if that was not positive."""
    market_part_bps: Array
    oracle_part_bps: Array
    markout_bps: Array
    net_bps: Array
    """The markout minus the cost."""
    taken_bps: Array
    """The result of a taker at the touch of T0, marked at the mid."""
    round_trip_bps: Array
    """The same, out at the other touch."""

    @classmethod
    def from_rows(cls, rows: pl.DataFrame, *, by: Grouping, costs: Costs) -> Self:
        """Convert at least one row with the columns that `hip3_tasks.analysis.load` documents."""
        offset_ms = rows["offset_ms"].to_numpy()
        offsets_ms = np.unique(offset_ms)
        index = np.zeros(offsets_ms[-1] - offsets_ms[0] + 1, dtype=np.uint16)
        index[offsets_ms - offsets_ms[0]] = np.arange(len(offsets_ms))
        market_key, timestamp_ms = codes(rows["market_key"]), rows["signal_timestamp_ms"].to_numpy()
        edge_t0_bps, edge_bps = rows["t0_raw_edge_bps"].to_numpy(), rows["raw_edge_bps"].to_numpy()
        with np.errstate(divide="ignore", invalid="ignore"):
            retained = edge_bps / edge_t0_bps
        retained[edge_t0_bps <= 0] = np.nan
        markout_bps, market_part_bps = rows["markout_bps"].to_numpy(), rows["market_part_bps"].to_numpy()
        exit_move_bps = rows["exit_move_bps"].to_numpy()
        taken_move_bps = mid_move_bps(touch_move_bps=market_part_bps, exit_move_bps=exit_move_bps)
        return cls(
            market_key=market_key,
            group=by.codes(rows, timestamp="signal_timestamp_ms", edge="t0_raw_edge_bps"),
            timestamp_ms=timestamp_ms,
            offset=index[offset_ms - offsets_ms[0]],
            offsets_ms=offsets_ms,
            lateness_ms=rows["lateness_ms"].to_numpy(),
            is_buy=are_buys(rows["side"]),
            edge_t0_bps=edge_t0_bps,
            edge_bps=edge_bps,
            retained=retained,
            market_part_bps=market_part_bps,
            oracle_part_bps=rows["oracle_part_bps"].to_numpy(),
            markout_bps=markout_bps,
            net_bps=markout_bps - costs.mid.bps(market_key, timestamp_ms),
            taken_bps=taken_move_bps - costs.taken.bps(market_key, timestamp_ms),
            round_trip_bps=exit_move_bps - costs.round_trip.bps(market_key, timestamp_ms),
        )


def sum_by(keys: Mapping[str, Integers], terms: Mapping[str, npt.NDArray[Any]]) -> pl.DataFrame:
    """Sum the terms, and count the rows as `n`, for each combination of keys that occurs, sorted by keys.

    Keys and terms are (rows,); the sums are float64.
    """
    ranges = {name: _range(values) for name, values in keys.items()}
    cell = np.zeros(1, dtype=np.int64)
    for name, (low, size) in ranges.items():
        cell = cell * size + (keys[name] - low)
    shape = [size for _, size in ranges.values()]
    if prod(shape) > MAX_CELLS:
        occupied, cell = np.unique(cell, return_inverse=True)
        selected = np.arange(len(occupied))
    else:
        occupied = selected = np.flatnonzero(np.bincount(cell))
    indices = zip(ranges.items(), np.unravel_index(occupied, shape), strict=True)
    columns = {name: index + low for (name, (low, _)), index in indices}
    sums = {"n": np.bincount(cell)[selected]}
    sums |= {name: np.bincount(cell, term)[selected] for name, term in terms.items()}
    return pl.DataFrame(columns | {name: values.astype(np.float64, copy=False) for name, values in sums.items()})


def _range(values: Integers) -> tuple[int, int]:
    """The lowest value, and the number of integers from it to the highest."""
    if not len(values):
        return 0, 1
    low = int(np.min(values))
    return low, int(np.max(values)) - low + 1
