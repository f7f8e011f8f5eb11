"""The signals whose orders are known by the kept tape: by a day's file, or else by the tape itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from hip3_tasks.analysis.loading.jsonl import Advance
from hip3_tasks.analysis.measure.signal_index import SignalIndex
from hip3_tasks.analysis.orders.by_tape import OrderPlan, are_covered, covered_ms, orders_by_tape
from hip3_tasks.analysis.orders.taken_file import read_info, read_orders
from hip3_tasks.domain.capture import DAY_MS, utc_day
from hip3_tasks.errors import Unavailable
from hip3_tasks.files.day_files import TAKEN, parquet_path
from hip3_tasks.stats.bootstrap import Integers
from hip3_tasks.tape.load import Recording
from hip3_tasks.tape.pieces import TAPE

Read = Callable[[Advance], pl.DataFrame]
"""Reads the orders of a day. Raises Unavailable when a file cannot be read."""


@dataclass(frozen=True, slots=True)
class Source:
    """A day of one directory, and the signals whose orders it tells."""

    read: Read
    size_bytes: int
    """The number of bytes of tape that are read."""
    rows: Integers
    """The places of the signals; int64."""


@dataclass(frozen=True, slots=True)
class TapeOrders:
    """The orders that are known by the tape."""

    signals: pl.DataFrame
    sources: list[Source] = field(default_factory=list)

    @property
    def size_bytes(self) -> int:
        return sum(source.size_bytes for source in self.sources)

    @property
    def count(self) -> int:
        """The number of signals."""
        return sum(len(source.rows) for source in self.sources)

    def index(self) -> SignalIndex:
        """1 for each signal whose orders are known by the tape."""
        rows = np.concatenate([np.array([], dtype=np.int64), *(source.rows for source in self.sources)])
        signals = self.signals[rows]
        return SignalIndex.from_signals(signals, pl.repeat(1.0, signals.height, eager=True))


def find_orders(dirs: Sequence[Path], signals: pl.DataFrame, plan: OrderPlan, *, judged_ms: int) -> TapeOrders:
    """Find the orders of a plan; of two directories that both have those of a signal, the first one counts.

    A day's file serves if it has all of the plan; otherwise the tape does. Where that is gone, the file serves for
    those latencies that it has, if `judged_ms` is among them.
    """
    orders = TapeOrders(signals)
    if not any((path / TAPE).is_dir() or any(path.glob(f"{TAKEN}_*.parquet")) for path in dirs):
        return orders
    day_of_row = signals["timestamp_ms"].to_numpy() // DAY_MS
    order = np.argsort(day_of_row, kind="stable")
    days, starts = np.unique(day_of_row[order], return_index=True)
    is_open = signals["best_px"].is_not_null().to_numpy().copy()
    for data_dir in dirs:
        for day, of_day in zip(days.tolist(), np.split(order, starts[1:]), strict=False):
            rows = of_day[is_open[of_day]]
            if len(rows) and (source := _source(data_dir, day * DAY_MS, signals, rows, plan, judged_ms)):
                orders.sources.append(source)
                is_open[source.rows] = False
    return orders


def _source(
    data_dir: Path, day_start_ms: int, signals: pl.DataFrame, rows: Integers, plan: OrderPlan, judged_ms: int
) -> Source | None:
    timestamp_ms, day = signals["timestamp_ms"].to_numpy()[rows], utc_day(day_start_ms)
    info = read_info(data_dir, day)
    served = plan.within(info.plan) if info else OrderPlan((), ())
    recording = None if served == plan else recording_of(data_dir, day_start_ms, plan)
    if recording is not None:
        rows = rows[are_covered(covered_ms(recording), timestamp_ms, length_ms=plan.length_ms)]
        size_bytes = sum(part.piece.path.stat().st_size for part in recording.parts)
        read: Read = partial(orders_by_tape, recording, signals[rows], plan)
    elif info is not None and judged_ms in served.latencies_ms and served.held_ms == plan.held_ms:
        rows = rows[are_covered(info.covered_ms, timestamp_ms, length_ms=info.plan.length_ms)]
        size_bytes, read = 0, partial(_read_file, parquet_path(data_dir, TAKEN, day), signals[rows], served)
    else:
        return None
    return Source(read, size_bytes, rows) if len(rows) else None


def recording_of(data_dir: Path, day_start_ms: int, plan: OrderPlan) -> Recording | None:
    """The tape that the orders of a day need, to the last way out; None when none of it is kept."""
    try:
        return Recording(data_dir, since_ms=day_start_ms, until_ms=day_start_ms + DAY_MS + plan.length_ms)
    except Unavailable:
        return None


def _read_file(path: Path, signals: pl.DataFrame, plan: OrderPlan, _: Advance) -> pl.DataFrame:
    wanted = signals.select("market_key", signal_timestamp_ms="timestamp_ms")
    try:
        return read_orders(path, plan).join(wanted, on=wanted.columns, how="semi")
    except (OSError, pl.exceptions.PolarsError) as error:
        raise Unavailable(f"{path}: {str(error).splitlines()[0]}") from None
