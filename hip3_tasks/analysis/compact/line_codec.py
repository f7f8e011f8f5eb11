"""Lossless conversion between JSON lines and DataFrame rows."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from hip3_tasks.analysis.loading.jsonl import Schema
from hip3_tasks.domain.records import line_of
from hip3_tasks.files.line_reader import blocks

BLOCK_BYTES = 8 << 20
"""Larger blocks are read no faster."""
SLICE_ROWS = 65_536

# polars reports some damaged files as a panic inside of it.
UNREADABLE = pl.exceptions.PolarsError, pl.exceptions.PanicException


def rows_of(lines: bytes, schema: Schema) -> pl.DataFrame:
    """Complete lines as rows, in order. Raises PolarsError for a line that is not JSON or does not fit the schema."""
    return pl.read_ndjson(lines, schema=schema, ignore_errors=False)


def lines_of(rows: pl.DataFrame) -> Iterator[bytes]:
    """The line of each row, without its end: its columns in their order, as `Record.line` writes them."""
    names = rows.columns
    for values in zip(*(column.to_list() for column in rows.get_columns()), strict=True):
        yield line_of(dict(zip(names, values, strict=True)))[:-1]


def read_slices(path: Path) -> Iterator[pl.DataFrame]:
    """The rows of a Parquet file, SLICE_ROWS at a time. Raises UNREADABLE."""
    file = pl.scan_parquet(path, glob=False)
    for start in range(0, file.select(pl.len()).collect().item(), SLICE_ROWS):
        yield file.slice(start, SLICE_ROWS).collect()


def first_altered(fd: int, end: int, schema: Schema) -> tuple[int, bytes] | None:
    """Number and text of the first line that conversion to a row and back alters; None if there is none."""
    number = 0
    for block in blocks(fd, 0, end, BLOCK_BYTES):
        lines = block.split(b"\n")[:-1]
        if _converted(block, schema) != lines:
            for line_number, line in enumerate(lines, number + 1):
                if _converted(line + b"\n", schema) != [line]:
                    return line_number, line
        number += len(lines)
    return None


def _converted(lines: bytes, schema: Schema) -> list[bytes] | None:
    try:
        return list(lines_of(rows_of(lines, schema)))
    except pl.exceptions.PolarsError:
        return None
