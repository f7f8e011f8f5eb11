"""Sums over clusters, observed and in each bootstrap replicate, from which every ratio and its band are computed."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hip3_tasks.stats.bootstrap import REPLICATES, Array, Estimate, Integers, estimate, has_band


@dataclass(frozen=True, slots=True)
class SumSpec:
    """The names of the sums to compute. The first sum counts rows."""

    bootstrapped: tuple[str, ...]
    """Sums with bootstrap replicates."""
    products: tuple[tuple[str, str], ...] = ()
    """Pairs whose product within each cluster is summed too, with replicates, under the name `first*second`."""
    plain: tuple[str, ...] = ()
    """Sums without bootstrap replicates."""

    @property
    def summed(self) -> tuple[str, ...]:
        """The sums that the caller gives for each cluster."""
        return (*self.bootstrapped, *self.plain)

    @property
    def names(self) -> tuple[str, ...]:
        """All sums, the ones with replicates first."""
        return (*self.bootstrapped, *(f"{first}*{second}" for first, second in self.products), *self.plain)


@dataclass(frozen=True, slots=True)
class Totals:
    """Named sums over all clusters."""

    names: tuple[str, ...]
    observed: Array
    """float64, (names,)."""
    bootstrapped: Array
    """float64, (REPLICATES, names with replicates), which are the first names; NaN if too few clusters for a band."""
    nonzero: npt.NDArray[np.int64]
    """The number of clusters in which each sum is not 0; int64, (names,)."""

    @property
    def clusters(self) -> int:
        """The number of clusters that have rows."""
        return int(self.nonzero[0])

    def nonzero_of(self, name: str) -> int:
        """The number of clusters in which a sum is not 0."""
        return int(self.nonzero[self.names.index(name)])

    def __getitem__(self, name: str) -> float:
        return float(self.observed[self.names.index(name)])

    def replicates(self, name: str) -> Array:
        """float64, (REPLICATES,)."""
        return self.bootstrapped[:, self.names.index(name)]

    def share(self, top: str, bottom: str) -> float | None:
        """One sum divided by another; None if that is 0."""
        return self[top] / self[bottom] if self[bottom] else None

    def ratio(self, top: str, bottom: str) -> Estimate:
        """One sum divided by another, with its band by the clusters in which the divisor is not 0."""
        clusters = self.nonzero_of(bottom)
        if not has_band(clusters):
            return Estimate(value=self.share(top, bottom))
        value, replicates = self.ratios(top, bottom)
        return estimate(value, replicates, clusters=clusters)

    def ratios(self, top: str, bottom: str) -> tuple[float, Array]:
        """One sum divided by another: the observed value, and float64, (REPLICATES,). Over 0 it is NaN."""
        observed = _divide(np.array(self[top]), np.array(self[bottom]))
        return float(observed), _divide(self.replicates(top), self.replicates(bottom))


class ClusterSums(NamedTuple):
    """Sums over the clusters of one dex, for some of the keys."""

    weights: Callable[[], Array]
    """Draws the clusters: float64, (REPLICATES, clusters)."""
    keys: Integers
    """The indices of the keys; (keys,)."""
    sums: Array
    """float64, (clusters, keys, spec.summed)."""


def totals_by_key(
    dexes: Iterable[ClusterSums], spec: SumSpec, keys: Sequence[Any], *, is_drawn: npt.NDArray[np.bool_] | None = None
) -> dict[Any, Totals]:
    """The totals of each key that has rows; with replicates for those keys only that are `is_drawn`, by default all."""
    names, width = spec.names, len(spec.bootstrapped) + len(spec.products)
    if is_drawn is None:
        is_drawn = np.ones(len(keys), dtype=np.bool_)
    place = np.cumsum(is_drawn) - 1
    observed, nonzero = np.zeros((len(keys), len(names))), np.zeros((len(keys), len(names)), dtype=np.int64)
    bootstrapped = np.zeros((np.count_nonzero(is_drawn), REPLICATES, width))
    for weights, indices, sums in dexes:
        columns = _with_products(sums, spec) if spec.products else sums
        observed[indices] += columns.sum(axis=0)
        nonzero[indices] += (columns != 0).sum(axis=0)
        if (drawn := is_drawn[indices]).any():
            drawn_sums = columns[:, drawn, :width].reshape(len(sums), -1)
            by_key = (weights() @ drawn_sums).reshape(REPLICATES, -1, width).transpose(1, 0, 2)
            bootstrapped[place[indices[drawn]]] += by_key
    unknown = np.broadcast_to(np.nan, (REPLICATES, width))
    replicates = [bootstrapped[place[index]] if is_drawn[index] else unknown for index in range(len(keys))]
    return {
        key: Totals(names, observed[index], replicates[index], nonzero[index])
        for index, key in enumerate(keys)
        if nonzero[index, 0]
    }


def _with_products(sums: Array, spec: SumSpec) -> Array:
    by_name = {name: sums[:, :, index] for index, name in enumerate(spec.summed)}
    by_name |= {f"{first}*{second}": by_name[first] * by_name[second] for first, second in spec.products}
    return np.stack([by_name[name] for name in spec.names], axis=-1)


def _divide(upper: Array, lower: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(lower == 0, np.nan, upper / lower)
