"""Quantiles of groups of values, exactly."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import ceil, floor
from typing import Any

import numpy as np

from hip3_tasks.stats.bootstrap import Array

Spread = Mapping[tuple[Any, int], Sequence[Array]]
"""Values by group and offset_ms, in pieces; NaN: not known."""
Quantiles = dict[tuple[Any, int], list[float | None]]
ALL = None
"""The group of all."""
FEW = 4096


def quantiles(spread: Spread, shares: Sequence[float]) -> Quantiles:
    """At some shares, by group and of all; between two values on the straight line; None where nothing is known."""
    found: Quantiles = {}
    by_offset = defaultdict(list)
    for (group, offset_ms), pieces in spread.items():
        values = np.concatenate(pieces)
        values.sort()
        known = values[: np.searchsorted(values, np.nan)]
        found[group, offset_ms] = _at(shares, [known])
        by_offset[offset_ms].append(known)
    return found | {(ALL, offset_ms): _at(shares, groups) for offset_ms, groups in by_offset.items()}


def _at(shares: Sequence[float], groups: Sequence[Array]) -> list[float | None]:
    """Of all values of some groups, each in order."""
    number = sum(map(len, groups))
    if not number:
        return [None] * len(shares)
    places = [share * (number - 1) for share in shares]
    ends = ((place % 1, _nth(groups, floor(place)), _nth(groups, ceil(place))) for place in places)
    return [below + (above - below) * part for part, below, above in ends]


def _nth(groups: Sequence[Array], n: int) -> float:
    """The n-th of all values, the least being the 0-th: what lies on the wrong side of a middle one is left out.

    To sort all of them takes ten times as long.
    """
    while (number := sum(map(len, groups))) > FEW:
        middles = np.array([group[len(group) // 2] for group in groups if len(group)])
        order = np.argsort(middles)
        upto = np.cumsum(np.array([len(group) for group in groups if len(group)])[order])
        middle = middles[order][np.searchsorted(upto, number / 2)]
        below = [int(np.searchsorted(group, middle, side="left")) for group in groups]
        upto_equal = [int(np.searchsorted(group, middle, side="right")) for group in groups]
        if n < sum(below):
            groups = [group[:end] for group, end in zip(groups, below, strict=True)]
        elif n < sum(upto_equal):
            return float(middle)
        else:
            groups = [group[start:] for group, start in zip(groups, upto_equal, strict=True)]
            n -= sum(upto_equal)
    return float(np.sort(np.concatenate(groups))[n])
