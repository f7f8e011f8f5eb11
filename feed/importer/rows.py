"""Rows of two clocks, as Parquet or CSV: the block time of a book, and when it was received with oracle and mark."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import closing
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import polars as pl

from feed.importer.lines import UNREADABLE_FROM, Advance, Line, numbered, unpacked
from feed.wire import Bbo, Ctx, Level
from hip3_tasks.errors import MalformedFrame, Unavailable

REQUIRED = ("coin", "block_time_ms", "received_ms", "bid_px", "bid_sz", "ask_px", "ask_sz", "oracle_px")
OPTIONAL = ("mark_px", "mid_px", "impact_bid_px", "impact_ask_px")
ENDINGS = (".parquet", ".csv", ".csv.gz", ".csv.zst")
BATCH_ROWS = 50_000

Row = dict[str, Any] | MalformedFrame


def row_lines(path: Path, advance: Advance) -> Iterator[Line]:
    """The rows of a file. Raises Unavailable for one that cannot be read, or lacks a column."""
    for number, row in (_parquet_rows if path.suffix.lower() == ".parquet" else _csv_rows)(path, advance):
        if isinstance(row, MalformedFrame):
            yield Line(number, row)
            continue
        try:
            yield read_row(number, row)
        except ValueError as error:
            yield Line(number, MalformedFrame(f"bad_row, {error}", row))


def _csv_rows(path: Path, advance: Advance) -> Iterator[tuple[int, Row]]:
    with path.open("rb") as raw, closing(unpacked(path, raw)) as file:
        text = TextIOWrapper(file, "utf-8-sig", errors="replace", newline="")
        rows = numbered(csv.reader(text), raw, advance)
        _, header = next(rows, (1, []))
        if isinstance(header, MalformedFrame):
            raise Unavailable(f"{path}: {header.kind}")
        header = [name.strip() for name in header]
        _require_columns(path, header)
        for number, row in rows:
            if isinstance(row, MalformedFrame):
                yield number, row
            elif len(row) == len(header):
                yield number, dict(zip(header, row, strict=True))
            elif row:
                yield number, MalformedFrame(f"bad_row, {len(row)} values for {len(header)} columns", row)


def _parquet_rows(path: Path, advance: Advance) -> Iterator[tuple[int, Row]]:
    frame = pl.scan_parquet(path, glob=False)
    try:
        rows, columns = frame.select(pl.len()).collect().item(), frame.collect_schema().names()
    except pl.exceptions.PolarsError as error:
        raise Unavailable(f"{path}: {str(error).splitlines()[0][:200]}") from None
    _require_columns(path, columns)
    frame = frame.select(name for name in REQUIRED + OPTIONAL if name in columns)
    size, first = path.stat().st_size, 0
    try:
        # Slices hold less than `collect_batches`, which decodes row groups ahead: 103 MB instead of 267.
        for first in range(0, rows, BATCH_ROWS):
            batch = frame.slice(first, BATCH_ROWS).collect()
            yield from enumerate(batch.iter_rows(named=True), first + 1)
            advance(size * len(batch) / rows)
    except pl.exceptions.PolarsError as error:
        yield first + 1, MalformedFrame(f"{UNREADABLE_FROM}, {str(error).splitlines()[0][:200]}", b"")


def _require_columns(path: Path, columns: Sequence[str]) -> None:
    lacking = [name for name in REQUIRED if name not in columns]
    if lacking:
        raise Unavailable(f"{path}: no column {', '.join(lacking)}; the columns are {', '.join(REQUIRED + OPTIONAL)}")
    twice = [name for name in REQUIRED + OPTIONAL if columns.count(name) > 1]
    if twice:
        raise Unavailable(f"{path}: more than one column {', '.join(twice)}")


def read_row(number: int, row: dict[str, Any]) -> Line:
    """Raises ValueError."""
    coin, at_ms, block_ms = (
        str(row["coin"]),
        *(_instant_ms(name, row[name]) for name in ("received_ms", "block_time_ms")),
    )
    px = {name: _positive(name, row.get(name)) for name in (*REQUIRED[3:], *OPTIONAL)}
    bid, ask = _level(px["bid_px"], px["bid_sz"]), _level(px["ask_px"], px["ask_sz"])
    ctx = Ctx(coin, px["oracle_px"], *(px[name] for name in OPTIONAL))
    return Line(number, (Bbo(coin, block_ms, bid, ask), ctx), at_ms, is_received=True, channel="rows")


def _level(px: float | None, sz: float | None) -> Level | None:
    if (px is None) != (sz is None):
        raise ValueError("a price without a size, or a size without a price")
    return None if px is None or sz is None else Level(px, sz)


def _instant_ms(name: str, value: Any) -> int:
    number = _number(value)
    if number is None or not 1e12 <= number < 1e13:
        raise ValueError(f"{name} is no instant in ms since 1970: {value!r}")
    return int(number)


def _positive(name: str, value: Any) -> float | None:
    if value is None or value == "":
        return None
    number = _number(value)
    if number is None or not 0 < number < float("inf"):
        raise ValueError(f"{name} is not a positive number: {value!r}")
    return number


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None
