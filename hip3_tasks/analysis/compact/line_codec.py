"""Lossless conversion between JSON lines and DataFrame rows.

A line of an earlier release ends before the fields that came later. LINE_FIELDS counts the fields of each row's line,
so that a line is given back without those that it did not have.
"""

from collections.abc import Iterator
from itertools import repeat
from pathlib import Path

import polars as pl

from hip3_tasks.analysis.loading.jsonl import Schema
from hip3_tasks.analysis.loading.schemas import columns_of
from hip3_tasks.domain.records import Record, line_of
from hip3_tasks.files.line_reader import blocks

BLOCK_BYTES = 8 << 20
"""Larger blocks are read no faster."""
SLICE_ROWS = 65_536
LINE_FIELDS = "line_fields"
"""The column with the number of fields of each line. A file whose lines all have the same fields does not need it."""

# polars reports some damaged files as a panic inside of it.
UNREADABLE = pl.exceptions.PolarsError, pl.exceptions.PanicException


def schema_of(record: type[Record]) -> Schema:
    """The columns of `rows_of`: all fields of a kind of record, then LINE_FIELDS."""
    return columns_of(record) | {LINE_FIELDS: pl.Int64()}


def columns_for(record: type[Record], layouts: set[int]) -> list[str]:
    """The columns that give back all lines of these numbers of fields."""
    names = list(columns_of(record))[: max(layouts, default=None)]
    return [*names, LINE_FIELDS] if len(layouts) > 1 else names


def rows_of(lines: bytes, record: type[Record]) -> pl.DataFrame:
    """Complete lines as rows, in order. Raises PolarsError for a line that is not JSON or does not fit the columns."""
    rows = pl.read_ndjson(lines, schema=columns_of(record), ignore_errors=False)
    return rows.with_columns(_line_fields(lines, record).alias(LINE_FIELDS))


def lines_of(rows: pl.DataFrame) -> Iterator[bytes]:
    """The line of each row, without its end: its columns in their order, as `Record.line` writes them."""
    names = [name for name in rows.columns if name != LINE_FIELDS]
    counts = rows[LINE_FIELDS].to_list() if LINE_FIELDS in rows.columns else repeat(len(names), len(rows))
    each = zip(*(rows[name].to_list() for name in names), strict=True)
    for count, values in zip(counts, each, strict=True):
        yield line_of(dict(zip(names[:count], values, strict=False)))[:-1]


def read_slices(path: Path) -> Iterator[pl.DataFrame]:
    """The rows of a Parquet file, SLICE_ROWS at a time. Raises UNREADABLE."""
    file = pl.scan_parquet(path, glob=False)
    for start in range(0, file.select(pl.len()).collect().item(), SLICE_ROWS):
        yield file.slice(start, SLICE_ROWS).collect()


def first_altered(fd: int, end: int, record: type[Record]) -> tuple[int, bytes] | None:
    """Number and text of the first line that conversion to a row and back alters; None if there is none."""
    number = 0
    for block in blocks(fd, 0, end, BLOCK_BYTES):
        lines = block.split(b"\n")[:-1]
        if _converted(block, record) != lines:
            for line_number, line in enumerate(lines, number + 1):
                if _converted(line + b"\n", record) != [line]:
                    return line_number, line
        number += len(lines)
    return None


def _converted(lines: bytes, record: type[Record]) -> list[bytes] | None:
    try:
        return list(lines_of(rows_of(lines, record)))
    except pl.exceptions.PolarsError:
        return None


def _line_fields(lines: bytes, record: type[Record]) -> pl.Expr:
    """The number of fields of each line, as far as the first later field of each release tells it."""
    names = list(columns_of(record))
    counts = [*record.RELEASED, len(names)]
    later = [b',"%s":' % names[count].encode() for count in record.RELEASED]
    having = [lines.count(text) for text in later]
    if all(number in (0, lines.count(b"\n")) for number in having):
        return pl.lit(counts[sum(map(bool, having))], pl.Int64())
    each = [counts[sum(text in line for text in later)] for line in lines.split(b"\n")[:-1]]
    return pl.lit(pl.Series(each, dtype=pl.Int64()))
