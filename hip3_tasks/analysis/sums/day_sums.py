"""All that a report needs of a finished day, in one small Parquet file beside the day's: `sums_DAY.parquet`.

The file has one row. Each of its columns is a table of `Aggregates` by half hour, itself the bytes of a Parquet file;
tables with values in bins are apart for each property by which a report may group. The metadata of the file tell what
its sums were made from, and have the check sum of each table: polars reads some damaged files without an error.
"""

import io
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from hashlib import blake2b
from os import SEEK_END
from pathlib import Path
from typing import Any, Self
from zlib import crc32

import numpy as np
import polars as pl
from pydantic import BaseModel

from hip3_tasks.analysis.compact.line_codec import UNREADABLE
from hip3_tasks.analysis.loading.jsonl import THREADS
from hip3_tasks.analysis.loading.schemas import COIN
from hip3_tasks.analysis.measure.aggregate import Aggregates, AggregationPlan, with_dex
from hip3_tasks.analysis.measure.by import By
from hip3_tasks.analysis.measure.codes import codes, labels
from hip3_tasks.analysis.measure.facts import Facts
from hip3_tasks.analysis.measure.levels import GRID_BPS
from hip3_tasks.analysis.measure.trips import usual_offsets_ms

FORMAT = 1
"""To be raised with every change of what a sum means: files of another format, or with other sums, are made again."""
SERVED = (By.MARKET, By.SESSION, By.HOUR)
"""The properties of a signal that its market and its half hour tell."""
METADATA, CHECK_SUMS = "hip3_tasks", "hip3_tasks.crc32"
_FOOTER_END_BYTES = 8
"""Parquet ends with the length of its footer, in 4 bytes, and `PAR1`."""
_TABLES = [field.name for field in fields(Aggregates) if field.name not in ("bins", "samples")]


class SumsOrigin(BaseModel, frozen=True):
    """The origin of the sums of a day; sums of another one are made again."""

    format: int
    sums: tuple[str, ...]
    """Their names."""
    trader: Mapping[str, float]
    """His costs and his least order."""
    parquet: Mapping[str, str]
    """The fingerprints of the day's Parquet files by kind."""


class About(BaseModel, frozen=True):
    """Facts about the sums of a day that must be known before they are used."""

    origin: SumsOrigin
    rows: Mapping[str, int]
    """The rows of the day's files by kind."""
    is_regular: bool
    """Whether each follow-up has its signal, and each signal is of the day. Sums of another day serve no report."""
    facts: Facts

    def fits(self, facts: Facts) -> bool:
        """Whether the sums are those of a report on signals with these facts.

        A market's threshold may have been raised since to a level of the grid, by which its results are summed apart.
        """
        own, every = self.facts, facts
        thresholds_bps = [(bps, every.thresholds_bps[coin]) for coin, bps in own.thresholds_bps.items()]
        return (
            self.is_regular
            and max(own.followups) == max(every.followups)
            and usual_offsets_ms(own.followups) == usual_offsets_ms(every.followups)
            and all(bps is not None and top_bps in (bps, *GRID_BPS) for bps, top_bps in thresholds_bps)
        )


@dataclass(frozen=True, slots=True)
class DaySums:
    """The sums of a day: in a file, or just made."""

    about: About
    tables: Mapping[str, bytes]
    """Each as the bytes of a Parquet file: in a report over many days they take a fifth of the memory."""

    @classmethod
    def from_aggregates(cls, about: About, aggregates: Aggregates) -> Self:
        """The sums of aggregates by market and half hour, with values in bins by SERVED."""
        tables = {name: getattr(aggregates, name).drop("dex", "group", strict=False) for name in _TABLES}
        keys = "measure", "group", "offset_ms", "bin"
        for by in SERVED:
            named = aggregates.bins.filter(by=by).group_by(keys).agg(pl.col("n").sum()).sort(keys)
            if by is By.MARKET:
                named = named.select(labels("group", COIN).alias("market_key"), pl.exclude("group"))
            tables[_bins(by)] = named
        return cls(about, {name: _as_parquet(table) for name, table in tables.items()})

    @classmethod
    def read(cls, path: Path, origin: SumsOrigin, by: By) -> Self | None:
        """The sums in a file, for reports by one of SERVED; None if they are absent, damaged or of another origin."""
        try:
            metadata = pl.read_parquet_metadata(path)
            about, check_sums = About.model_validate_json(metadata[METADATA]), json.loads(metadata[CHECK_SUMS])
            if about.origin != origin:
                return None
            row = pl.read_parquet(path, columns=[*_TABLES, _bins(by)], glob=False).row(0, named=True)
            if all(crc32(content) == check_sums[name] for name, content in row.items()):
                return cls(about, row)
        except (OSError, KeyError, ValueError, *UNREADABLE):
            pass
        return None

    def write(self, path: Path) -> None:
        """Raises OSError and UNREADABLE."""
        check_sums = json.dumps({name: crc32(content) for name, content in self.tables.items()})
        metadata = {METADATA: self.about.model_dump_json(), CHECK_SUMS: check_sums}
        row = pl.DataFrame({name: [content] for name, content in self.tables.items()})
        row.write_parquet(path, compression="uncompressed", statistics=False, metadata=metadata)


def aggregates_of(days: Sequence[DaySums], plan: AggregationPlan) -> Aggregates:
    """The aggregates of all days, at least one, by one of SERVED."""
    (by,) = plan.by.parts

    def read(name: str) -> pl.DataFrame:
        return pl.concat([pl.read_parquet(day.tables[name]) for day in days])

    with ThreadPoolExecutor(THREADS) as threads:
        tables: dict[str, Any] = dict(zip(_TABLES, threads.map(read, _TABLES), strict=True))
        bins = read(_bins(by))
    for name in ("signals", "sums", "trip_sums"):
        tables[name] = tables[name].with_columns(group=_groups(tables[name], plan))
    if by is By.MARKET:
        bins = bins.with_columns(group=bins["market_key"].to_physical().cast(pl.Int32))
    levels = tables["level_sums"]
    least_bps = plan.levels.recording_threshold_bps[codes(levels["market_key"].cast(COIN))]
    tables["level_sums"] = levels.filter(pl.col("level") >= np.searchsorted(GRID_BPS, least_bps, side="right"))
    tables |= {name: with_dex(tables[name]) for name in ("sums", "level_sums", "trip_sums")}
    return Aggregates(**tables, bins=bins)


def _bins(by: By) -> str:
    return f"bins_{by}"


def _as_parquet(table: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    table.write_parquet(file)
    return file.getvalue()


def _groups(rows: pl.DataFrame, plan: AggregationPlan) -> pl.Series:
    frame = rows.select(pl.col("market_key").cast(COIN), at_ms=pl.col("cluster") * plan.levels.cluster_ms)
    return pl.Series(plan.by.codes(frame, timestamp="at_ms", edge=""))


def fingerprint(path: Path) -> str:
    """A Parquet file's size and the hash of its footer, which holds place, size and statistics of every part of it.

    Raises OSError.
    """
    with path.open("rb") as file:
        size = file.seek(0, SEEK_END)
        file.seek(-_FOOTER_END_BYTES, SEEK_END)
        length = int.from_bytes(file.read(4), "little")
        file.seek(-_FOOTER_END_BYTES - length, SEEK_END)
        return f"{size}-{blake2b(file.read(length), digest_size=16).hexdigest()}"
