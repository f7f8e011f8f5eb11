"""The orders of a closed day by the kept tape, in a file of their own beside the day's Parquet."""

from pathlib import Path

import polars as pl

from hip3_tasks.analysis.compact.work_dir import work_dir
from hip3_tasks.analysis.loading.jsonl import Advance
from hip3_tasks.analysis.loading.schemas import FOLLOWUPS, KEY, SIGNALS
from hip3_tasks.analysis.measure.trips import usual_offsets_ms
from hip3_tasks.analysis.orders.by_tape import OrderPlan, are_covered, covered_ms, orders_by_tape
from hip3_tasks.analysis.orders.find import recording_of
from hip3_tasks.analysis.orders.taken_file import TakenInfo, read_info, write_orders
from hip3_tasks.domain.capture import day_start_ms
from hip3_tasks.files.append_file import sync_names
from hip3_tasks.files.day_files import TAKEN, parquet_path
from hip3_tasks.tape.load import Recording


def keep_orders(data_dir: Path, day: str, latencies_ms: tuple[int, ...], advance: Advance) -> int:
    """Work out and keep the orders of a closed day that its file lacks, if a tape is kept; return their number.

    Raises Busy, OSError and UNREADABLE.
    """
    plan = OrderPlan(latencies_ms, tuple(_offsets_ms(parquet_path(data_dir, FOLLOWUPS.name, day))))
    info = read_info(data_dir, day)
    if not plan.held_ms or (info is not None and plan.within(info.plan) == plan):
        return 0
    recording = recording_of(data_dir, day_start_ms(day), plan)
    if recording is None:
        return 0
    path = parquet_path(data_dir, TAKEN, day)
    with work_dir(data_dir, day) as folder:
        number = _write(folder / path.name, parquet_path(data_dir, SIGNALS.name, day), recording, plan, advance)
        sync_names(folder / path.name)
        (folder / path.name).replace(path)
    sync_names(data_dir)
    return number


def _write(path: Path, signals: Path, recording: Recording, plan: OrderPlan, advance: Advance) -> int:
    file = pl.scan_parquet(signals, glob=False)
    fields = SIGNALS.fields_in(file.collect_schema(), all_fields=False)
    day = SIGNALS.project(file.select(fields), all_fields=False).drop(KEY).collect()
    known, spans = day.drop_nulls("best_px"), covered_ms(recording)
    covered = known.filter(are_covered(spans, known["timestamp_ms"].to_numpy(), length_ms=plan.length_ms))
    orders = orders_by_tape(recording, covered, plan, advance)
    info = TakenInfo(latencies_ms=plan.latencies_ms, held_ms=plan.held_ms, covered_ms=spans, day_signals=day.height)
    write_orders(path, orders, covered, info)
    return orders.height


def _offsets_ms(followups: Path) -> list[int]:
    counts = pl.scan_parquet(followups, glob=False).select(pl.col("offset_ms").value_counts()).collect()
    return usual_offsets_ms(dict(counts.to_series().struct.unnest().iter_rows()))
