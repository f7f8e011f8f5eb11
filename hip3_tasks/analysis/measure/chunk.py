"""Follow-ups a piece at a time, as arrays: few enough to stay in a processor's cache while all is summed of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from hip3_tasks.analysis.loading.schemas import SIDE
from hip3_tasks.analysis.measure.costs import Costs
from hip3_tasks.analysis.measure.grouping import By
from hip3_tasks.domain.edge import Side
from hip3_tasks.stats.bootstrap import Array, Integers

MOST_CELLS = 1 << 22
"""Beyond it only those that hold anything are made room for."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of the follow-ups. Markets and groups are the numbers that polars has for them; what is not known is NaN."""

    market_key: Integers
    group: Integers
    timestamp_ms: Integers
    offset: Integers
    """As a number, its place among `offsets_ms`."""
    offsets_ms: Integers
    """All that there are in the piece, in order."""
    lateness_ms: Integers
    is_buy: npt.NDArray[np.bool_]
    edge_t0_bps: Array
    edge_bps: Array
    retained: Array
    """Of what edge there was at T0."""
    market_part_bps: Array
    oracle_part_bps: Array
    markout_bps: Array
    net_bps: Array
    """Of what taking it cost when it was recorded."""

    @classmethod
    def of(cls, rows: pl.DataFrame, *, by: By, costs: Costs) -> Self:
        """Of rows as `hip3_tasks.analysis.loading.load` documents them; there must be one."""
        offset_ms = rows["offset_ms"].to_numpy()
        offsets_ms = np.unique(offset_ms)
        number = np.zeros(offsets_ms[-1] - offsets_ms[0] + 1, dtype=np.uint16)
        number[offsets_ms - offsets_ms[0]] = np.arange(len(offsets_ms))
        groups = by.groups(rows, timestamp="signal_timestamp_ms", edge="t0_raw_edge_bps")
        labels = rows.select("market_key", "side", groups).select(pl.all().to_physical())
        edge_t0_bps, edge_bps = rows["t0_raw_edge_bps"].to_numpy(), rows["raw_edge_bps"].to_numpy()
        with np.errstate(divide="ignore", invalid="ignore"):
            retained = edge_bps / edge_t0_bps
        retained[edge_t0_bps <= 0] = np.nan
        market_key, timestamp_ms = labels["market_key"].to_numpy(), rows["signal_timestamp_ms"].to_numpy()
        markout_bps = rows["markout_bps"].to_numpy()
        return cls(
            market_key=market_key,
            group=labels["group"].to_numpy(),
            timestamp_ms=timestamp_ms,
            offset=number[offset_ms - offsets_ms[0]],
            offsets_ms=offsets_ms,
            lateness_ms=rows["lateness_ms"].to_numpy(),
            is_buy=labels["side"].to_numpy() == SIDE.categories.index_of(Side.BUY.value),
            edge_t0_bps=edge_t0_bps,
            edge_bps=edge_bps,
            retained=retained,
            market_part_bps=rows["market_part_bps"].to_numpy(),
            oracle_part_bps=rows["oracle_part_bps"].to_numpy(),
            markout_bps=markout_bps,
            net_bps=markout_bps - costs.of(market_key, timestamp_ms),
        )


def summed(cells: Mapping[str, Integers], terms: Mapping[str, npt.NDArray[Any]]) -> pl.DataFrame:
    """The sums of some terms over the rows that are in the same cell, and how many rows that are, `n`."""
    spans = {name: _span(numbers) for name, numbers in cells.items()}
    cell = np.zeros(1, dtype=np.int64)
    for name, (least, size) in spans.items():
        cell = cell * size + (cells[name] - least)
    shape = [size for _, size in spans.values()]
    if prod(shape) > MOST_CELLS:
        there, cell = np.unique(cell, return_inverse=True)
        at = np.arange(len(there))
    else:
        there = at = np.flatnonzero(np.bincount(cell))
    places = zip(spans.items(), np.unravel_index(there, shape), strict=True)
    numbers = {name: place + least for (name, (least, _)), place in places}
    sums = {"n": np.bincount(cell)[at]} | {name: np.bincount(cell, term)[at] for name, term in terms.items()}
    return pl.DataFrame(numbers | {name: of_cells.astype(np.float64, copy=False) for name, of_cells in sums.items()})


def _span(numbers: Integers) -> tuple[int, int]:
    """The least, and how many there are from it to the greatest."""
    if not len(numbers):
        return 0, 1
    least = int(np.min(numbers))
    return least, int(np.max(numbers)) - least + 1
