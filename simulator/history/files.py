"""Write a history to files, in bounded memory and in the order in which the product appends lines."""

import json
import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import polars as pl

from hip3_tasks.domain.capture import DAY_MS, utc_day
from simulator.history.frames import Frames, chunk_frames, sorted_by_capture
from simulator.history.markets import planted_markets
from simulator.history.plan import HistoryPlan

TRUTHS = "truths.json"

# Polars writes 1e-6 where the records have 1.0e-6.
_WITHOUT_POINT = re.compile(rb'((?<!\\)":-?[0-9]+)(e[+-]?[0-9]+)(?=[,}])')
_MIN_PLAIN, _MAX_PLAIN = 1e-5, 1e16


def write(plan: HistoryPlan, directory: Path, *, advance: Callable[[int], object] = lambda _: None) -> None:
    """Write a history's signals_, followups_ and missed_ files and `truths.json`. Raises FileExistsError.

    `advance` is called with the number of signals written since its last call.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for path in directory.glob("*.jsonl"):
        raise FileExistsError(f"{path}: the directory already contains data")
    markets = planted_markets(plan)
    (directory / TRUTHS).write_text(json.dumps([market.truth() for market in markets], indent=1) + "\n")
    open_frames: Frames | None = None
    for chunk in plan.chunks():
        made = chunk_frames(plan, markets, chunk)
        _append(directory, "signals", made.signals, "timestamp_ms")
        open_frames = _append_outcomes(directory, made, open_frames, until_ms=chunk.end_at_ms)
        advance(len(made.signals))
    if open_frames is not None:
        _append_outcomes(directory, open_frames, None, until_ms=None)


def _append_outcomes(directory: Path, made: Frames, before: Frames | None, *, until_ms: int | None) -> Frames:
    """Append the outcomes captured before an instant (None: all), and return the others."""
    rest = {"signals": made.signals.clear()}
    for kind in ("followups", "missed"):
        parts = [getattr(part, kind) for part in (before, made) if part is not None]
        outcomes = sorted_by_capture(pl.concat(parts))
        is_captured = pl.lit(True) if until_ms is None else pl.col("captured_at_ms") < until_ms
        _append(directory, kind, outcomes.filter(is_captured), "signal_timestamp_ms")
        rest[kind] = outcomes.filter(~is_captured)
    return Frames(**rest)


def _append(directory: Path, kind: str, records: pl.DataFrame, time: str) -> None:
    for (day,), day_records in records.group_by(pl.col(time) // DAY_MS, maintain_order=True):
        with (directory / f"{kind}_{utc_day(day * DAY_MS)}.jsonl").open("ab") as file:
            file.write(lines(day_records))


def lines(records: pl.DataFrame) -> bytes:
    """Records as `Record.line` writes them."""
    out = BytesIO()
    records.write_ndjson(out)
    return _WITHOUT_POINT.sub(rb"\1.0\2", out.getvalue()) if _lacks_a_point(records) else out.getvalue()


def _lacks_a_point(records: pl.DataFrame) -> bool:
    """Whether any number is written with an exponent but without a point; few numbers have to be checked."""
    for column in records.select(pl.col(pl.Float64)).iter_columns():
        size = column.abs()
        extreme = column.filter((size != 0) & ((size < _MIN_PLAIN) | (size >= _MAX_PLAIN)))
        if any("." not in repr(number) for number in extreme):
            return True
    return False
