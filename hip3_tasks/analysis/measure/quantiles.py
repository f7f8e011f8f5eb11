"""Exact quantiles of groups of values."""

from collections.abc import Mapping, Sequence
from math import ceil, floor
from typing import Any

import numpy as np

from hip3_tasks.stats.bootstrap import Array

Samples = Mapping[tuple[Any, int], Sequence[Array]]
"""Values by group and offset_ms, in arrays of any length; float64, NaN is unknown."""
Quantiles = dict[tuple[Any, int], list[float | None]]
ALL = None
"""The group of all values."""


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
    positions = [share * (len(values) - 1) for share in shares]
    ends = ((position % 1, float(values[floor(position)]), float(values[ceil(position)])) for position in positions)
    return [low + (high - low) * part for part, low, high in ends]
