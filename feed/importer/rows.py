"""Rows of two clocks, as Parquet or CSV: the block time of a book, and when it was received with oracle and mark."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from feed.importer.lines import Advance, Line
from feed.wire import Bbo, Ctx, Level
from hip3_tasks.errors import MalformedFrame, Unavailable

REQUIRED = ("coin", "block_time_ms", "received_ms", "bid_px", "bid_sz", "ask_px", "ask_sz", "oracle_px")
OPTIONAL = ("mark_px", "mid_px", "impact_bid_px", "impact_ask_px")
ENDINGS = (".parquet", ".csv", ".csv.gz", ".csv.zst")
BATCH_ROWS = 50_000


def row_lines(path: Path, advance: Advance) -> Iterator[Line]:
    """The rows of a file. Raises Unavailable for one that cannot be read, or lacks a column."""
    size = path.stat().st_size
    try:
        is_csv = path.suffix != ".parquet"
        rows = pl.read_csv(path, infer_schema=False) if is_csv else pl.read_parquet(path, glob=False)
    except pl.exceptions.PolarsError as error:
        raise Unavailable(f"{path}: {str(error).splitlines()[0][:200]}") from None
    lacking = [name for name in REQUIRED if name not in rows.columns]
    if lacking:
        raise Unavailable(f"{path}: no column {', '.join(lacking)}; the columns are {', '.join(REQUIRED + OPTIONAL)}")
    rows = rows.select(name for name in REQUIRED + OPTIONAL if name in rows.columns)
    for number, row in enumerate(rows.iter_rows(named=True), 2 if is_csv else 1):
        if number % BATCH_ROWS == 0:
            advance(size * BATCH_ROWS / len(rows))
        try:
            yield read_row(number, row)
        except (ValueError, TypeError) as error:
            yield Line(number, MalformedFrame(f"bad_row, {error}", row))
    advance(size * (len(rows) % BATCH_ROWS) / max(1, len(rows)))


def read_row(number: int, row: dict[str, Any]) -> Line:
    """Raises ValueError or TypeError."""
    coin, at_ms = str(row["coin"]), int(row["received_ms"])
    px = {name: _positive(row.get(name)) for name in (*REQUIRED[3:], *OPTIONAL)}
    bid, ask = _level(px["bid_px"], px["bid_sz"]), _level(px["ask_px"], px["ask_sz"])
    bbo = Bbo(coin, int(row["block_time_ms"]), bid, ask)
    ctx = Ctx(coin, px["oracle_px"], *(px[name] for name in OPTIONAL))
    if not 10**12 <= at_ms < 10**13 or not 10**12 <= bbo.time_ms < 10**13:
        raise ValueError("an instant that is not in ms since 1970")
    return Line(number, (bbo, ctx), at_ms, is_received=True, channel="rows")


def _level(px: float | None, sz: float | None) -> Level | None:
    if (px is None) != (sz is None):
        raise ValueError("a price without a size, or a size without a price")
    return None if px is None or sz is None else Level(px, sz)


def _positive(value: Any) -> float | None:
    if value is None or value == "":
        return None
    number = float(value)
    if not 0 < number < float("inf"):
        raise ValueError(f"not a positive number: {value!r}")
    return number
