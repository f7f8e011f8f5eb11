"""Category codes: the integers by which polars stores the values of a Categorical or Enum column, used as indices."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from hip3_tasks.analysis.loading.schemas import SIDE
from hip3_tasks.domain.edge import Side
from hip3_tasks.stats.bootstrap import Array, Integers


def codes(column: pl.Series) -> Integers:
    """The code of each row; unsigned integers, (rows,)."""
    return column.to_physical().to_numpy()


def are_buys(side: pl.Series) -> npt.NDArray[np.bool_]:
    """Whether each row of a column of sides is a buy; bool, (rows,)."""
    buys: npt.NDArray[np.bool_] = codes(side) == SIDE.categories.index_of(Side.BUY.value)
    return buys


def labels(name: str, kind: pl.DataType) -> pl.Expr:
    """A column of codes as the categories that they stand for."""
    return pl.col(name).cast(pl.UInt32).cat.to(kind)


@dataclass(frozen=True, slots=True)
class ByCode:
    """A value for each code, and a default for every other code."""

    values: Array
    """Indexed by code; the last element is the default; float64, (codes + 1,)."""

    @classmethod
    def from_columns(cls, keys: pl.Series, values: pl.Series, *, default: float) -> Self:
        indices = codes(keys)
        table = np.full(int(indices.max(initial=0)) + 2, default)
        table[indices] = values.to_numpy()
        return cls(table)

    def __getitem__(self, indices: Integers) -> Array:
        """The value of each code; float64, (rows,)."""
        return np.take(self.values, indices, mode="clip")
