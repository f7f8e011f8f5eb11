"""A history as files, written in bounded memory and in the order of appending."""

import json
import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import polars as pl

from hip3_tasks.domain.capture import DAY_MS, utc_day
from simulator.history.frames import Frames, frames_of, in_order_of_capture
from simulator.history.markets import markets_of
from simulator.history.plan import Plan

TRUTHS = "truths.json"

# As in the records: a number that a float's shortest text has no point in gets one.
_POINTLESS = re.compile(rb'((?<!\\)":-?[0-9]+)(e[+-]?[0-9]+)(?=[,}])')
_PLAIN_LEAST, _PLAIN_MOST = 1e-5, 1e16


def write(plan: Plan, directory: Path, *, advance: Callable[[int], object] = lambda _: None) -> None:
    """Write a history's signals_, followups_ and missed_ files and `truths.json`. Raises FileExistsError.

    `advance` is told how many signals have been written since it was last told.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for path in directory.glob("*.jsonl"):
        raise FileExistsError(f"{path}: there is data already")
    markets = markets_of(plan)
    (directory / TRUTHS).write_text(json.dumps([market.truth() for market in markets], indent=1) + "\n")
    later: Frames | None = None
    for chunk in plan.chunks():
        made = frames_of(plan, markets, chunk)
        _append(directory, "signals", made.signals, "timestamp_ms")
        later = _append_outcomes(directory, made, later, until_ms=chunk.end_at_ms)
        advance(len(made.signals))
    if later is not None:
        _append_outcomes(directory, later, None, until_ms=None)


def _append_outcomes(directory: Path, made: Frames, before: Frames | None, *, until_ms: int | None) -> Frames:
    """Append what has been captured by an instant, and return what has not."""
    rest = {"signals": made.signals.clear()}
    for kind in ("followups", "missed"):
        parts = [getattr(part, kind) for part in (before, made) if part is not None]
        outcomes = in_order_of_capture(pl.concat(parts))
        ripe = pl.lit(True) if until_ms is None else pl.col("captured_at_ms") < until_ms
        _append(directory, kind, outcomes.filter(ripe), "signal_timestamp_ms")
        rest[kind] = outcomes.filter(~ripe)
    return Frames(**rest)


def _append(directory: Path, kind: str, records: pl.DataFrame, time: str) -> None:
    for (day,), of_day in records.group_by(pl.col(time) // DAY_MS, maintain_order=True):
        with (directory / f"{kind}_{utc_day(day * DAY_MS)}.jsonl").open("ab") as file:
            file.write(lines(of_day))


def lines(records: pl.DataFrame) -> bytes:
    """Records as `Record.line` writes them."""
    out = BytesIO()
    records.write_ndjson(out)
    return _POINTLESS.sub(rb"\1.0\2", out.getvalue()) if _has_pointless(records) else out.getvalue()


def _has_pointless(records: pl.DataFrame) -> bool:
    """Whether any number is told without a point; to look at the few that have an exponent takes no time."""
    for column in records.select(pl.col(pl.Float64)).iter_columns():
        size = column.abs()
        odd = column.filter((size != 0) & ((size < _PLAIN_LEAST) | (size >= _PLAIN_MOST)))
        if any("." not in repr(number) for number in odd):
            return True
    return False
