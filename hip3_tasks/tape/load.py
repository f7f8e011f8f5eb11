"""The kept tape as frames: the rows of its pieces, with a gap wherever the recording does not cover the time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path

import polars as pl

from hip3_tasks.domain.market import Entry, Gap
from hip3_tasks.domain.records import RulesInForce
from hip3_tasks.errors import DamagedPiece, Unavailable
from hip3_tasks.tape.columns import HOLE_SEQ, KEY, frame_of, row_of
from hip3_tasks.tape.pieces import Piece, PieceInfo, merged_rules, pieces_of

NOT_RECORDED = "not recorded"


@dataclass(frozen=True, slots=True)
class Part:
    """A piece that can be read, and the hole before it, which begins at `hole_ms`."""

    piece: Piece
    info: PieceInfo
    hole_ms: int | None = None
    cause: str = NOT_RECORDED


@dataclass(frozen=True, slots=True)
class CoinRows:
    """The rows of a coin in a piece."""

    part: Part
    coin: str
    place: int
    count: int

    def __len__(self) -> int:
        return self.count

    def read(self) -> pl.DataFrame:
        """The rows in their order, without reading those of other coins. Raises DamagedPiece."""
        rows = self.part.piece.scan().slice(self.place, self.count).collect()
        if not ((rows["coin"] == self.coin).all() and rows["at_ms"].is_sorted()):
            raise DamagedPiece(f"{self.part.piece.path}: its rows are not sorted by coin and time")
        return rows


class Recording:
    """The kept tape of a directory, or of a part of its time."""

    def __init__(self, data_dir: Path, *, since_ms: int | None = None, until_ms: int | None = None) -> None:
        """Raises Unavailable when there is none. `damaged` has the pieces that cannot be read, each with the reason."""
        self.parts, self.damaged = parts_of(pieces_of(data_dir), since_ms=since_ms, until_ms=until_ms)
        if not self.parts:
            none = f"{data_dir}: no tape of this time is kept; `hip3 status` says since when"
            raise Unavailable("\n".join([*self.damaged, none]))

    @property
    def rules(self) -> list[RulesInForce]:
        return list(merged_rules(part.info for part in self.parts))

    @property
    def covered_until_ms(self) -> int:
        """Every entry up to here is known, where no hole says otherwise."""
        return self.parts[-1].info.until_ms

    @cached_property
    def row_counts(self) -> list[dict[str, int]]:
        """The number of rows of each coin, for each part."""
        return [rows_by_coin([part]) for part in self.parts]

    @cached_property
    def coins(self) -> list[str]:
        """Every coin that has a row."""
        return sorted(set().union(*self.row_counts))

    def rows(self, coins: Iterable[str]) -> Iterator[dict[str, CoinRows]]:
        """The rows of coins in each part, by time."""
        for part, counts in zip(self.parts, self.row_counts, strict=True):
            places = dict(zip(counts, accumulate(counts.values(), initial=0), strict=False))
            yield {coin: CoinRows(part, coin, places.get(coin, 0), counts.get(coin, 0)) for coin in coins}

    def last_rows(self, coin: str, at_ms: int) -> pl.DataFrame:
        """The entry of a market that is in force at an instant, and the one before it; fewer at the beginning."""
        return self.scan().filter((pl.col("coin") == coin) & (pl.col("at_ms") <= at_ms)).tail(2).collect()

    def scan(self) -> pl.LazyFrame:
        """All rows, by coin and in the order of the tape; a hole is a gap of every coin."""
        return scan_parts(self.parts, self.coins).sort(KEY)


def load_tape(
    data_dir: str | Path,
    *,
    coin: str | Sequence[str] | None = None,
    since: int | None = None,
    until: int | None = None,
) -> pl.LazyFrame:
    """The kept tape of a data directory: a row for each entry, by coin and time; see docs/tape.md for the columns.

    `since` and `until` are instants in ms (UTC epoch); the state in force at `since` stands in rows before it, at most
    30 s earlier. A row with a `gap` has no prices: from then on, until the coin's next row, nothing is known. Raises
    Unavailable when no tape is kept there.
    """
    rows = Recording(Path(data_dir), since_ms=since, until_ms=until).scan()
    if coin is not None:
        rows = rows.filter(pl.col("coin").is_in([coin] if isinstance(coin, str) else list(coin)))
    if since is not None:
        rows = rows.filter(pl.col("at_ms") >= since)
    return rows if until is None else rows.filter(pl.col("at_ms") < until)


def parts_of(
    pieces: Sequence[Piece], *, since_ms: int | None = None, until_ms: int | None = None
) -> tuple[list[Part], list[str]]:
    """The pieces that can be read and touch the time, with the holes between them; and the damaged ones."""
    parts: list[Part] = []
    damaged: list[str] = []
    cause = NOT_RECORDED
    for piece in pieces:
        if (since_ms is not None and piece.end_ms <= since_ms) or (until_ms is not None and piece.start_ms >= until_ms):
            continue
        try:
            info = piece.info()
        except DamagedPiece as error:
            damaged.append(str(error))
            cause = f"{NOT_RECORDED}: {piece.path.name} is damaged"
            continue
        next_ms = parts[-1].info.until_ms + 1 if parts else info.from_ms
        parts.append(Part(piece, info, next_ms if next_ms < info.from_ms else None, cause))
        cause = NOT_RECORDED
    return parts, damaged


def scan_parts(parts: Sequence[Part], coins: Sequence[str]) -> pl.LazyFrame:
    """The rows of pieces, and a gap of each coin for each hole; sorted within a piece only."""
    holes = [
        row_of(coin, HOLE_SEQ, Entry(part.hole_ms, Gap(part.cause)))
        for part in parts
        if part.hole_ms is not None
        for coin in coins
    ]
    return pl.concat([*([frame_of(holes).lazy()] if holes else []), *(part.piece.scan() for part in parts)])


def rows_by_coin(parts: Sequence[Part]) -> dict[str, int]:
    """The number of rows of each coin, in the order of the coins."""
    coins = pl.concat(part.piece.scan().select("coin") for part in parts)
    return dict(coins.group_by("coin").len().sort("coin").collect().iter_rows())


def batches(coins: Iterable[str], rows: Mapping[str, int], *, max_rows: int) -> Iterator[list[str]]:
    """Coins in their order, as many at once as have at most so many rows together; one coin may have more."""
    batch: list[str] = []
    held = 0
    for coin in coins:
        if batch and held + rows.get(coin, 0) > max_rows:
            yield batch
            batch, held = [], 0
        batch.append(coin)
        held += rows.get(coin, 0)
    yield batch
