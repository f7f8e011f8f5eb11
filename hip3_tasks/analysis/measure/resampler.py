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
    """Draws the clusters of each dex once, for all sums that are computed with it."""

    def __init__(self, sums: pl.DataFrame) -> None:
        """`sums` has the columns `dex` and `cluster`; all clusters that `totals` meets must occur in it."""
        self._clusters: dict[str, npt.NDArray[np.int64]] = {}
        for dex, clusters in sums.group_by("dex").agg(pl.col("cluster").unique().sort()).iter_rows():
            self._clusters[dex] = np.array(clusters)
        self._weights = lru_cache(maxsize=4)(lambda dex: weights(dex, len(self._clusters[dex])))

    def totals(
        self, sums: pl.DataFrame, spec: SumSpec, *, by: str, keys: Sequence[Any], cumulative: bool = False
    ) -> dict[Any, Totals]:
        """The totals of each key in the column `by` that has rows.

        With `cumulative`, keys are ascending, and the totals of a key include the rows of all values above it.
        """
        return totals_by_key(self._dexes(sums, spec, by, keys, cumulative=cumulative), spec, keys)

    def _dexes(
        self, sums: pl.DataFrame, spec: SumSpec, by: str, keys: Sequence[Any], *, cumulative: bool
    ) -> Iterator[tuple[Array, Array]]:
        for (dex,), rows in sums.partition_by("dex", as_dict=True).items():
            cluster = np.searchsorted(self._clusters[dex], rows["cluster"].to_numpy())
            first, last = int(np.min(cluster)), int(np.max(cluster)) + 1
            key = (_floor_index if cumulative else _index_of)(rows[by], keys)
            cell, shape = (cluster - first) * len(keys) + key, (last - first, len(keys))
            has_key = key >= 0
            columns = (rows[name].to_numpy()[has_key] for name in spec.summed)
            cells = [np.bincount(cell[has_key], column, prod(shape)).reshape(shape) for column in columns]
            if cumulative:
                cells = [values[:, ::-1].cumsum(axis=1)[:, ::-1] for values in cells]
            yield self._weights(dex)[:, first:last], np.stack(cells, axis=-1)


def _index_of(values: pl.Series, keys: Sequence[Any]) -> Integers:
    """The index of each value among the keys."""
    return values.replace_strict(keys, range(len(keys)), return_dtype=pl.Int64).to_numpy()


def _floor_index(values: pl.Series, keys: Sequence[Any]) -> Integers:
    """The index of the greatest key not above each value; -1 if all keys are above."""
    return np.searchsorted(keys, values.to_numpy(), side="right") - 1
