"""The files of the kept tape: a minute, an hour or a day each, under `DATA_DIR/tape`. Only here are their names made.

    tape/2026-11-28/1405.parquet    a minute; the last one may still grow, by being replaced
    tape/2026-11-28/14.parquet      an hour, in place of its minutes
    tape/2026-11-28.parquet         a day, in place of its hours

A piece appears whole, by renaming, and says which time it covers; the names of the time alone do not. A longer piece
counts before the shorter ones in it, which a merge that died may have left.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

import polars as pl
from pydantic import BaseModel, ValidationError

from hip3_tasks.domain.capture import DAY_MS, HOUR_MS, MINUTE_MS, day_start_ms, utc_day
from hip3_tasks.domain.records import RulesInForce
from hip3_tasks.errors import DamagedPiece
from hip3_tasks.files.append_file import sync_names
from hip3_tasks.tape.columns import SCHEMA

TAPE = "tape"
PART = ".part"
META = "hip3"
FORMAT = 1
UNITS = "instants and ages in ms (UTC epoch, the feed's clock); prices and sizes as the venue sent them; bps = 1/10,000"
_NAME = re.compile(r"(\d{4}-\d{2}-\d{2})(?:/([01]\d|2[0-3])([0-5]\d)?)?\.parquet", re.ASCII)


class PieceInfo(BaseModel, frozen=True):
    """The metadata of a piece: its format, the time that it covers, and the rules in force."""

    format: int = FORMAT
    units: str = UNITS
    from_ms: int
    """The piece has every entry from here on ..."""
    until_ms: int
    """... to here, this instant included."""
    rules: tuple[RulesInForce, ...] = ()
    """The detector's rules in force at `from_ms`, and those that came into force after it."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One file, and the span of time in its name."""

    path: Path
    start_ms: int
    length_ms: int

    @property
    def end_ms(self) -> int:
        """The first instant after the span."""
        return self.start_ms + self.length_ms

    def info(self) -> PieceInfo:
        """Raises DamagedPiece."""
        try:
            info = PieceInfo.model_validate_json(pl.read_parquet_metadata(self.path)[META])
        except (OSError, pl.exceptions.PolarsError, KeyError, ValidationError) as error:
            raise DamagedPiece(f"{self.path}: {type(error).__name__}: {str(error).splitlines()[0][:200]}") from None
        if not self.start_ms <= info.from_ms <= info.until_ms + 1 <= self.end_ms:
            raise DamagedPiece(f"{self.path}: it says that it covers {info.from_ms} to {info.until_ms}")
        return info

    def scan(self) -> pl.LazyFrame:
        """Its rows; columns that a file of an earlier version lacks are null."""
        frame = pl.scan_parquet(self.path, glob=False)
        present = frame.collect_schema()
        return frame.select(
            pl.col(name) if name in present else pl.lit(None, kind).alias(name) for name, kind in SCHEMA.items()
        )


def minute_path(data_dir: Path, at_ms: int) -> Path:
    minute = at_ms % DAY_MS // MINUTE_MS
    return data_dir / TAPE / utc_day(at_ms) / f"{minute // 60:02}{minute % 60:02}.parquet"


def hour_path(data_dir: Path, at_ms: int) -> Path:
    return data_dir / TAPE / utc_day(at_ms) / f"{at_ms % DAY_MS // HOUR_MS:02}.parquet"


def day_path(data_dir: Path, at_ms: int) -> Path:
    return data_dir / TAPE / f"{utc_day(at_ms)}.parquet"


def all_pieces(data_dir: Path) -> list[Piece]:
    """Every piece of a directory, by time; of two that begin together, the longer one is first."""
    folder = data_dir / TAPE
    paths = [*folder.glob("*.parquet"), *folder.glob("*/*.parquet")]
    return sorted(filter(None, map(_piece, paths)), key=lambda piece: (piece.start_ms, -piece.length_ms))


def pieces_of(data_dir: Path) -> list[Piece]:
    """The pieces that count, by time: those that no longer one stands for."""
    counting: list[Piece] = []
    for piece in all_pieces(data_dir):
        if not counting or piece.start_ms >= counting[-1].end_ms:
            counting.append(piece)
    return counting


def _piece(path: Path) -> Piece | None:
    name = path.name if path.parent.name == TAPE else f"{path.parent.name}/{path.name}"
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    day, hour, minute = match.groups()
    try:
        start_ms = day_start_ms(day)
    except ValueError:  # a day that does not exist
        return None
    length_ms = DAY_MS if hour is None else HOUR_MS if minute is None else MINUTE_MS
    return Piece(path, start_ms + int(hour or 0) * HOUR_MS + int(minute or 0) * MINUTE_MS, length_ms)


def write_piece(path: Path, rows: pl.LazyFrame | pl.DataFrame, info: PieceInfo, *, level: int, group_rows: int) -> None:
    """Write a piece whole and durable, or not at all. Raises OSError or PolarsError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(PART)
    try:
        rows.lazy().sink_parquet(
            part,
            compression="zstd",
            compression_level=level,
            row_group_size=group_rows,
            metadata={META: info.model_dump_json()},
        )
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)  # on a full disk it would take the room of others
        raise
    sync_names(path.parent)


def remove_parts(data_dir: Path) -> None:
    """Remove files that a recorder did not finish before it died."""
    for path in [*(data_dir / TAPE).glob(f"**/*{PART}")]:
        if path.is_dir():
            rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def rules_between(rules: Sequence[RulesInForce], from_ms: int, until_ms: int) -> tuple[RulesInForce, ...]:
    """The rules in force at an instant, and those that came into force until another; `rules` by time."""
    before = [line for line in rules if line.from_ms <= from_ms]
    return (*before[-1:], *(line for line in rules if from_ms < line.from_ms <= until_ms))


def merged_rules(pieces: Iterable[PieceInfo]) -> Iterator[RulesInForce]:
    """The rules of pieces in the order of time, each once."""
    last: RulesInForce | None = None
    for info in pieces:
        for line in info.rules:
            if last is None or (line.from_ms > last.from_ms and line != last):
                last = line
                yield line
