"""What is put together from runs on disk is sorted, whole and readable by market."""

import random
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from hip3_tasks.analysis.compact import external_sort as runs_module
from hip3_tasks.analysis.compact.external_sort import Runs

SCHEMA = {"market_key": pl.String(), "at_ms": pl.Int64(), "px": pl.Float64()}
BY = ("market_key", "at_ms")


def some_rows(number: int, *, markets: int) -> pl.DataFrame:
    chance = random.Random(number)
    rows = [(f"xyz:M{chance.randrange(markets):03}", at, chance.random()) for at in range(number)]
    chance.shuffle(rows)
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


@pytest.mark.parametrize("markets", [1, 7, 300])
@pytest.mark.parametrize(("run_rows", "part_rows"), [(1_000_000, 1_000_000), (100, 50), (1, 1)])
def test_rows_in_any_order_become_one_sorted_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, markets: int, run_rows: int, part_rows: int
) -> None:
    monkeypatch.setattr(runs_module, "RUN_ROWS", run_rows)
    monkeypatch.setattr(runs_module, "PART_ROWS", part_rows)
    rows, runs = some_rows(600, markets=markets), Runs(tmp_path, schema=SCHEMA, by=BY)
    for part in rows.iter_slices(30):
        runs.add(part)
    runs.write(tmp_path / "all.parquet")
    assert_frame_equal(pl.read_parquet(tmp_path / "all.parquet"), rows.sort(BY))
    assert [path.name for path in tmp_path.iterdir()] == ["all.parquet"]


def test_no_rows_are_a_file_with_all_columns(tmp_path: Path) -> None:
    Runs(tmp_path, schema=SCHEMA, by=BY).write(tmp_path / "all.parquet")
    found = pl.read_parquet(tmp_path / "all.parquet")
    assert (found.height, dict(found.schema)) == (0, SCHEMA)


def test_each_group_of_rows_says_which_markets_it_is_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs_module, "ROW_GROUP_ROWS", 100)
    runs = Runs(tmp_path, schema=SCHEMA, by=BY)
    runs.add(some_rows(1_000, markets=10))
    runs.write(tmp_path / "all.parquet")
    content = (tmp_path / "all.parquet").read_bytes()
    assert 0 < content.count(b"xyz:M000") < content.count(b"xyz:M") / 5
