"""The orders of a closed day by the kept tape, in a file of their own beside the day's Parquet."""

import os
from pathlib import Path

import polars as pl

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


class DayOrders:
    """The orders of a closed day that its file lacks."""

    def __init__(self, data_dir: Path, day: str, latencies_ms: tuple[int, ...]) -> None:
        self.path = parquet_path(data_dir, TAKEN, day)
        self._data_dir, self._day = data_dir, day
        self.plan = OrderPlan(latencies_ms, tuple(_offsets_ms(parquet_path(data_dir, FOLLOWUPS.name, day))))
        self.recording = self._recording()

    def _recording(self) -> Recording | None:
        """The tape to work them out from; None where nothing is to be done."""
        info = read_info(self._data_dir, self._day)
        if not self.plan.held_ms or (info is not None and self.plan.within(info.plan) == self.plan):
            return None
        return recording_of(self._data_dir, day_start_ms(self._day), self.plan)

    def write(self, part: Path, advance: Advance) -> int:
        """Write the file by way of another one; return the number of orders. Raises OSError or PolarsError."""
        if self.recording is None:
            return 0
        file = pl.scan_parquet(parquet_path(self._data_dir, SIGNALS.name, self._day), glob=False)
        fields = SIGNALS.fields_in(file.collect_schema(), all_fields=False)
        day = SIGNALS.project(file.select(fields), all_fields=False).drop(KEY).collect()
        signals = day.drop_nulls("best_px")
        spans = covered_ms(self.recording)
        is_covered = are_covered(spans, signals["timestamp_ms"].to_numpy(), length_ms=self.plan.length_ms)
        signals = signals.filter(is_covered)
        orders = orders_by_tape(self.recording, signals, self.plan, advance)
        info = TakenInfo(
            latencies_ms=self.plan.latencies_ms, held_ms=self.plan.held_ms, covered_ms=spans, day_signals=day.height
        )
        write_orders(part, orders, signals, info)
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(self.path)
        sync_names(self._data_dir)
        return orders.height


def _offsets_ms(followups: Path) -> list[int]:
    counts = pl.scan_parquet(followups, glob=False).select(pl.col("offset_ms").value_counts()).collect()
    return usual_offsets_ms(dict(counts.to_series().struct.unnest().iter_rows()))
