"""The same draws of clusters for every sum of a report."""

from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from hip3_tasks.analysis.measure.quantiles import ALL
from hip3_tasks.stats.bootstrap import MIN_CLUSTERS, Array, Integers, weights
from hip3_tasks.stats.cluster_totals import ClusterSums, SumSpec, Totals, totals_by_key

MAX_CELLS = 1 << 16
"""Clusters times keys that are summed at once: some 10 MB for twenty sums. Four times as many take a third longer."""


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
        key = (_floor_index if cumulative else _index_of)(sums[by], keys)
        rows = np.bincount(key[key >= 0], minlength=len(keys))
        # There are no more clusters than rows: with fewer there is no band, which is all that replicates are for.
        is_drawn = (rows[::-1].cumsum()[::-1] if cumulative else rows) >= MIN_CLUSTERS
        parts = self._parts(sums, key, spec, len(keys), cumulative=cumulative)
        return totals_by_key(parts, spec, keys, is_drawn=is_drawn)

    def totals_by_group(
        self, sums: pl.DataFrame, spec: SumSpec, *, by: str, keys: Sequence[Any]
    ) -> dict[Any, dict[Any, Totals]]:
        """The totals of each key in the column `by`: of ALL rows, and of each value in the column `group`."""
        groups = sums["group"].unique().sort()
        cell = np.searchsorted(groups, sums["group"]) * len(keys) + _index_of(sums[by], keys)
        rows = sums.with_columns(cell=pl.Series(cell, dtype=pl.Int64))
        result: dict[Any, dict[Any, Totals]] = {ALL: self.totals(sums, spec, by=by, keys=keys)}
        for place, totals in self.totals(rows, spec, by="cell", keys=range(len(groups) * len(keys))).items():
            group, key = divmod(place, len(keys))
            result.setdefault(groups[group], {})[keys[key]] = totals
        return result

    def _parts(
        self, sums: pl.DataFrame, key: Integers, spec: SumSpec, keys: int, *, cumulative: bool
    ) -> Iterator[ClusterSums]:
        """The sums of each dex, in parts of at most MAX_CELLS unless keys are cumulative."""
        dex, cluster = sums["dex"], sums["cluster"].to_numpy()
        columns = [sums[name].to_numpy() for name in spec.summed]
        # In the order of the names, so that sums do not depend on the order of the rows of different dexes.
        for name in [dex[0]] if dex.n_unique() == 1 else dex.unique().cast(pl.String).sort():
            known = self._clusters[name]
            selected = np.flatnonzero((key >= 0) & (dex == name).to_numpy())
            size = keys if cumulative else max(1, MAX_CELLS // len(known))
            every = np.arange(keys) if cumulative else np.unique(key[selected])
            for rows, present in _blocks(selected, key[selected], every, size=size):
                place = np.searchsorted(known, cluster[rows])
                first, last = (int(np.min(place)), int(np.max(place)) + 1) if len(rows) else (0, 0)
                cell = (place - first) * len(present) + np.searchsorted(present, key[rows])
                shape = last - first, len(present)
                cells = [np.bincount(cell, column[rows], prod(shape)).reshape(shape) for column in columns]
                if cumulative:
                    cells = [values[:, ::-1].cumsum(axis=1)[:, ::-1] for values in cells]
                yield ClusterSums(partial(self._drawn, name, first, last), present, np.stack(cells, axis=-1))

    def _drawn(self, dex: str, first: int, last: int) -> Array:
        return self._weights(dex)[:, first:last]


def _blocks(rows: Integers, key: Integers, present: Integers, *, size: int) -> Iterator[tuple[Integers, Integers]]:
    """The rows of at most `size` of the keys that are present at a time, and these keys, ascending."""
    if len(present) <= size:
        yield rows, present
        return
    order = np.argsort(key, kind="stable")
    for start in range(0, len(present), size):
        some = present[start : start + size]
        begin, end = np.searchsorted(key[order], [some[0], some[-1] + 1])
        yield rows[order[begin:end]], some


def _index_of(values: pl.Series, keys: Sequence[Any]) -> Integers:
    """The index of each value among the keys, which are ascending if they are numbers."""
    if values.dtype.is_numeric():
        return np.searchsorted(keys, values.to_numpy())
    return values.replace_strict(keys, range(len(keys)), return_dtype=pl.Int64).to_numpy()


def _floor_index(values: pl.Series, keys: Sequence[Any]) -> Integers:
    """The index of the greatest key not above each value; -1 if all keys are above."""
    return np.searchsorted(keys, values.to_numpy(), side="right") - 1
