"""Lines as rows, and rows as the very lines they were."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from hip3_tasks.analysis.loading.jsonl import Schema
from hip3_tasks.domain.records import line_of
from hip3_tasks.files.line_reader import blocks

BLOCK_BYTES = 8 << 20
"""Read no slower than more at a time."""
SLICE_ROWS = 65_536

# Of a damaged file polars may say that something inside it panicked.
UNREADABLE = pl.exceptions.PolarsError, pl.exceptions.PanicException


def rows_of(lines: bytes, schema: Schema) -> pl.DataFrame:
    """Whole lines as rows, in their order. Raises PolarsError for a line that is no JSON or has another type in it."""
    return pl.read_ndjson(lines, schema=schema, ignore_errors=False)


def lines_of(rows: pl.DataFrame) -> Iterator[bytes]:
    """The line of each row, without its end: its columns in their order, as `Record.line` writes them."""
    names = rows.columns
    for values in zip(*(column.to_list() for column in rows.get_columns()), strict=True):
        yield line_of(dict(zip(names, values, strict=True)))[:-1]


def slices_of(path: Path) -> Iterator[pl.DataFrame]:
    """The rows of a Parquet file, some at a time. Raises UNREADABLE."""
    file = pl.scan_parquet(path, glob=False)
    for start in range(0, file.select(pl.len()).collect().item(), SLICE_ROWS):
        yield file.slice(start, SLICE_ROWS).collect()


def first_unlike(fd: int, end: int, schema: Schema) -> tuple[int, bytes] | None:
    """Number and text of the first line that its row would give back otherwise; None when there is none."""
    number = 0
    for block in blocks(fd, 0, end, BLOCK_BYTES):
        lines = block.split(b"\n")[:-1]
        if _given_back(block, schema) != lines:
            for at, line in enumerate(lines, number + 1):
                if _given_back(line + b"\n", schema) != [line]:
                    return at, line
        number += len(lines)
    return None


def _given_back(lines: bytes, schema: Schema) -> list[bytes] | None:
    try:
        return list(lines_of(rows_of(lines, schema)))
    except pl.exceptions.PolarsError:
        return None
