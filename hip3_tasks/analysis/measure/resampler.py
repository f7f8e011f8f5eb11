"""The same draws of clusters for every sum of a report."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from hip3_tasks.stats.bootstrap import Array, Integers, weights
from hip3_tasks.stats.cluster_totals import SumSpec, Totals, totals_by_key


class Resampler:
    """Draws the clusters of each dex once, for all that is asked of them."""

    def __init__(self, sums: pl.DataFrame) -> None:
        """`sums` has a `dex` and a `cluster` in each row, and so has whatever is asked for later."""
        self._clusters: dict[str, npt.NDArray[np.int64]] = {}
        for dex, clusters in sums.group_by("dex").agg(pl.col("cluster").unique().sort()).iter_rows():
            self._clusters[dex] = np.array(clusters)
        self._weights = lru_cache(maxsize=4)(lambda dex: weights(dex, len(self._clusters[dex])))

    def totals(
        self, sums: pl.DataFrame, asked: SumSpec, *, by: str, keys: Sequence[Any], or_more: bool = False
    ) -> dict[Any, Totals]:
        """The totals of each of the keys in a column that has any; `or_more`: of it and all above it, keys in order."""
        return totals_by_key(self._dexes(sums, asked, by, keys, or_more=or_more), asked, keys)

    def _dexes(
        self, sums: pl.DataFrame, asked: SumSpec, by: str, keys: Sequence[Any], *, or_more: bool
    ) -> Iterator[tuple[Array, Array]]:
        for (dex,), part in sums.partition_by("dex", as_dict=True).items():
            at = np.searchsorted(self._clusters[dex], part["cluster"].to_numpy())
            first, last = int(np.min(at)), int(np.max(at)) + 1
            number = (_at_most if or_more else _equal)(part[by], keys)
            cell, shape = (at - first) * len(keys) + number, (last - first, len(keys))
            cells = [
                np.bincount(cell[number >= 0], part[name].to_numpy()[number >= 0], prod(shape)).reshape(shape)
                for name in asked.summed
            ]
            if or_more:
                cells = [of_cells[:, ::-1].cumsum(axis=1)[:, ::-1] for of_cells in cells]
            yield self._weights(dex)[:, first:last], np.stack(cells, axis=-1)


def _equal(values: pl.Series, keys: Sequence[Any]) -> Integers:
    """At which place each is among the keys."""
    return values.replace_strict(keys, range(len(keys)), return_dtype=pl.Int64).to_numpy()


def _at_most(values: pl.Series, keys: Sequence[Any]) -> Integers:
    """At which place the greatest key is that is no more; -1: there is none."""
    return np.searchsorted(keys, values.to_numpy(), side="right") - 1
