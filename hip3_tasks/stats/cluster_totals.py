"""Sums over clusters, as they are and as each replicate draws them: what every ratio and its band are made of."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hip3_tasks.stats.bootstrap import REPLICATES, Array, Estimate, estimate


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
    def summed(self) -> tuple[str, ...]:
        return (*self.drawn, *self.undrawn)

    @property
    def names(self) -> tuple[str, ...]:
        """The drawn ones first."""
        return (*self.drawn, *(f"{one}*{other}" for one, other in self.products), *self.undrawn)


def totals_of(dexes: Iterable[tuple[Array, Array]], asked: Asked, keys: Sequence[Any]) -> dict[Any, Totals]:
    """The totals of each key that has any, from each dex's weights and its sums: clusters x keys x `asked.summed`."""
    names, width = asked.names, len(asked.drawn) + len(asked.products)
    whole, counted = np.zeros((len(keys), len(names))), np.zeros((len(keys), len(names)), dtype=np.int64)
    drawn = np.zeros((REPLICATES, len(keys), width))
    for weights, cells in dexes:
        of_name = {name: cells[:, :, at] for at, name in enumerate(asked.summed)}
        of_name |= {f"{one}*{other}": of_name[one] * of_name[other] for one, other in asked.products}
        of_names = np.stack([of_name[name] for name in names], axis=-1)
        whole += of_names.sum(axis=0)
        counted += (of_names != 0).sum(axis=0)
        drawn += (weights @ of_names[:, :, :width].reshape(len(cells), -1)).reshape(drawn.shape)
    there = [at for at in range(len(keys)) if counted[at, 0]]
    return {keys[at]: Totals(names, whole[at], drawn[:, at], counted[at]) for at in there}


def _over(upper: Any, lower: Any) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(lower == 0, np.nan, upper / lower)
