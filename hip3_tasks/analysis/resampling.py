"""The same draws of clusters for every sum of a report."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from hip3_tasks.analysis.bootstrap import REPLICATES, Array, Estimate, estimate, weights
from hip3_tasks.analysis.pieces import Integers


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

    def replicates(self, name: str) -> Array:
        return self.drawn[:, self.names.index(name)]

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


@dataclass(frozen=True, slots=True)
class Asked:
    """Which sums are wanted, the first of them counting rows."""

    drawn: tuple[str, ...]
    products: tuple[tuple[str, str], ...] = ()
    """Of two of them over a cluster, then drawn as well; each is named `one*other`."""
    undrawn: tuple[str, ...] = ()
    """Of which no band is wanted."""

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.drawn, *(f"{one}*{other}" for one, other in self.products), *self.undrawn)


class Resampler:
    """Draws the clusters of each dex once, for all that is asked of them."""

    def __init__(self, sums: pl.DataFrame) -> None:
        """`sums` has a `dex` and a `cluster` in each row, and so has whatever is asked for later."""
        self._clusters: dict[str, npt.NDArray[np.int64]] = {}
        for dex, clusters in sums.group_by("dex").agg(pl.col("cluster").unique().sort()).iter_rows():
            self._clusters[dex] = np.array(clusters)
        self._weights = lru_cache(maxsize=4)(lambda dex: weights(dex, len(self._clusters[dex])))

    def totals(
        self, sums: pl.DataFrame, asked: Asked, *, by: str, keys: Sequence[Any], or_more: bool = False
    ) -> dict[Any, Totals]:
        """The totals of each of the keys in a column that has any; `or_more`: of it and all above it, keys in order."""
        names, width = asked.names, len(asked.names) - len(asked.undrawn)
        whole, counted = np.zeros((len(keys), len(names))), np.zeros((len(keys), len(names)), dtype=np.int64)
        drawn = np.zeros((REPLICATES, len(keys), width))
        for (dex,), part in sums.partition_by("dex", as_dict=True).items():
            at = np.searchsorted(self._clusters[dex], part["cluster"].to_numpy())
            first, last = at.min(), at.max() + 1
            number = (_at_most if or_more else _equal)(part[by], keys)
            cell, shape = (at - first) * len(keys) + number, (last - first, len(keys))
            cells = {
                name: np.bincount(cell[number >= 0], part[name].to_numpy()[number >= 0], prod(shape)).reshape(shape)
                for name in (*asked.drawn, *asked.undrawn)
            }
            if or_more:
                cells = {name: of_cells[:, ::-1].cumsum(axis=1)[:, ::-1] for name, of_cells in cells.items()}
            cells |= {f"{one}*{other}": cells[one] * cells[other] for one, other in asked.products}
            of_clusters = np.stack([cells[name] for name in names], axis=-1)
            whole += of_clusters.sum(axis=0)
            counted += (of_clusters != 0).sum(axis=0)
            wanted = of_clusters[:, :, :width].reshape(last - first, -1)
            drawn += (self._weights(dex)[:, first:last] @ wanted).reshape(drawn.shape)
        there = [at for at in range(len(keys)) if counted[at, 0]]
        return {keys[at]: Totals(names, whole[at], drawn[:, at], counted[at]) for at in there}


def _equal(values: pl.Series, keys: Sequence[Any]) -> Integers:
    """At which place each is among the keys."""
    return values.replace_strict(keys, range(len(keys)), return_dtype=pl.Int64).to_numpy()


def _at_most(values: pl.Series, keys: Sequence[Any]) -> Integers:
    """At which place the greatest key is that is no more; -1: there is none."""
    return np.searchsorted(keys, values.to_numpy(), side="right") - 1


def _over(upper: Any, lower: Any) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(lower == 0, np.nan, upper / lower)
