"""Rows sorted on disk: what does not fit in memory at once is written in sorted runs, which are put together by market.

A market has at most some hundred thousand rows a day, so that a few of them always fit.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from hip3_tasks.analysis.loading.columns import ROW_GROUP_ROWS
from hip3_tasks.analysis.loading.jsonl import Schema

RUN_ROWS = 500_000
PART_ROWS = 250_000
RUN_GROUP_ROWS = 16_384
"""Small, so that a few markets can be read without their neighbours."""
LEVEL = 3
"""Of zstd: 9 takes three times as long for 4 % less, 19 forty times for 10 %."""


class Runs:
    """Rows of one schema, given in any order, that become one sorted Parquet file."""

    def __init__(self, folder: Path, *, schema: Schema, by: Sequence[str]) -> None:
        """Sorted `by` columns, of which the first is the market; what is in between is written to the folder."""
        self._folder, self._schema, self._by = folder, schema, list(by)
        self._frames: list[pl.DataFrame] = []
        self._runs: list[Path] = []
        self._rows_of: Counter[str] = Counter()

    def add(self, frame: pl.DataFrame) -> None:
        self._frames.append(frame)
        if sum(map(len, self._frames)) >= RUN_ROWS:
            self._end_run()

    def write(self, path: Path) -> None:
        """Write all of it, and remove what was in between."""
        self._end_run()
        parts = [self._part(number, first, last) for number, (first, last) in enumerate(self._spans())]
        _remove(self._runs)
        rows = pl.scan_parquet(parts, glob=False) if parts else pl.LazyFrame(schema=self._schema)
        rows.sink_parquet(path, compression="zstd", compression_level=LEVEL, row_group_size=ROW_GROUP_ROWS)
        _remove(parts)

    def _end_run(self) -> None:
        if self._frames:
            path = self._folder / f"run-{len(self._runs)}.parquet"
            run = pl.concat(self._frames).sort(self._by)
            run.write_parquet(path, compression_level=1, row_group_size=RUN_GROUP_ROWS)
            self._frames.clear()
            self._runs.append(path)
            self._rows_of.update(dict(run[self._by[0]].drop_nulls().value_counts().iter_rows()))

    def _spans(self) -> Iterator[tuple[str, str]]:
        """First and last market of each part."""
        markets, rows = list[str](), 0
        for market in sorted(self._rows_of):
            markets.append(market)
            rows += self._rows_of[market]
            if rows >= PART_ROWS:
                yield markets[0], markets[-1]
                markets, rows = [], 0
        if markets:
            yield markets[0], markets[-1]

    def _part(self, number: int, first: str, last: str) -> Path:
        path = self._folder / f"part-{number}.parquet"
        span = pl.col(self._by[0]).is_between(pl.lit(first), pl.lit(last))
        part = pl.scan_parquet(self._runs, glob=False).filter(span).collect().sort(self._by)
        part.write_parquet(path, compression_level=1, row_group_size=ROW_GROUP_ROWS)
        return path


def _remove(paths: Sequence[Path]) -> None:
    for path in paths:
        path.unlink()
