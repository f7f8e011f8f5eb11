"""A report by the kept sums of finished days is the report by their records."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hip3_tasks.analysis.compact.line_codec import rows_of
from hip3_tasks.analysis.loading.load import read
from hip3_tasks.analysis.loading.schemas import SCHEMAS
from hip3_tasks.analysis.loading.selection import Selection
from hip3_tasks.analysis.loading.sources import list_sources
from hip3_tasks.analysis.measure.by import By
from hip3_tasks.analysis.reporting.build import build_report
from hip3_tasks.analysis.reporting.model import Report
from hip3_tasks.analysis.reporting.plan import Trader
from hip3_tasks.analysis.sums import make
from hip3_tasks.analysis.sums.day_sums import SERVED
from hip3_tasks.analysis.sums.selected import read_selected
from hip3_tasks.domain.capture import DAY_MS, HOUR_MS
from hip3_tasks.files.day_files import SUMS, days_of, jsonl_path, parquet_path
from simulator.history import HistoryPlan
from simulator.history.files import write

DAYS = 33
USUAL, ALL = Trader(), Selection()
OF_SUMS = {
    "summed_days": 0,
    "row_by_row": None,
    "markout_quantiles_within_bps": 0.0,
    "retention_median_within": 0.0,
}
"""The fields that tell how a report was made, with their values for one that was made from records."""


def close(data_dir: Path, day: str) -> None:
    """Compact a day that is known to be clean."""
    for schema in SCHEMAS:
        path = jsonl_path(data_dir, schema.name, day)
        rows = rows_of(path.read_bytes() if path.exists() else b"", schema.record)
        by = [name for name in ("market_key", schema.timestamp, "offset_ms") if name in rows.columns]
        rows.drop("line_fields").sort(by).write_parquet(parquet_path(data_dir, schema.name, day))
        path.unlink(missing_ok=True)


def history(data_dir: Path, *, seed: int = 1, signals: int = 12_000, open_days: int = 1, days: int = DAYS) -> Path:
    write(HistoryPlan(signals=signals, hours=24 * days, markets=5, copies=4, seed=seed), data_dir)
    for path in data_dir.glob("*.jsonl"):  # of three dexes
        path.write_bytes(path.read_bytes().replace(b"xyz:NVDA", b"para:NVDA").replace(b"xyz:GOLD", b"io:GOLD"))
    for day in list(days_of(data_dir))[: days - open_days]:
        close(data_dir, day)
    return data_dir


def by_records(data_dir: Path, *, by: By = By.MARKET, trader: Trader = USUAL) -> Report:
    data = read(list_sources([data_dir], ALL), ALL)
    return build_report(data, by=by, trader=trader, at_ms=0)


def by_sums(
    *dirs: Path, by: By | tuple[By, By] = By.MARKET, trader: Trader = USUAL, selection: Selection = ALL
) -> Report:
    parts = [by] if isinstance(by, By) else by
    chosen = read_selected(list_sources(dirs, selection), selection, parts, trader, lambda _: None)
    report = build_report(chosen.data, by=parts, trader=trader, days=chosen.days, at_ms=0)
    return report.model_copy(update={"row_by_row": chosen.why_not})


def tree(report: Report) -> Any:
    return json.loads(report.model_dump_json())


def exact(node: Any) -> Any:
    """A report without its quantiles and without how it was made."""
    if isinstance(node, dict):
        left_out = {"markout_quantiles_bps", "retention_median", *OF_SUMS}
        return {name: exact(value) for name, value in node.items() if name not in left_out}
    return [exact(item) for item in node] if isinstance(node, list) else node


def quantiles(report: Report) -> Iterator[tuple[list[float | None], float | None]]:
    for group in (report.total, *report.groups):
        for horizon in group.horizons:
            yield horizon.markout_quantiles_bps, horizon.retention_median


def agree(summed: Report, expected: Report) -> None:
    assert exact(tree(summed)) == exact(tree(expected))
    within_bps, within = summed.markout_quantiles_within_bps, summed.retention_median_within
    for (markouts, retention), (markouts_then, retention_then) in zip(
        quantiles(summed), quantiles(expected), strict=True
    ):
        assert markouts == pytest.approx(markouts_then, abs=within_bps + 1e-9)
        assert retention == pytest.approx(retention_then, abs=within + 1e-9)


def kept(data_dir: Path) -> list[Path]:
    return sorted(data_dir.glob(f"{SUMS}_*.parquet"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A history whose last day is open; its sums are kept."""
    data_dir = history(tmp_path_factory.mktemp("made") / "data")
    by_sums(data_dir)
    return data_dir


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 1000), open_days=st.integers(0, 3), by=st.sampled_from(SERVED))
def test_every_number_is_that_of_the_records(
    seed: int, open_days: int, by: By, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data_dir = history(tmp_path_factory.mktemp("any") / "data", seed=seed, signals=5_000, open_days=open_days)
    first, again = by_sums(data_dir, by=by), by_sums(data_dir, by=by)
    assert first == again
    assert (first.summed_days, first.row_by_row) == (DAYS - open_days, None)
    agree(first, by_records(data_dir, by=by))


@pytest.mark.parametrize("by", SERVED)
def test_a_report_with_bands_and_verdicts_is_that_of_the_records(made: Path, by: By) -> None:
    report = by_sums(made, by=by)
    agree(report, by_records(made, by=by))
    assert report.sums_used() == [
        f"{DAYS - 1} finished days by their kept sums: quantiles within 0.1 bps of a markout and 0.001 of the edge left"
    ]
    assert report.total.horizons[0].markout_bps.low is not None
    assert report.search and report.search.judged


@pytest.mark.parametrize(
    ("by", "trader"),
    [
        (By.SIDE, USUAL),
        ((By.MARKET, By.HOUR), USUAL),
        (By.MARKET, Trader(cost_bps=4.0)),
        (By.MARKET, Trader(min_notional_usd=0.0)),
    ],
)
def test_what_sums_cannot_serve_is_read_row_by_row_and_said(made: Path, by: Any, trader: Trader) -> None:
    report = by_sums(made, by=by, trader=trader)
    assert report.summed_days == 0
    assert report.row_by_row and report.row_by_row.startswith(f"read row by row: {DAYS - 1} finished days, since ")
    assert tree(report) | OF_SUMS == tree(by_records(made, by=by, trader=trader))


def test_a_short_span_is_read_row_by_row_without_a_word(made: Path) -> None:
    first_ms = by_records(made).first_ms
    report = by_sums(made, selection=Selection(until_ms=first_ms + 20 * DAY_MS))
    assert {name: tree(report)[name] for name in OF_SUMS} == OF_SUMS


def test_a_span_whose_days_are_many_and_whose_clusters_are_short_is_read_row_by_row(made: Path) -> None:
    cut_ms = 22 * HOUR_MS
    first_ms = by_records(made).first_ms // DAY_MS * DAY_MS
    selection = Selection(since_ms=first_ms + cut_ms, until_ms=first_ms + DAYS * DAY_MS - cut_ms)
    report = by_sums(made, selection=selection)
    assert report.cluster_ms < HOUR_MS // 2
    assert {name: tree(report)[name] for name in OF_SUMS} == OF_SUMS


def test_a_day_that_is_cut_is_read_and_all_others_are_not(made: Path) -> None:
    first_ms = by_records(made).first_ms
    selection = Selection(since_ms=first_ms + 1)
    report = by_sums(made, selection=selection)
    assert report.summed_days == DAYS - 2
    data = read(list_sources([made], selection), selection)
    agree(report, build_report(data, by=By.MARKET, at_ms=0))


@pytest.mark.parametrize("damage", ["cut", "altered", "foreign", "gone", "of another day", "other fees"])
def test_sums_that_do_not_fit_are_made_again(made: Path, damage: str) -> None:
    path, other, *_ = kept(made)
    before, report = path.read_bytes(), by_sums(made)
    if damage == "cut":
        path.write_bytes(before[: len(before) // 2])
    elif damage == "altered":
        middle = len(before) // 2
        path.write_bytes(before[:middle] + bytes([before[middle] ^ 1]) + before[middle + 1 :])
    elif damage == "foreign":
        pl.DataFrame({"a": [1]}).write_parquet(path)
    elif damage == "gone":
        path.unlink()
    elif damage == "of another day":
        path.write_bytes(other.read_bytes())
    else:
        by_sums(made, trader=Trader(slippage_bps=2.0))
    damaged = path.read_bytes() if path.exists() else b""
    assert by_sums(made) == report
    again = path.read_bytes()
    assert again != damaged
    assert by_sums(made) == report
    assert path.read_bytes() == again


def test_sums_of_another_format_are_made_again(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, report = kept(made)[0].read_bytes(), by_sums(made)
    monkeypatch.setattr(make, "FORMAT", make.FORMAT + 1)
    assert by_sums(made) == report
    assert kept(made)[0].read_bytes() != before
    monkeypatch.undo()
    assert by_sums(made) == report


def test_sums_of_changed_parquet_are_made_again(made: Path, tmp_path: Path) -> None:
    data_dir = shutil.copytree(made, tmp_path / "data")
    alter(data_dir, "followups", 3, lambda rows: rows.with_columns(markout_bps=pl.col("markout_bps") + 1))
    agree(by_sums(data_dir), by_records(data_dir))


def alter(data_dir: Path, kind: str, number: int, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Alter the Parquet of a finished day."""
    path = parquet_path(data_dir, kind, kept(data_dir)[number].stem.removeprefix(f"{SUMS}_"))
    change(pl.read_parquet(path)).write_parquet(path)


@pytest.mark.parametrize(("threshold_bps", "row_by_row"), [(8.0, 0), (7.3, DAYS - 2), (None, 1)])
def test_only_a_threshold_that_was_raised_to_one_of_the_grid_needs_no_rows(
    made: Path, tmp_path: Path, threshold_bps: float | None, row_by_row: int
) -> None:
    data_dir = shutil.copytree(made, tmp_path / "data")
    thresholds = pl.lit(threshold_bps, pl.Float64()).alias("threshold_bps")
    alter(data_dir, "signals", DAYS - 2, lambda rows: rows.with_columns(thresholds))
    report = by_sums(data_dir)
    assert report.summed_days == DAYS - 1 - row_by_row
    assert bool(report.row_by_row) == bool(row_by_row)
    agree(report, by_records(data_dir))


def lose_the_last_offset(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("offset_ms") < 5000)


def lose_some_at_an_offset(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter((pl.col("offset_ms") != 3000) | (pl.int_range(pl.len()) % 5 == 0))


@pytest.mark.parametrize("change", [lose_the_last_offset, lose_some_at_an_offset])
def test_a_day_with_other_offsets_is_read_row_by_row(
    made: Path, tmp_path: Path, change: Callable[[pl.DataFrame], pl.DataFrame]
) -> None:
    data_dir = shutil.copytree(made, tmp_path / "data")
    alter(data_dir, "followups", 7, change)
    report = by_sums(data_dir)
    assert report.summed_days == DAYS - 2
    assert report.row_by_row == "read row by row: 1 finished day, since their thresholds or offsets are others"
    agree(report, by_records(data_dir))


def test_a_day_that_lacks_a_signal_is_read_row_by_row(made: Path, tmp_path: Path) -> None:
    data_dir = shutil.copytree(made, tmp_path / "data")
    alter(data_dir, "signals", 7, lambda rows: rows.slice(1))
    report = by_sums(data_dir)
    assert report.summed_days == DAYS - 2
    agree(report, by_records(data_dir))


def test_a_directory_that_cannot_be_written_gives_the_same_report(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    for path in made.iterdir():
        if path not in kept(made):
            (data_dir / path.name).symlink_to(path)
    data_dir.chmod(0o500)
    try:
        report = by_sums(data_dir)
    finally:
        data_dir.chmod(0o700)
    agree(report, by_records(data_dir))
