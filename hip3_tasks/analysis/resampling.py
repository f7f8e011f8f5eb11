"""The same draws of clusters for every sum of a report."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from hip3_tasks.analysis.bootstrap import REPLICATES, Array, Estimate, estimate, weights


@dataclass(frozen=True, slots=True)
class Totals:
    """Named sums over all clusters: as they are, and in each replicate."""

    names: tuple[str, ...]
    whole: Array
    """One a name."""
    drawn: Array
    """Replicates x names, but for the last of them, of which no band is wanted."""
    counted: npt.NDArray[np.int64]
    """In how many clusters each is not 0."""

    @property
    def clusters(self) -> int:
        """In how many there is anything: the first of the names counts rows."""
        return int(self.counted[0])

    def __getitem__(self, name: str) -> float:
        return float(self.whole[self.names.index(name)])

    def share(self, top: str, bottom: str) -> float | None:
        """One sum over another; what is over nothing is not known."""
        return self[top] / self[bottom] if self[bottom] else None

    def ratio(self, top: str, bottom: str) -> Estimate:
        """One sum over another, with its band; what is over nothing is not known, nor a band from too few of them."""
        value, drawn = self.ratios(top, bottom)
        return estimate(value, drawn, clusters=int(self.counted[self.names.index(bottom)]))

    def ratios(self, top: str, bottom: str) -> tuple[float, Array]:
        """The same as it is, and in each replicate."""
        upper, lower = self.names.index(top), self.names.index(bottom)
        return float(_over(self.whole[upper], self.whole[lower])), _over(self.drawn[:, upper], self.drawn[:, lower])


class Resampler:
    """Draws the clusters of each dex once, for all that is asked of them."""

    def __init__(self, sums: pl.DataFrame) -> None:
        """`sums` has a `dex` and a `cluster` in each row, and so has whatever is asked for later."""
        self._clusters: dict[str, npt.NDArray[np.int64]] = {}
        for dex, clusters in sums.group_by("dex").agg(pl.col("cluster").unique().sort()).iter_rows():
            self._clusters[dex] = np.array(clusters)
        self._weights = lru_cache(maxsize=4)(lambda dex: weights(dex, len(self._clusters[dex])))

    def totals(
        self,
        sums: pl.DataFrame,
        names: Sequence[str],
        *,
        by: str,
        keys: Sequence[Any],
        undrawn: Sequence[str] = (),
        or_more: bool = False,
    ) -> dict[Any, Totals]:
        """The totals of each of the keys in a column that has any; `or_more`: of it and all after it.

        A dex, a cluster and a key are together in one row only.
        """
        names = tuple(names)
        shape = len(keys), len(names) + len(undrawn)
        whole, counted = np.zeros(shape), np.zeros(shape, dtype=np.int64)
        drawn = np.zeros((REPLICATES, len(keys), len(names)))
        key_at = {key: at for at, key in enumerate(keys)}
        for (dex,), part in sums.partition_by("dex", as_dict=True).items():
            at = np.searchsorted(self._clusters[dex], part["cluster"].to_numpy())
            first, last = at.min(), at.max() + 1
            cells = np.zeros((last - first, *shape))
            cells[at - first, part[by].replace_strict(key_at).to_numpy()] = part.select(*names, *undrawn).to_numpy()
            if or_more:
                cells = cells[:, ::-1].cumsum(axis=1)[:, ::-1]
            whole += cells.sum(axis=0)
            counted += (cells != 0).sum(axis=0)
            wanted = cells[:, :, : len(names)].reshape(last - first, -1)
            drawn += (self._weights(dex)[:, first:last] @ wanted).reshape(drawn.shape)
        return {
            key: Totals((*names, *undrawn), whole[at], drawn[:, at], counted[at])
            for key, at in key_at.items()
            if counted[at, 0]
        }


def _over(upper: Any, lower: Any) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(lower == 0, np.nan, upper / lower)
