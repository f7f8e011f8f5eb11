"""Sums over clusters, observed and in each bootstrap replicate, from which every ratio and its band are computed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hip3_tasks.stats.bootstrap import REPLICATES, Array, Estimate, estimate


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
    """float64, (REPLICATES, names with replicates), which are the first names."""
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
        value, replicates = self.ratios(top, bottom)
        return estimate(value, replicates, clusters=self.nonzero_of(bottom))

    def ratios(self, top: str, bottom: str) -> tuple[float, Array]:
        """One sum divided by another: the observed value, and float64, (REPLICATES,). Over 0 it is NaN."""
        observed = _divide(np.array(self[top]), np.array(self[bottom]))
        return float(observed), _divide(self.replicates(top), self.replicates(bottom))


def totals_by_key(dexes: Iterable[tuple[Array, Array]], spec: SumSpec, keys: Sequence[Any]) -> dict[Any, Totals]:
    """The totals of each key that has rows.

    Each dex gives its weights, float64, (REPLICATES, clusters), and its sums, float64, (clusters, keys, spec.summed).
    """
    names, width = spec.names, len(spec.bootstrapped) + len(spec.products)
    observed, nonzero = np.zeros((len(keys), len(names))), np.zeros((len(keys), len(names)), dtype=np.int64)
    bootstrapped = np.zeros((REPLICATES, len(keys), width))
    for weights, sums in dexes:
        by_name = {name: sums[:, :, index] for index, name in enumerate(spec.summed)}
        by_name |= {f"{first}*{second}": by_name[first] * by_name[second] for first, second in spec.products}
        columns = np.stack([by_name[name] for name in names], axis=-1)
        observed += columns.sum(axis=0)
        nonzero += (columns != 0).sum(axis=0)
        bootstrapped += (weights @ columns[:, :, :width].reshape(len(sums), -1)).reshape(bootstrapped.shape)
    return {
        key: Totals(names, observed[index], bootstrapped[:, index], nonzero[index])
        for index, key in enumerate(keys)
        if nonzero[index, 0]
    }


def _divide(upper: Array, lower: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(lower == 0, np.nan, upper / lower)
