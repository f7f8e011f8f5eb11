"""The same draws of clusters for every sum of a report."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from hip3_tasks.analysis.bootstrap import Array, weights
from hip3_tasks.analysis.totals import Totals, totals_of


class Resampler:
    """Draws the clusters of each dex once, for all that is asked of them."""

    def __init__(self, sums: pl.DataFrame) -> None:
        """`sums` has a `dex` and a `cluster` in each row, and so has whatever is asked for later."""
        self._clusters: dict[str, npt.NDArray[np.int64]] = {}
        for dex, clusters in sums.group_by("dex").agg(pl.col("cluster").unique().sort()).iter_rows():
            self._clusters[dex] = np.array(clusters)
        self._weights = lru_cache(maxsize=4)(lambda dex: weights(dex, len(self._clusters[dex])))

    def totals(
        self, sums: pl.DataFrame, names: Sequence[str], *, by: str, keys: Sequence[Any], or_more: bool = False
    ) -> dict[Any, Totals]:
        """The totals of each of the keys in a column that has any; `or_more`: of it and all after it.

        A dex, a cluster and a key are together in one row only.
        """
        key_at = {key: at for at, key in enumerate(keys)}
        return totals_of(self._dexes(sums, names, by, key_at, or_more=or_more), names, key_at=key_at)

    def _dexes(
        self, sums: pl.DataFrame, names: Sequence[str], by: str, key_at: Mapping[Any, int], *, or_more: bool
    ) -> Iterator[tuple[Array, Array]]:
        for (dex,), part in sums.partition_by("dex", as_dict=True).items():
            at = np.searchsorted(self._clusters[dex], part["cluster"].to_numpy())
            first, last = at.min(), at.max() + 1
            cells = np.zeros((last - first, len(key_at), len(names)))
            cells[at - first, part[by].replace_strict(key_at).to_numpy()] = part.select(names).to_numpy()
            yield self._weights(dex)[:, first:last], cells[:, ::-1].cumsum(axis=1)[:, ::-1] if or_more else cells
