"""Make the sums of a finished day from its Parquet, and keep them beside it."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import polars as pl

from hip3_tasks.analysis.compact.line_codec import UNREADABLE
from hip3_tasks.analysis.compact.work_dir import Busy, work_dir
from hip3_tasks.analysis.loading.jsonl import Advance
from hip3_tasks.analysis.loading.load import Data, read
from hip3_tasks.analysis.loading.selection import Selection
from hip3_tasks.analysis.loading.sources import SourceFile, list_sources
from hip3_tasks.analysis.measure.aggregate import aggregate
from hip3_tasks.analysis.measure.by import By
from hip3_tasks.analysis.measure.costs import with_costs
from hip3_tasks.analysis.measure.facts import Facts
from hip3_tasks.analysis.measure.grouping import SLOT_MS, Grouping
from hip3_tasks.analysis.measure.horizons import SUMS
from hip3_tasks.analysis.measure.trip_measures import TRIP_SUMS
from hip3_tasks.analysis.measure.trips import SIGNAL
from hip3_tasks.analysis.reporting.plan import Trader, make_plan
from hip3_tasks.analysis.sums.day_sums import FORMAT, SERVED, About, DaySums, SumsOrigin, fingerprint
from hip3_tasks.domain.capture import DAY_MS, day_start_ms
from hip3_tasks.files.day_files import SUMS as KEPT
from hip3_tasks.files.day_files import TAKEN, parquet_path

FinishedDay = Mapping[str, SourceFile]
"""The Parquet files of a finished day by kind."""


def kept_sums(files: FinishedDay, trader: Trader, by: By, advance: Advance) -> DaySums | None:
    """The sums kept beside a finished day; they are made first if they are absent, damaged or of another origin.

    None for a day without follow-ups, or that is gone. Raises Unavailable when its Parquet cannot be read.
    """
    try:
        origin = _origin(files, trader)
    except OSError:
        return None
    kept = DaySums.read(_beside(files, KEPT), origin, by)
    if kept is not None:
        advance(sum(file.size_bytes for file in files.values()))
        return kept
    made = _made(files, origin, trader, advance)
    # Where they cannot be kept, the next report makes them again.
    with suppress(Busy, OSError, *UNREADABLE):
        _keep(made, _beside(files, KEPT))
    return made


def keep_sums(data_dir: Path, day: str, trader: Trader) -> None:
    """Make and keep the sums of a finished day, unless it has them.

    Raises Unavailable when its Parquet cannot be read, Busy, OSError and UNREADABLE when they cannot be written.
    """
    start_ms = day_start_ms(day)
    selection = Selection(since_ms=start_ms, until_ms=start_ms + DAY_MS)
    files = {file.kind: file for file in list_sources([data_dir], selection)}
    origin = _origin(files, trader)
    if DaySums.read(_beside(files, KEPT), origin, SERVED[0]) is None:
        _keep(_made(files, origin, trader, advance=lambda _: None), _beside(files, KEPT))


def _keep(made: DaySums | None, path: Path) -> None:
    if made is not None:
        with work_dir(path.parent, path.stem.removeprefix(f"{KEPT}_")) as folder:
            made.write(folder / path.name)
            (folder / path.name).replace(path)


def _beside(files: FinishedDay, kind: str) -> Path:
    file = files["followups"]
    return parquet_path(file.path.parent, kind, file.day)


def _origin(files: FinishedDay, trader: Trader) -> SumsOrigin:
    """Raises OSError."""
    his = {name: getattr(trader, name) for name in ("slippage_bps", "min_notional_usd", "latency_ms")}
    paths = {kind: file.path for kind, file in files.items()} | {TAKEN: _beside(files, TAKEN)}
    return SumsOrigin(
        format=FORMAT,
        sums=(*SUMS.summed, *TRIP_SUMS.summed),
        trader=asdict(trader.fees) | his,
        parquet={kind: fingerprint(path) for kind, path in paths.items() if path.exists()},
    )


def _made(files: FinishedDay, origin: SumsOrigin, trader: Trader, advance: Advance) -> DaySums | None:
    data = read(list(files.values()), Selection(), advance=advance)
    data = replace(data, signals=with_costs(data.signals, fees=trader.fees, slippage_bps=trader.slippage_bps))
    facts = Facts.from_data(data)
    if facts.first_ms is None or facts.last_ms is None or not facts.followups:
        return None
    start_ms = day_start_ms(files["followups"].day)
    about = About(
        origin=origin,
        rows={file.kind: file.rows for file in data.notes.files},
        is_regular=start_ms <= facts.first_ms and facts.last_ms < start_ms + DAY_MS and not _has_strangers(data),
        facts=facts,
    )
    by, *_ = served = [Grouping((by,), {}) for by in SERVED]
    span_ms = facts.first_ms, facts.last_ms
    plan = make_plan(data, facts, trader, span_ms=span_ms, by=by, cluster_ms=SLOT_MS, binned_by=served)
    return DaySums.from_aggregates(about, aggregate(data, plan, advance))


def _has_strangers(data: Data) -> bool:
    """Whether a follow-up has no signal."""
    known = data.signals.lazy().select("market_key", signal_timestamp_ms="timestamp_ms")
    strangers = (replace(chunk, rows=chunk.rows.join(known, on=SIGNAL, how="anti")) for chunk in data.chunks)
    return any(chunk.read(pl.len()).item() for chunk in strangers)
