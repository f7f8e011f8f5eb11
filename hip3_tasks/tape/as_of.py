"""The states of one market in a piece of the tape, read as of many instants at once."""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from hip3_tasks.domain.market import Entry
from hip3_tasks.tape.columns import entry_of, is_hole


def places_as_of(rows: pl.DataFrame, instants_ms: Sequence[int] | np.ndarray) -> np.ndarray:
    """The places of a coin's newest rows at or before instants, int64 (instants,); -1 where there is none."""
    return np.searchsorted(rows["at_ms"].to_numpy(), instants_ms, side="right") - 1


def entries_as_of(rows: pl.DataFrame, instants_ms: Sequence[int], *, before: Entry | None) -> Iterator[Entry | None]:
    """The entries in force at instants; `before` was in force before the first row. None in a hole."""
    places = places_as_of(rows, instants_ms)
    present = iter(rows[places[places >= 0]].rows())
    for place in places.tolist():
        if place < 0:
            yield before
        else:
            row = next(present)
            yield None if is_hole(row) else entry_of(row)
