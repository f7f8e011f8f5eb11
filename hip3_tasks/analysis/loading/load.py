"""Data directories as three tidy frames, whatever they are made of: days still being written, compacted, or foreign.

signals
    market_key          the coin
    side                buy or sell
    timestamp_ms        T0
    raw_edge_bps        the edge at T0, positive in the taker's favour
    cost_bps            raw − net edge: taker fee + slippage
    threshold_bps       what the edge had to reach; null in foreign files without it
    due                 how many follow-ups it is owed; null in foreign files that do not say

followups, one row for each signal and offset
    market_key, side, signal_timestamp_ms
    offset_ms           the horizon
    lateness_ms         captured − due: the queue's, not the market's
    t0_raw_edge_bps     the edge at T0
    raw_edge_bps        the edge at T0 + offset, on the signal's side
    market_part_bps     move of the touch, signed so that + is the book coming to the oracle
    oracle_part_bps     move of the oracle, signed so that + is the oracle coming to the book
    markout_bps         move of the mid, signed by side; null when a book was one-sided, or in foreign files without it

missed
    market_key, side, signal_timestamp_ms, offset_ms, reason
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from hip3_tasks.analysis.compact.external_sort import GROUP_ROWS
from hip3_tasks.analysis.loading.jsonl import Advance, JsonLines
from hip3_tasks.analysis.loading.prefetch import THREADS, ahead
from hip3_tasks.analysis.loading.quality import NAMED_MOST, FileNote, Notes
from hip3_tasks.analysis.loading.schemas import KEY, KINDS, Kind
from hip3_tasks.analysis.loading.selection import Selection
from hip3_tasks.analysis.loading.sources import Source, sources_of
from hip3_tasks.clock import wall_ms
from hip3_tasks.domain.records import Followed
from hip3_tasks.errors import MalformedRecord, Unavailable
from hip3_tasks.files.day_files import WATCHED, jsonl_path
from hip3_tasks.files.line_reader import read_from
from hip3_tasks.nearest import nearest

MERGE_ROWS = 250_000
PART_ROWS = 2 * GROUP_ROWS


@dataclass(frozen=True)
class Data:
    """What directories hold; see the head of this file for the columns."""

    signals: pl.DataFrame
    parts: Sequence["Part"]
    """The follow-ups, not too many at once."""
    missed: pl.DataFrame
    notes: Notes

    @cached_property
    def followups(self) -> pl.DataFrame:
        """Raises Unavailable where a file cannot be read."""
        return pl.concat(list(read_all(self.parts)), rechunk=False)


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows, which may not have been read yet."""

    rows: pl.LazyFrame
    what: str = ""
    """And where from."""
    size_bytes: int = 0
    """What remains to be read for it, about."""

    def read(self, *wanted: pl.Expr) -> pl.DataFrame:
        """All columns, or those wanted. Raises Unavailable where a file cannot be read."""
        try:
            return (self.rows.select(wanted) if wanted else self.rows).collect()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise Unavailable(f"{self.what}: {error}") from None


def load(
    *dirs: str | Path,
    date: str | None = None,
    since: str | None = None,
    until: str | None = None,
    coins: str | Sequence[str] = (),
    whole: bool = False,
) -> Data:
    """Read directories: all, one day, or what lies between two instants (`2026-01-20T14:30`, UTC, or `90m`, `3d` ago).

    With `whole`, every other field of the records stands beside the columns above. A line that is not in order is left
    out, counted and named in the notes; a second line of a follow-up too. Raises BadSelection, and Unavailable where
    there is nothing to read.
    """
    wanted = [coins] if isinstance(coins, str) else coins
    selection = Selection.of(date=date, since=since, until=until, coins=wanted, at_ms=wall_ms())
    data = read(sources_of(list(map(Path, dirs)), selection), selection, whole=whole)
    assert data.followups is not None  # is read here, where it may fail
    return data


def read(
    sources: Sequence[Source], selection: Selection, *, whole: bool = False, advance: Advance = lambda _: None
) -> Data:
    """As `load`, of files that were found; `advance` is told how many bytes have been read since it was last told.

    Compacted follow-ups have not been read yet.
    """
    noted = _noted(sources)
    watched = [coin for coin in sorted(noted) if selection.coins is None or coin in selection.coins] if noted else None
    notes = Notes(dirs=sorted({source.path.parent for source in sources}), watched=watched)
    reading = _Reading(selection, whole, advance, notes)
    signals, followups, missed = (reading.of(kind, [one for one in sources if one.kind == kind.name]) for kind in KINDS)
    both = followups.keyed.filter(pl.col(KEY).is_in(missed.keyed[KEY].implode()))[KEY]
    if not both.is_empty():
        notes.add_duplicates("missed", both.len())
        missed.keyed = missed.keyed.filter(~pl.col(KEY).is_in(both.implode()))
    data = Data(signals.together(advance), followups.parts(), missed.together(advance), notes)
    notes.absent_coins = _absent(data, selection.coins or (), noted)
    return data


def read_all(parts: Sequence[Part], advance: Advance = lambda _: None) -> Iterator[pl.DataFrame]:
    """One after the other, some ahead; `advance` is told how many bytes. Raises Unavailable as `Part.read`."""
    for part, rows in zip(parts, ahead(Part.read, parts, threads=THREADS, steps=THREADS), strict=True):
        yield rows
        advance(part.size_bytes)


@dataclass(slots=True)
class _Found:
    keyed: pl.DataFrame
    """Rows that may be there twice, with what tells."""
    alone: list[Part]

    def parts(self) -> list[Part]:
        keyed = self.keyed.drop(KEY).lazy()
        starts = range(0, self.keyed.height or 1, PART_ROWS)
        return [*self.alone, *(Part(keyed.slice(start, PART_ROWS)) for start in starts)]

    def together(self, advance: Advance) -> pl.DataFrame:
        return pl.concat(list(read_all(self.parts(), advance)), rechunk=False)


@dataclass(frozen=True, slots=True)
class _Reading:
    selection: Selection
    whole: bool
    advance: Advance
    notes: Notes

    def of(self, kind: Kind, sources: Sequence[Source]) -> _Found:
        """All that is asked for of a kind, each record once."""
        keyed = [kind.empty(whole=self.whole)]
        alone: list[Part] = []
        for source in sources:
            try:
                if not source.is_parquet:
                    keyed += self._of_lines(kind, source)
                elif source.is_alone:
                    alone += self._of_parquet(kind, source)
                else:
                    keyed += read_all(self._of_parquet(kind, source), self.advance)
            except FileNotFoundError:
                self.notes.files.append(FileNote(file=source.path, kind=kind.name, rows=0, gone=True))
            except OSError as error:
                raise Unavailable(f"{source.path}: {error.strerror or error}") from None
        frame = pl.concat(keyed, rechunk=False)
        distinct = frame[KEY].n_unique()
        if distinct < frame.height:
            self.notes.add_duplicates(kind.name, frame.height - distinct)
            frame = frame.filter(pl.col(KEY).is_first_distinct())
        return _Found(frame, alone)

    def _of_lines(self, kind: Kind, source: Source) -> list[pl.DataFrame]:
        lines, wants = JsonLines(source.path, source.size_bytes), self.selection.wants(kind.timestamp)

        def shape(read: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
            in_order = read.select(kind.in_order()).to_series()
            return kind.tidied(read.filter(in_order).filter(wants), whole=self.whole), in_order

        frames = list(_merged(lines.frames(kind.schema(whole=self.whole), shape, self.advance)))
        self.notes.files.append(
            FileNote(
                file=source.path,
                kind=kind.name,
                rows=sum(frame.height for frame in frames),
                broken=len(lines.broken_at),
                broken_lines=lines.line_numbers(sorted(lines.broken_at)[:NAMED_MOST]),
                torn_bytes=lines.torn_bytes,
            )
        )
        return frames

    def _of_parquet(self, kind: Kind, source: Source) -> list[Part]:
        file = pl.scan_parquet(source.path, glob=False)
        wants, what = self.selection.wants(kind.timestamp), f"{source.path}: not a Parquet file of {kind.name}"
        rows = Part(file, what).read(pl.len()).item()
        wanted = Part(file.filter(wants), what).read(pl.len()).item()
        self.notes.files.append(FileNote(file=source.path, kind=kind.name, rows=wanted))
        divided = self._divided(file, rows)
        parts = []
        for some in divided:
            read = some.filter(wants).select(*kind.schema(whole=self.whole))
            tidy = kind.tidied(read, whole=self.whole)
            parts.append(Part(tidy.drop(KEY) if source.is_alone else tidy, what, source.size_bytes // len(divided)))
        return parts

    def _divided(self, file: pl.LazyFrame, rows: int) -> list[pl.LazyFrame]:
        if self.selection.coins is None:
            return [file.slice(start, PART_ROWS) for start in range(0, rows, PART_ROWS)]
        # Of one coin only those row groups are read that may hold it.
        return [file.filter(pl.col("market_key") == coin) for coin in self.selection.coins]


def _noted(sources: Sequence[Source]) -> set[str]:
    """Coins that were noted as followed on the days that are read."""
    paths = {jsonl_path(source.path.parent, WATCHED, source.day) for source in sources}
    noted: set[str] = set()
    for path in sorted(paths):
        try:
            for line in read_from(path)[0]:
                with suppress(MalformedRecord):
                    noted.update(Followed.from_line(line).coins)
        except OSError as error:
            raise Unavailable(f"{path}: {error.strerror}") from None
    return noted


def _absent(data: Data, asked: Sequence[str], noted: set[str]) -> dict[str, str | None]:
    """The coins that no record is of, each with the one that may have been meant."""
    there = _coins(data.signals) | _coins(data.missed)
    if not there.issuperset(asked):
        there = there.union(*(_coins(part.read(pl.col("market_key").unique())) for part in data.parts))
    return {coin: nearest(coin, (noted | there) - {coin}) for coin in asked if coin not in there}


def _coins(frame: pl.DataFrame) -> set[str]:
    return set(frame["market_key"].cast(pl.String).unique())


def _merged(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The same rows in fewer frames: thousands of small columns take more memory than a few large ones."""
    small: list[pl.DataFrame] = []
    for frame in frames:
        small.append(frame)
        if sum(one.height for one in small) > MERGE_ROWS:
            yield pl.concat(small, rechunk=True)
            small = []
    yield from small
