"""Sums over clusters, as they are and as each replicate draws them: what every ratio and its band are made of."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hip3_tasks.analysis.bootstrap import REPLICATES, Array, Estimate, estimate


@dataclass(frozen=True, slots=True)
class Totals:
    """Named sums over all clusters: as they are, and in each replicate."""

    names: tuple[str, ...]
    whole: Array
    """One a name."""
    drawn: Array
    """Replicates x names."""
    counted: npt.NDArray[np.int64]
    """In how many clusters each is not 0."""

    @property
    def clusters(self) -> int:
        """In how many there is anything: the first of the names counts rows."""
        return int(self.counted[0])

    def __getitem__(self, name: str) -> float:
        return float(self.whole[self.names.index(name)])

    def ratio(self, top: str, bottom: str) -> Estimate:
        """One sum over another, with its band; what is over nothing is not known, nor a band from too few of them."""
        value, drawn = self.ratios(top, bottom)
        return estimate(value, drawn, clusters=int(self.counted[self.names.index(bottom)]))

    def ratios(self, top: str, bottom: str) -> tuple[float, Array]:
        """The same as it is, and in each replicate."""
        upper, lower = self.names.index(top), self.names.index(bottom)
        return float(_over(self.whole[upper], self.whole[lower])), _over(self.drawn[:, upper], self.drawn[:, lower])


def totals_of(
    dexes: Iterable[tuple[Array, Array]], names: Sequence[str], *, key_at: Mapping[Any, int]
) -> dict[Any, Totals]:
    """The totals of each key that has any, from each dex's weights and sums: clusters x keys x names."""
    shape = len(key_at), len(names)
    whole, drawn, counted = np.zeros(shape), np.zeros((REPLICATES, *shape)), np.zeros(shape, dtype=np.int64)
    for weights, cells in dexes:
        whole += cells.sum(axis=0)
        drawn += np.tensordot(weights, cells, axes=1)
        counted += (cells != 0).sum(axis=0)
    return {
        key: Totals(tuple(names), whole[at], drawn[:, at], counted[at]) for key, at in key_at.items() if counted[at, 0]
    }


def _over(upper: Any, lower: Any) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(lower == 0, np.nan, upper / lower)
