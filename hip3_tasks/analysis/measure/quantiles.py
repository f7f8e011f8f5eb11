"""Quantiles of groups of values: exact ones, or nearly so from numbers of values in narrow bins."""

from collections.abc import Mapping, Sequence
from math import ceil, floor
from typing import Any

import numpy as np
import polars as pl

from hip3_tasks.stats.bootstrap import Array, Integers

Samples = Mapping[tuple[Any, int], Sequence[Array]]
"""Values by group and offset_ms, in arrays of any length; float64, NaN is unknown."""
Quantiles = dict[tuple[Any, int], list[float | None]]
ALL = None
"""The group of all values."""
BIN_WIDTHS = {"markout_bps": 0.2, "retained": 0.002}
"""The measures with quantiles, and how wide their bins are: twice the error of a quantile, since the middle of a bin
stands for its values. 0 and 1 are in the middle of theirs."""
MEASURE = pl.Enum(list(BIN_WIDTHS))


def quantiles(samples: Samples, shares: Sequence[float]) -> Quantiles:
    """The quantiles at some shares, by group and of ALL, interpolated linearly; None if no value is known."""
    result: Quantiles = {}
    for offset_ms in dict.fromkeys(offset_ms for _, offset_ms in samples):
        known = {group: _known(arrays) for (group, offset), arrays in samples.items() if offset == offset_ms}
        known[ALL] = np.concatenate(list(known.values()))
        result |= {(group, offset_ms): _quantiles(values, shares) for group, values in known.items()}
    return result


def _known(arrays: Sequence[Array]) -> Array:
    values = np.concatenate(arrays)
    return values[~np.isnan(values)]


def _quantiles(values: Array, shares: Sequence[float]) -> list[float | None]:
    """Sort the values in place. numpy's own interpolation rounds differently for shares above 1/2."""
    if not len(values):
        return [None] * len(shares)
    values.sort()
    return _interpolated(values, shares)


def _interpolated(values: "Array | _Binned", shares: Sequence[float]) -> list[float | None]:
    positions = [share * (len(values) - 1) for share in shares]
    ends = ((position % 1, float(values[floor(position)]), float(values[ceil(position)])) for position in positions)
    return [low + (high - low) * part for part, low, high in ends]


def bins_of(values: Array, width: float) -> Integers:
    """The bin of each value: the nearest multiple of the width, within 32 bits."""
    most = np.iinfo(np.int32).max
    return np.clip(np.rint(values / width), -most, most).astype(np.int64)


def binned_quantiles(counts: pl.LazyFrame, shares: Sequence[float], width: float) -> Quantiles:
    """The same as `quantiles`, given the number `n` of values per (group, offset_ms, bin)."""
    result: Quantiles = {}
    keys = ["group", "offset_ms", "bin"]
    summed = counts.group_by(keys).agg(pl.col("n").cast(pl.Int64).sum()).sort(keys)
    groups = summed.collect(engine="streaming")
    every = groups.group_by(keys[1:]).agg(pl.col("n").sum()).sort(keys[1:])
    for group_rows in (groups, every.select(pl.lit(ALL).alias("group"), pl.all())):
        parts = group_rows.partition_by("group", "offset_ms", as_dict=True, maintain_order=True)
        for key, part in parts.items():
            result[key] = _interpolated(_Binned(part["bin"].to_numpy() * width, part["n"]), shares)
    return result


class _Binned:
    """The values of ascending bins, as if they were sorted in an array."""

    def __init__(self, middles: Array, numbers: pl.Series) -> None:
        self._middles, self._up_to = middles, numbers.to_numpy().cumsum()

    def __len__(self) -> int:
        return int(self._up_to[-1])

    def __getitem__(self, place: int) -> float:
        return float(self._middles[np.searchsorted(self._up_to, place, side="right")])
