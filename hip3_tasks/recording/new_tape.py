"""A kept tape that is written from the outside, into a new directory: entries in any order of time, an hour a piece."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from shutil import rmtree

import polars as pl

from hip3_tasks.domain.capture import HOUR_MS
from hip3_tasks.domain.detector import Rules
from hip3_tasks.domain.market import Entry
from hip3_tasks.files.rules_log import note_rules, read_rules
from hip3_tasks.recording.merge import merge_pieces
from hip3_tasks.tape.columns import KEY, MAX_INTEGER, Row, frame_of, row_of
from hip3_tasks.tape.pieces import PieceInfo, hour_path, write_piece

MAX_ROWS = 200_000
"""Rows in memory; then they go to files of their hour, which are sorted at the end."""
LEVEL, GROUP_ROWS = 3, 1 << 16


class NewTape:
    """The tape of a new directory. Each market has one state at a time: the first run that covers a time has it."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir, self._spill = data_dir, data_dir / "import.part"
        self._rows: list[Row] = []
        self._files: defaultdict[int, list[Path]] = defaultdict(list)
        self._runs: dict[str, tuple[int, int]] = {}
        """First and last instant of each market in the present run."""
        self._covered: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        """The spans of the runs before, by time; none overlaps another."""
        self.from_ms = self.until_ms = 0
        self.states = self.doubled = 0
        """States that were written, and those of a time that a run before covers."""

    @property
    def coins(self) -> list[str]:
        return sorted(self._covered)

    def add(self, coin: str, seq: int, entry: Entry) -> None:
        at_ms = entry.at_ms
        spans = self._covered[coin]
        before = bisect_right(spans, (at_ms, MAX_INTEGER))
        if before and spans[before - 1][1] >= at_ms:
            self.doubled += 1
            return
        first_ms, _ = self._runs.get(coin, (at_ms, at_ms))
        self._runs[coin] = first_ms, at_ms
        row = row_of(coin, seq, entry)
        self.states += row[3] is None
        self._rows.append(row)
        if len(self._rows) >= MAX_ROWS:
            self._flush()

    def end_run(self, coins: Collection[str]) -> None:
        """Later entries of these markets may lie before those that were added."""
        for coin in coins:
            if coin in self._runs:
                self._covered[coin] = _union([*self._covered[coin], self._runs.pop(coin)])

    def finish(self, rules: Rules) -> None:
        """Write all pieces. Raises OSError or PolarsError."""
        self._flush()
        spans = [span for spans in self._covered.values() for span in spans]
        if not spans:
            return
        self.from_ms, self.until_ms = min(spans)[0], max(until_ms for _, until_ms in spans)
        note_rules(self._data_dir, rules, from_ms=self.from_ms)
        for hour, files in sorted(self._files.items()):
            info = PieceInfo(
                from_ms=max(self.from_ms, hour * HOUR_MS),
                until_ms=min(self.until_ms, hour * HOUR_MS + HOUR_MS - 1),
                rules=tuple(read_rules(self._data_dir)),
            )
            rows = pl.concat(pl.read_parquet(file, glob=False) for file in files).sort(KEY)
            write_piece(hour_path(self._data_dir, info.from_ms), rows, info, level=LEVEL, group_rows=GROUP_ROWS)
        rmtree(self._spill)
        merge_pieces(self._data_dir, until_ms=self.until_ms + 1)

    def _flush(self) -> None:
        self._spill.mkdir(exist_ok=True)
        hours = frame_of(self._rows).with_columns(hour=pl.col("at_ms") // HOUR_MS)
        self._rows.clear()
        for (hour,), rows in hours.partition_by("hour", as_dict=True, include_key=False).items():
            self._files[hour].append(self._spill / f"{hour}-{len(self._files[hour])}.parquet")
            rows.write_parquet(self._files[hour][-1], compression="lz4")


def _union(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for first_ms, last_ms in sorted(spans):
        if joined and first_ms <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], last_ms)
        else:
            joined.append((first_ms, last_ms))
    return joined
