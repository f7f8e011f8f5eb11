"""Rows merged from runs on disk are sorted, complete and readable by market."""

import random
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from hip3_tasks.analysis.compact import external_sort
from hip3_tasks.analysis.compact.external_sort import ExternalSort

SCHEMA = {"market_key": pl.String(), "at_ms": pl.Int64(), "px": pl.Float64()}
BY = ("market_key", "at_ms")


def some_rows(number: int, *, markets: int) -> pl.DataFrame:
    chance = random.Random(number)
    rows = [(f"xyz:M{chance.randrange(markets):03}", ms, chance.random()) for ms in range(number)]
    chance.shuffle(rows)
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


@pytest.mark.parametrize("markets", [1, 7, 300])
@pytest.mark.parametrize(("run_rows", "merge_rows"), [(1_000_000, 1_000_000), (100, 50), (1, 1)])
def test_rows_in_any_order_become_one_sorted_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, markets: int, run_rows: int, merge_rows: int
) -> None:
    monkeypatch.setattr(external_sort, "RUN_ROWS", run_rows)
    monkeypatch.setattr(external_sort, "MERGE_ROWS", merge_rows)
    rows, sort = some_rows(600, markets=markets), ExternalSort(tmp_path, schema=SCHEMA, by=BY)
    for part in rows.iter_slices(30):
        sort.add(part)
    sort.write(tmp_path / "all.parquet", list(SCHEMA))
    assert_frame_equal(pl.read_parquet(tmp_path / "all.parquet"), rows.sort(BY))
    assert [path.name for path in tmp_path.iterdir()] == ["all.parquet"]


def test_no_rows_are_a_file_with_all_columns(tmp_path: Path) -> None:
    ExternalSort(tmp_path, schema=SCHEMA, by=BY).write(tmp_path / "all.parquet", list(SCHEMA))
    empty = pl.read_parquet(tmp_path / "all.parquet")
    assert (empty.height, dict(empty.schema)) == (0, SCHEMA)


def test_each_row_group_names_its_markets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external_sort, "ROW_GROUP_ROWS", 100)
    sort = ExternalSort(tmp_path, schema=SCHEMA, by=BY)
    sort.add(some_rows(1_000, markets=10))
    sort.write(tmp_path / "all.parquet", list(SCHEMA))
    content = (tmp_path / "all.parquet").read_bytes()
    assert 0 < content.count(b"xyz:M000") < content.count(b"xyz:M") / 5
