"""The states of markets on the kept tape, read as of many instants at once."""

from collections.abc import Callable, Iterator, KeysView, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from hip3_tasks.domain.market import Entry
from hip3_tasks.errors import DamagedPiece
from hip3_tasks.tape.columns import entry_of, is_hole
from hip3_tasks.tape.load import Part, Recording, batches, rows_by_coin

TOUCH = ("bid_px", "bid_sz", "ask_px", "ask_sz")
MAX_ROWS = 2_000_000
"""Rows of a piece that are read at once, some 100 MB."""

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.integer[Any]]


def places_as_of(at_ms: Integers, instants_ms: Sequence[int] | Integers) -> Integers:
    """The places of a coin's newest rows, given their times, as of instants; (instants,); -1 where there is none."""
    return np.searchsorted(at_ms, instants_ms, side="right") - 1


def entries_as_of(rows: pl.DataFrame, instants_ms: Sequence[int], *, before: Entry | None) -> Iterator[Entry | None]:
    """The entries in force at instants; `before` was in force before the first row. None in a hole."""
    places = places_as_of(rows["at_ms"].to_numpy(), instants_ms)
    present = iter(rows[places[places >= 0]].rows())
    for place in places.tolist():
        if place < 0:
            yield before
        else:
            row = next(present)
            yield None if is_hole(row) else entry_of(row)


@dataclass(frozen=True, slots=True)
class Touches:
    """The best prices and sizes of one market at instants; float64, (instants,). NaN: an empty side, or unknown."""

    is_known: npt.NDArray[np.bool_]
    """False in a gap, in a hole of the recording, and outside of it; bool, (instants,)."""
    bid_px: Floats
    bid_sz: Floats
    ask_px: Floats
    ask_sz: Floats


def touches_as_of(
    recording: Recording, instants_ms: Mapping[str, Integers], advance: Callable[[int], object] = lambda _: None
) -> dict[str, Touches]:
    """The touch of each market at instants, in any order, read in one pass; a piece that cannot be read is a hole.

    `advance` is called with the number of bytes of each piece that has been read.
    """
    tables = {coin: np.full((1 + len(TOUCH), len(at_ms)), np.nan) for coin, at_ms in instants_ms.items()}
    last: dict[str, Floats] = {}
    for part in recording.parts:
        if part.hole_ms is not None:
            last.clear()
        try:
            for coin, at_ms, table in _tables(part, instants_ms.keys(), last):
                wanted_ms = instants_ms[coin]
                inside = np.flatnonzero((wanted_ms >= part.info.from_ms) & (wanted_ms <= part.info.until_ms))
                tables[coin][:, inside] = table[:, places_as_of(at_ms, wanted_ms[inside])]
                last[coin] = table[:, len(at_ms) - 1]
        except (DamagedPiece, OSError, pl.exceptions.PolarsError) as error:
            recording.damaged.append(f"{part.piece.path}: {str(error).splitlines()[0]}")
            last.clear()
        advance(part.piece.path.stat().st_size)
    return {coin: Touches(table[0] == 1, *table[1:]) for coin, table in tables.items()}


def _tables(part: Part, coins: KeysView[str], last: Mapping[str, Floats]) -> Iterator[tuple[str, Integers, Floats]]:
    """The instants of each coin's rows in a piece; and its rows as columns, after which stands the one before them."""
    nothing = np.full(1 + len(TOUCH), np.nan)
    counts = rows_by_coin([part])
    for coin in coins - counts.keys():
        yield coin, np.array([], dtype=np.int64), last.get(coin, nothing)[:, np.newaxis]
    columns = (pl.col("gap").is_null().cast(pl.Float64), *TOUCH)
    start = 0
    for batch in batches(counts, counts, max_rows=MAX_ROWS):
        size = sum(counts[coin] for coin in batch)
        if coins.isdisjoint(batch):
            start += size
            continue
        rows = part.piece.scan().slice(start, size).select("at_ms", *columns).collect()
        start += size
        at_ms, table = rows["at_ms"].to_numpy(), rows.drop("at_ms").cast(pl.Float64).to_numpy().T
        for coin, end in zip(batch, accumulate(counts[coin] for coin in batch), strict=True):
            if coin in coins:
                own = slice(end - counts[coin], end)
                if np.any(np.diff(at_ms[own]) < 0):
                    raise DamagedPiece("its rows are not sorted by coin and time")
                yield coin, at_ms[own], np.column_stack([table[:, own], last.get(coin, nothing)])
