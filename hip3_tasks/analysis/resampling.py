"""The same draws of clusters for every sum of a report."""

from collections.abc import Sequence
from dataclasses import dataclass
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
    """Replicates x names."""
    clusters: int

    def __getitem__(self, name: str) -> float:
        return float(self.whole[self.names.index(name)])

    def ratio(self, top: str, bottom: str) -> Estimate:
        """One sum over another, with its band; nothing over nothing is not known."""
        value, drawn = self.ratios(top, bottom)
        return estimate(value, drawn, clusters=self.clusters)

    def ratios(self, top: str, bottom: str) -> tuple[float, Array]:
        """The same as it is, and in each replicate."""
        upper, lower = self.names.index(top), self.names.index(bottom)
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(self.whole[upper] / self.whole[lower]), self.drawn[:, upper] / self.drawn[:, lower]


class Resampler:
    """Draws the clusters of each dex once, for all that is asked of them."""

    def __init__(self, sums: pl.DataFrame) -> None:
        """`sums` has a `dex` and a `cluster` in each row, and so has whatever is asked for later."""
        self._clusters: dict[str, npt.NDArray[np.int64]] = {}
        self._weights: dict[str, npt.NDArray[np.uint8]] = {}
        for dex, clusters in sums.group_by("dex").agg(pl.col("cluster").unique().sort()).iter_rows():
            self._clusters[dex] = np.array(clusters)
            self._weights[dex] = weights(dex, len(clusters))

    def totals(self, sums: pl.DataFrame, names: Sequence[str], *, by: str) -> dict[Any, Totals]:
        """The totals of each value of a column."""
        keys = sums[by].unique().sort().to_list()
        whole, drawn = np.zeros((len(keys), len(names))), np.zeros((REPLICATES, len(keys), len(names)))
        clusters = np.zeros(len(keys), dtype=np.int64)
        for dex, of_dex in (
            sums.group_by("dex", by, "cluster").agg(pl.col(names).sum()).partition_by("dex", as_dict=True).items()
        ):
            at = np.searchsorted(self._clusters[dex[0]], of_dex["cluster"].to_numpy())
            rows, row_of = np.unique(at, return_inverse=True)
            cells = np.zeros((len(rows), len(keys), len(names)))
            cells[row_of, of_dex[by].replace_strict(keys, range(len(keys))).to_numpy()] = of_dex.select(
                names
            ).to_numpy()
            whole += cells.sum(axis=0)
            drawn += np.tensordot(self._weights[dex[0]][rows].astype(np.float64), cells, axes=(0, 0))
            clusters += (cells[:, :, 0] > 0).sum(axis=0)
        return {key: Totals(tuple(names), whole[i], drawn[:, i], int(clusters[i])) for i, key in enumerate(keys)}
