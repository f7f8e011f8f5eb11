"""The coverage benchmark accepts correct bands and rejects wrong ones; tried on two plain methods and the product's."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from benchmarks.coverage import HAD, MARKOUT, ROUND_TRIP, Band, Measure, coverage, report_bands, table, verdicts
from hip3_tasks.analysis.measure.threshold_search import ThresholdVerdict
from simulator.history import SMALL, MarketKind

PLANS = [replace(SMALL, seed=seed) for seed in range(30)]
RESAMPLES = 400
Bands = Mapping[tuple[str, Measure], Band]


def of_minutes(_: pl.DataFrame, followups: pl.DataFrame) -> Bands:
    """A cluster bootstrap: whole minutes are drawn again."""
    rng = np.random.default_rng(7)
    minute = pl.col("signal_timestamp_ms") // 60_000
    sums = followups.group_by("market_key", "offset_ms", minute).agg(
        total=pl.col("markout_bps").sum(), count=pl.len().cast(pl.Float64)
    )
    return {
        _key(key): _band(of_key["total"].to_numpy(), of_key["count"].to_numpy(), rng)
        for key, of_key in sums.sort("signal_timestamp_ms").group_by("market_key", "offset_ms", maintain_order=True)
    }


def of_signals(_: pl.DataFrame, followups: pl.DataFrame) -> Bands:
    """Bands that treat signals as independent."""
    markouts = followups.group_by("market_key", "offset_ms").agg(
        value=pl.col("markout_bps").mean(), half=1.645 * pl.col("markout_bps").std() / pl.len().sqrt()
    )
    return {
        _key((market_key, offset_ms)): (value, value - half, value + half)
        for market_key, offset_ms, value, half in markouts.iter_rows()
    }


def _key(key: tuple[str, int]) -> tuple[str, Measure]:
    return key[0], Measure(MARKOUT, key[1])


def _band(total: np.ndarray, count: np.ndarray, rng: np.random.Generator) -> Band:
    drawn = rng.multinomial(len(total), np.full(len(total), 1 / len(total)), RESAMPLES)
    low, high = np.quantile((drawn @ total) / (drawn @ count), [0.05, 0.95])
    return float(total.sum() / count.sum()), float(low), float(high)


def test_bands_of_whole_minutes_hold_as_often_as_claimed() -> None:
    tally = coverage(of_minutes, PLANS)["all, markout"]
    assert tally.bands == len(PLANS) * SMALL.markets * 3
    assert 0.8 < tally.coverage < 0.95


def test_bands_of_the_report_hold_as_often_as_claimed() -> None:
    tallies = coverage(report_bands, PLANS[:12])
    assert tallies[f"all, {MARKOUT}"].bands == 12 * SMALL.markets * 3
    assert tallies[f"all, {HAD}"].bands == 12 * SMALL.markets
    assert tallies[f"all, {ROUND_TRIP}"].bands > 12 * (SMALL.markets - 1) * 2
    assert all(0.8 < tallies[f"all, {name}"].coverage < 0.97 for name in (MARKOUT, ROUND_TRIP, HAD))


def test_bands_of_single_signals_hold_far_too_seldom() -> None:
    assert coverage(of_signals, PLANS)[f"all, {MARKOUT}"].coverage < 0.7


@pytest.mark.parametrize(("shift", "held", "side"), [(0.0, 1.0, None), (1e6, 0.0, "above"), (-1e6, 0.0, "below")])
def test_a_band_holds_or_lies_above_or_below(shift: float, held: float, side: str | None) -> None:
    def everything(_: pl.DataFrame, followups: pl.DataFrame) -> Bands:
        keys = followups.select("market_key", "offset_ms").unique().iter_rows()
        return dict.fromkeys(map(_key, keys), (shift, shift - 100000.0, shift + 100000.0))

    tally = coverage(everything, PLANS[:2])[f"all, {MARKOUT}"]
    assert tally.coverage == held
    assert (tally.above, tally.below) == (tally.bands * (side == "above"), tally.bands * (side == "below"))


def test_the_table_has_a_row_for_each_kind_and_measure_and_one_for_all() -> None:
    rows = list(table(coverage(of_signals, PLANS[:2])))
    assert len(rows) == 2 + 1 + len(MarketKind) * 3
    assert rows[2].startswith("| all, markout | 48 |")


def test_verdicts_are_counted_by_kind() -> None:
    head, _, *rows, _, last = verdicts(PLANS[:2])
    names = [name.strip() for name in head.split("|")[2:-1]]
    counts = {cells[0]: dict(zip(names, map(int, cells[1:]), strict=True)) for cells in map(_cells, rows)}
    markets = {kind: of_kind["markets"] for kind, of_kind in counts.items()}
    assert markets == {kind: 4 if kind is MarketKind.NOISE else 2 for kind in MarketKind}
    assert last.endswith("in 0 of 2 searches.")
    for of_kind in counts.values():
        assert (
            sum(of_kind[verdict.value] for verdict in ThresholdVerdict)
            == of_kind["markets"]
            >= of_kind["pay in sample"]
        )


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.split("|")[1:-1]]
