"""Measure the merge of a day of the kept tape: minutes to hours, hours to the day; and the bytes of each state.

    .venv/bin/python -m benchmarks.merging DIR

takes the first whole day in DIR/tape, writes its minutes into a temporary directory as a recorder does, and merges them
by the recorder's code with one thread of polars, as in `hip3 up`. The free disk must have twice the size of the day.
Prints one JSON object.
"""

import json
import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import polars as pl
import typer

from benchmarks.measured import Measured
from hip3_tasks.domain.capture import DAY_MS, HOUR_MS, MINUTE_MS
from hip3_tasks.recording.merge import GROUP_ROWS as DAY_GROUP_ROWS
from hip3_tasks.recording.merge import LEVEL as DAY_LEVEL
from hip3_tasks.recording.recorder import GROUP_ROWS, LEVEL
from hip3_tasks.recording.retention import kept
from hip3_tasks.tape.columns import KEY, SCHEMA, frame_of
from hip3_tasks.tape.pieces import Piece, PieceInfo, minute_path, pieces_of, write_piece

MERGE = """\
import sys
from pathlib import Path
from hip3_tasks.recording.merge import merge_pieces
merge_pieces(Path(sys.argv[1]), until_ms=int(sys.argv[2]))
"""
MIN_SHOWN_BYTES = 0.05
"""A column that takes less of a state is not shown."""


def main(source: Path) -> None:
    os.environ["POLARS_MAX_THREADS"] = "1"
    day = next((piece for piece in pieces_of(source) if piece.length_ms == DAY_MS), None)
    if day is None:
        raise typer.BadParameter(f"{source} has no merged day")
    with tempfile.TemporaryDirectory() as name:
        print(json.dumps(figures(day, Path(name)), indent=1))


def figures(day: Piece, folder: Path) -> dict[str, Any]:
    # In a process of its own, because a child's peak memory is at least what its parent has.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        states = pool.submit(write_minutes, day, folder).result()
    result = {"states": states, "bytes_a_state": {"minutes": round(kept(folder).bytes / states, 2)}}
    last_hour_ms = day.end_ms - HOUR_MS
    for name, until_ms in {"23 hours": last_hour_ms, "last hour and day": day.end_ms}.items():
        run = merged(folder, until_ms, name)
        result[name] = {"wall_s": round(run.wall_s, 1), "cpu_s": round(run.cpu_s, 1), "peak_mb": round(run.peak_mb)}
        result["bytes_a_state"][name] = round(kept(folder).bytes / states, 2)
    (whole,) = pieces_of(folder)
    result["bytes_by_column"] = bytes_by_column(whole, states, folder / "column.parquet")
    return result


def write_minutes(day: Piece, folder: Path) -> int:
    """Write the minutes of a day as a recorder would have; return the number of states."""
    rules, states = day.info().rules, 0
    for hour_ms in range(day.start_ms, day.end_ms, HOUR_MS):
        in_hour = pl.col("at_ms").is_between(hour_ms, hour_ms + HOUR_MS, closed="left")
        rows_of_hour = day.scan().filter(in_hour).with_columns(minute=pl.col("at_ms") // MINUTE_MS).collect()
        minutes = rows_of_hour.partition_by("minute", as_dict=True, include_key=False)
        for from_ms in range(hour_ms, hour_ms + HOUR_MS, MINUTE_MS):
            rows = minutes.get((from_ms // MINUTE_MS,), frame_of([])).sort(KEY)
            info = PieceInfo(from_ms=from_ms, until_ms=from_ms + MINUTE_MS - 1, rules=rules)
            write_piece(minute_path(folder, from_ms), rows, info, level=LEVEL, group_rows=GROUP_ROWS)
            states += len(rows)
    return states


def merged(folder: Path, until_ms: int, name: str) -> Measured:
    """Merge everything before an instant in a process of its own."""
    run = Measured.from_run(name, [sys.executable, "-c", MERGE, str(folder), str(until_ms)], log=folder / "merge.log")
    assert run.is_done, run.output
    return run


def bytes_by_column(day: Piece, states: int, file: Path) -> dict[str, float]:
    """The bytes of a state that each column takes, largest first."""
    shares = {}
    for name in SCHEMA:
        day.scan().select(name).sink_parquet(
            file, compression="zstd", compression_level=DAY_LEVEL, row_group_size=DAY_GROUP_ROWS
        )
        shares[name] = round(file.stat().st_size / states, 2)
    shown = sorted(shares.items(), key=lambda item: -item[1])
    return {name: share for name, share in shown if share >= MIN_SHOWN_BYTES}


if __name__ == "__main__":
    typer.run(main)
