"""Data directories as three frames: days that are being written, compacted days, and files of other programs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from html import escape
from pathlib import Path
from typing import NamedTuple

import polars as pl

from hip3_tasks.analysis.loading.jsonl import THREADS, Advance, JsonLines, map_ahead
from hip3_tasks.analysis.loading.quality import MAX_NAMED_LINES, DataQuality, FileQuality
from hip3_tasks.analysis.loading.schemas import KEY, ROW_GROUP_ROWS, SCHEMAS, RecordSchema
from hip3_tasks.analysis.loading.selection import Selection
from hip3_tasks.analysis.loading.sources import SourceFile, followed_coins, list_sources
from hip3_tasks.clock import wall_ms
from hip3_tasks.errors import Unavailable
from hip3_tasks.files.day_files import unread_sentence
from hip3_tasks.terminal_text import nearest, printable, utc_minute

MERGE_ROWS = 250_000
CHUNK_ROWS = 2 * ROW_GROUP_ROWS


@dataclass(frozen=True, repr=False)
class Data:
    """The records of data directories; `load` documents the columns."""

    signals: pl.DataFrame
    chunks: list["LazyChunk"]
    """The follow-ups, at most CHUNK_ROWS in a chunk, unless the selection names coins."""
    missed: pl.DataFrame
    notes: DataQuality

    @cached_property
    def followups(self) -> pl.DataFrame:
        """All follow-ups in one frame. Raises Unavailable when a file cannot be read."""
        return _with_id_and_time(pl.concat(list(read_all(self.chunks)), rechunk=False), "signal_timestamp_ms")

    def __repr__(self) -> str:
        return f"Data({', '.join(self._contents())})"

    def _repr_html_(self) -> str:
        """The same for a notebook, and what was left out."""
        lines = [f"<b>{', '.join(self._contents())}</b>", *map(escape, map(printable, self.notes.sentences()))]
        return "<br>".join(lines)

    def _contents(self) -> list[str]:
        sizes = {"signals": self.signals, "follow-ups": self.followups, "missed": self.missed}
        first_ms, last_ms = self.signals["timestamp_ms"].min(), self.signals["timestamp_ms"].max()
        span = [f"{utc_minute(first_ms)} to {utc_minute(last_ms)}"] if isinstance(last_ms, int) else []  # type: ignore[arg-type]
        markets = f"{self.signals['market_key'].n_unique():,} markets"
        return [*(f"{frame.height:,} {name}" for name, frame in sizes.items()), markets, *span]


@dataclass(frozen=True, slots=True)
class LazyChunk:
    """Rows that may not have been read yet."""

    rows: pl.LazyFrame
    source: str = ""
    """The file and the kind of its rows: the prefix of the error message."""
    size_bytes: int = 0
    """The approximate number of bytes that are still to read."""

    def read(self, *columns: pl.Expr) -> pl.DataFrame:
        """All columns, or those given. Raises Unavailable when the file cannot be read."""
        try:
            return (self.rows.select(columns) if columns else self.rows).collect()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise Unavailable(f"{self.source}: {error}") from None


def load(
    *dirs: str | Path | Sequence[str | Path],
    date: str | date | None = None,
    since: str | date | None = None,
    until: str | date | None = None,
    coins: str | Sequence[str] = (),
    all_fields: bool = False,
    whole: bool = False,
) -> Data:
    """Load the signals, follow-ups and missed captures of data directories, each record once.

    dirs        data directories, or lists of them, with JSON lines, Parquet, or both; `~` is the home directory. None:
                HIP3_DATA_DIR, as with the command
    date        signals of this UTC day, as in `2026-01-20`, or a `date`
    since       signals at or after this instant: ISO 8601, in UTC by default (`2026-01-20T14:30`), `90m`, `3d` ago, or
                a `datetime`
    until       signals before this instant
    coins       signals of these markets, as in `xyz:TSLA`
    all_fields  add all other fields of the records to the columns below
    whole       the name of `all_fields` in version 0.1.0

    Invalid lines and repeated ones are left out and counted in `notes`. Raises BadSelection; Unavailable when no file
    holds the selection, or one cannot be read.

    signals, followups and missed
        signal_id           market_key-timestamp_ms, the same in all frames
        timestamp, signal_timestamp    T0 as a time in UTC, beside the same in ms

    signals
        market_key          the coin
        side                buy or sell
        timestamp_ms        T0
        raw_edge_bps        the edge at T0, positive in the taker's favour
        cost_bps            raw − net edge: taker fee + slippage
        threshold_bps       the edge that a signal had to reach; null if a foreign file lacks it
        expected            the number of expected follow-ups; null if a foreign file lacks it
        taker_fee_bps       the fee in force; null in lines of version 0.1.0
        touch_usd           the notional of the touch, best_px x best_size; null if a foreign file lacks it
        oracle_age_ms       time since the oracle changed; null as above
        lag_ms              from the book's block to its receipt; null as above, and where it is not known
        spread_bps          of the book, as a share of its mid; null as above, and where the book was one-sided
        trigger             the channel that made the signal, bbo or ctx; null in lines of version 0.1.0
        best_px             the price of the touch; null if a foreign file lacks it

    followups, one row for each signal and offset
        market_key, side, signal_timestamp_ms
        offset_ms           the horizon
        lateness_ms         captured − due: caused by the queue, not by the market
        t0_raw_edge_bps     the edge at T0
        raw_edge_bps        the edge at T0 + offset, on the signal's side
        market_part_bps     move of the touch, positive towards the oracle
        oracle_part_bps     move of the oracle, positive towards the touch
        markout_bps         move of the mid, signed by side; null if a book was one-sided, or a foreign file lacks it
        exit_move_bps       move from the touch of T0 to the other touch of T0 + offset, signed by side: what a trade
                            that got in at T0 brings before costs; null as above
        touch_usd           the notional of the touch, best_px x best_size
        exit_usd            the notional of the other touch; null as above

    missed
        market_key, side, signal_timestamp_ms, offset_ms, reason
    """
    words = [coins] if isinstance(coins, str) else coins
    selection = Selection.from_options(date=date, since=since, until=until, coins=words, at_ms=wall_ms())
    paths = [
        Path(item).expanduser() for group in dirs for item in ([group] if isinstance(group, str | Path) else group)
    ]
    if not paths:
        from hip3_tasks import settings  # needed by no other path through the analysis

        paths = [settings.load().data_dir]
    data = read(list_sources(paths, selection), selection, all_fields=all_fields or whole)
    _ = data.followups  # read here, so that `load` raises what reading raises
    signals = _with_id_and_time(data.signals, "timestamp_ms")
    loaded = replace(data, signals=signals, missed=_with_id_and_time(data.missed, "signal_timestamp_ms"))
    loaded.__dict__["followups"] = data.followups
    return loaded


def _with_id_and_time(frame: pl.DataFrame, time_ms: str) -> pl.DataFrame:
    """Rows for a notebook: T0 as a time, and the signal's id, which takes more memory than all else in a row."""
    time = pl.col(time_ms).cast(pl.Datetime("ms", "UTC")).alias(time_ms.removesuffix("_ms"))
    signal_id = pl.format("{}-{}", pl.col("market_key").cast(pl.String), pl.col(time_ms)).alias("signal_id")
    return frame.with_columns(time, *([] if "signal_id" in frame.columns else [signal_id]))


class Unread(NamedTuple):
    """Files whose records need not be read: the number of rows in each, and the coins in all of them."""

    rows: Mapping[Path, int] = {}
    coins: frozenset[str] = frozenset()


NOTHING = Unread()


def read(
    sources: Sequence[SourceFile],
    selection: Selection,
    *,
    all_fields: bool = False,
    unread: Unread = NOTHING,
    advance: Advance = lambda _: None,
) -> Data:
    """Read listed files as `load` does, but leave unread the compacted follow-ups that need no comparison.

    Raises Unavailable.
    """
    followed, heard = followed_coins(sources)
    dirs = sorted({source.path.parent for source in sources})
    quality = DataQuality(dirs=dirs, unread=[text for path in dirs if (text := unread_sentence(path))])
    loader = _Loader(selection, all_fields, unread.rows, advance, quality)
    signals, followups, missed = (loader.load(schema, sources) for schema in SCHEMAS)
    both = followups.may_repeat.filter(pl.col(KEY).is_in(missed.may_repeat[KEY].implode()))[KEY]
    if not both.is_empty():
        quality.add_duplicates("missed", both.len())
        missed.may_repeat = missed.may_repeat.filter(~pl.col(KEY).is_in(both.implode()))
    data = Data(signals.concat(advance), followups.chunks(), missed.concat(advance), quality)
    # A coin of which there is a record was heard, also between two lines of the feed.
    heard |= followed & (_coins(data.signals) | _coins(data.missed) | unread.coins)
    selected = followed if selection.coins is None else followed.intersection(selection.coins)
    quality.watched = sorted(selected & heard) if followed else None
    quality.never_heard = sorted(selected - heard)
    quality.absent_coins = _absent_coins(data, selection.coins or (), followed)
    return data


def read_all(chunks: Iterable[LazyChunk], advance: Advance = lambda _: None) -> Iterator[pl.DataFrame]:
    """Read chunk after chunk, some ahead. Raises Unavailable as `LazyChunk.read`."""
    sized = map_ahead(lambda chunk: (chunk.read(), chunk.size_bytes), chunks, threads=THREADS, steps=THREADS)
    for rows, size_bytes in sized:
        yield rows
        advance(size_bytes)


def drained(chunks: list[LazyChunk]) -> Iterator[LazyChunk]:
    """Take the chunks out of their list, so that each may be forgotten once it is read."""
    chunks.reverse()
    while chunks:
        yield chunks.pop()


@dataclass(slots=True)
class _Loaded:
    may_repeat: pl.DataFrame
    """Rows that another source may repeat, with KEY."""
    unique: list[LazyChunk]

    def chunks(self) -> list[LazyChunk]:
        rows = self.may_repeat.drop(KEY)
        starts = range(0, rows.height or 1, CHUNK_ROWS)
        return [*self.unique, *(LazyChunk(rows.slice(start, CHUNK_ROWS).lazy()) for start in starts)]

    def concat(self, advance: Advance) -> pl.DataFrame:
        return pl.concat(list(read_all(self.chunks(), advance)), rechunk=False)


@dataclass(frozen=True, slots=True)
class _Loader:
    selection: Selection
    all_fields: bool
    unread: Mapping[Path, int]
    advance: Advance
    quality: DataQuality

    def load(self, schema: RecordSchema, sources: Sequence[SourceFile]) -> _Loaded:
        """All selected records of a kind, each once."""
        may_repeat = [schema.empty(all_fields=self.all_fields)]
        unique: list[LazyChunk] = []
        for source in sources:
            if source.kind != schema.name:
                continue
            if source.path in self.unread:
                counted = FileQuality(file=source.path, kind=schema.name, rows=self.unread[source.path])
                self.quality.files.append(counted)
                continue
            try:
                if not source.is_parquet:
                    may_repeat += self._read_lines(schema, source)
                elif source.is_only_copy:
                    unique += self._scan_parquet(schema, source)
                else:
                    may_repeat += read_all(self._scan_parquet(schema, source), self.advance)
            except FileNotFoundError:
                self.quality.files.append(FileQuality(file=source.path, kind=schema.name, rows=0, gone=True))
            except OSError as error:
                raise Unavailable(f"{source.path}: {error.strerror or error}") from None
        rows = pl.concat(may_repeat, rechunk=False)
        distinct = rows[KEY].n_unique()
        if distinct < rows.height:
            self.quality.add_duplicates(schema.name, rows.height - distinct)
            rows = rows.filter(pl.col(KEY).is_first_distinct())
        return _Loaded(rows, unique)

    def _read_lines(self, schema: RecordSchema, source: SourceFile) -> list[pl.DataFrame]:
        lines, condition = JsonLines(source.path, source.size_bytes), self.selection.condition(schema.timestamp)

        def project(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
            is_valid = rows.select(schema.is_valid()).to_series()
            return schema.project(rows.filter(is_valid).filter(condition), all_fields=self.all_fields), is_valid

        frames = list(_merge(lines.frames(schema.fields(all_fields=self.all_fields), project, self.advance)))
        self.quality.files.append(
            FileQuality(
                file=source.path,
                kind=schema.name,
                rows=sum(frame.height for frame in frames),
                broken=len(lines.broken_at),
                broken_lines=lines.line_numbers(sorted(lines.broken_at)[:MAX_NAMED_LINES]),
                torn_bytes=lines.torn_bytes,
            )
        )
        return frames

    def _scan_parquet(self, schema: RecordSchema, source: SourceFile) -> list[LazyChunk]:
        file, condition = pl.scan_parquet(source.path, glob=False), self.selection.condition(schema.timestamp)
        message = f"{source.path}: not a Parquet file of {schema.name}"
        rows = LazyChunk(file, message).read(pl.len()).item()
        selected = LazyChunk(file.filter(condition), message).read(pl.len()).item()
        self.quality.files.append(FileQuality(file=source.path, kind=schema.name, rows=selected))
        parts, fields = self._split(file, rows), schema.fields_in(file.collect_schema(), all_fields=self.all_fields)
        frames = [schema.project(part.filter(condition).select(fields), all_fields=self.all_fields) for part in parts]
        size_bytes = source.size_bytes // max(len(parts), 1)
        return [LazyChunk(frame.drop(KEY) if source.is_only_copy else frame, message, size_bytes) for frame in frames]

    def _split(self, file: pl.LazyFrame, rows: int) -> list[pl.LazyFrame]:
        if self.selection.coins is None:
            return [file.slice(start, CHUNK_ROWS) for start in range(0, rows, CHUNK_ROWS)]
        # A filter by one coin reads only the row groups that may hold it.
        return [file.filter(pl.col("market_key") == coin) for coin in self.selection.coins]


def _absent_coins(data: Data, selected: Sequence[str], followed: set[str]) -> dict[str, str | None]:
    """The selected coins without any record, each with the coin that may have been meant."""
    present = _coins(data.signals) | _coins(data.missed)
    if not present.issuperset(selected):
        present = present.union(*(_coins(chunk.read(pl.col("market_key").unique())) for chunk in data.chunks))
    return {coin: nearest(coin, (followed | present) - {coin}) for coin in selected if coin not in present}


def _coins(frame: pl.DataFrame) -> set[str]:
    return set(frame["market_key"].cast(pl.String).unique())


def _merge(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The same rows in fewer frames: thousands of small columns take more memory than a few large ones."""
    small: list[pl.DataFrame] = []
    for frame in frames:
        small.append(frame)
        if sum(part.height for part in small) > MERGE_ROWS:
            yield pl.concat(small, rechunk=True)
            small = []
    yield from small
