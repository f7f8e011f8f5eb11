"""Measures of follow-ups, on cases small enough to compute by hand."""

from pathlib import Path
from typing import Any

import pytest

from hip3_tasks.analysis.loading.load import load
from hip3_tasks.analysis.measure.by import By
from hip3_tasks.analysis.measure.horizons import HalfLife, Horizon
from hip3_tasks.analysis.reporting.build import build_report
from hip3_tasks.analysis.reporting.command import as_csv
from hip3_tasks.analysis.reporting.model import Group, Report
from hip3_tasks.domain.edge import Side
from tests.support.factories import T0_MS, a_followup, a_missed, a_signal
from tests.support.generators import MINUTE_MS, Directory

# Follow-ups by outcome: the edge at T0 and later, how far the touch and the oracle moved, and the markout.
CAME, LED, WIDENED, UNMOVED = (
    {
        "t0_raw_edge_bps": 10.0,
        "raw_edge_bps": 4.0,
        "market_moved_bps": 6.0,
        "oracle_moved_bps": 0.0,
        "markout_bps": 5.0,
    },
    {
        "t0_raw_edge_bps": 20.0,
        "raw_edge_bps": 5.0,
        "market_moved_bps": 1.0,
        "oracle_moved_bps": -14.0,
        "markout_bps": -3.0,
    },
    {
        "t0_raw_edge_bps": 10.0,
        "raw_edge_bps": 12.0,
        "market_moved_bps": -2.0,
        "oracle_moved_bps": 0.0,
        "markout_bps": 0.0,
    },
    {
        "t0_raw_edge_bps": 8.0,
        "raw_edge_bps": 8.0,
        "market_moved_bps": 0.0,
        "oracle_moved_bps": 0.0,
        "markout_bps": None,
    },
)


def a_report(data_dir: Path, *moves: dict[str, Any], side: Side = Side.BUY, cost_bps: float | None = 2.0) -> Report:
    directory = Directory(data_dir)
    for index, values in enumerate(moves):
        signal = a_signal(at_ms=T0_MS + index, side=side)
        directory.add(signal, a_followup(signal, **values))
    return build_report(load(data_dir), by=By.SIDE, cost_bps=cost_bps, at_ms=0)


def the_horizon(data_dir: Path, *moves: dict[str, Any], **others: Any) -> Horizon:
    return a_report(data_dir, *moves, **others).total.horizons[0]


def test_each_follow_up_has_one_of_four_outcomes(tmp_path: Path) -> None:
    horizon = the_horizon(tmp_path, CAME, LED, WIDENED, UNMOVED)
    assert (horizon.book_came.value, horizon.oracle_came.value) == (0.25, 0.25)
    assert (horizon.unmoved, horizon.widened) == (0.25, 0.25)
    assert horizon.valid.value == 0.5
    assert (horizon.n, horizon.clusters) == (4, 1)


def test_edges_are_means_and_retention_is_their_ratio(tmp_path: Path) -> None:
    horizon = the_horizon(tmp_path, CAME, LED, WIDENED, UNMOVED)
    assert (horizon.edge_t0_bps.value, horizon.edge_bps.value) == (12.0, 7.25)
    assert horizon.retention.value == pytest.approx(29 / 48)
    assert horizon.retention_mean == pytest.approx((0.4 + 0.25 + 1.2 + 1.0) / 4)
    assert horizon.retention_median == pytest.approx(0.7)


def test_the_parts_are_the_moves_signed_towards_each_other(tmp_path: Path) -> None:
    horizon = the_horizon(tmp_path, CAME, LED, WIDENED, UNMOVED)
    assert (horizon.market_part_bps.value, horizon.oracle_part_bps.value) == (1.25, 3.5)


def test_for_a_sell_the_same_moves_have_the_other_sign(tmp_path: Path) -> None:
    horizon = the_horizon(tmp_path, CAME, LED, WIDENED, UNMOVED, side=Side.SELL)
    assert (horizon.market_part_bps.value, horizon.oracle_part_bps.value) == (-1.25, -3.5)
    assert horizon.markout_bps.value == pytest.approx(2 / 3)


def test_when_both_moved_the_greater_move_decides_and_the_book_when_equal(tmp_path: Path) -> None:
    equal = {"t0_raw_edge_bps": 10.0, "raw_edge_bps": 0.0, "market_moved_bps": 5.0, "oracle_moved_bps": -5.0}
    horizon = the_horizon(tmp_path, equal, equal | {"market_moved_bps": 4.9})
    assert (horizon.book_came.value, horizon.oracle_came.value) == (0.5, 0.5)


def test_measures_of_markouts_leave_out_follow_ups_without_one(tmp_path: Path) -> None:
    horizon = the_horizon(tmp_path, CAME, LED, WIDENED, UNMOVED)
    assert (horizon.markout_n, horizon.hit.value) == (3, pytest.approx(1 / 3))
    assert horizon.markout_quantiles_bps == pytest.approx([-2.4, -1.5, 0.0, 2.5, 4.0])
    assert (horizon.net_bps.value, horizon.won.value) == (pytest.approx(2 / 3 - 2), pytest.approx(1 / 3))


def test_without_any_markout_its_measures_are_missing(tmp_path: Path) -> None:
    report = a_report(tmp_path, UNMOVED)
    horizon = report.total.horizons[0]
    assert (horizon.markout_n, horizon.markout_bps.value, horizon.hit.value, horizon.won.value) == (0, None, None, None)
    assert horizon.markout_quantiles_bps == [None] * 5
    assert report.search is None


def test_edges_of_zero_at_t0_have_no_retention(tmp_path: Path) -> None:
    flat = {"t0_raw_edge_bps": 0.0, "raw_edge_bps": 3.0}
    report = a_report(tmp_path, flat, flat)
    horizon = report.total.horizons[0]
    assert (horizon.retention.value, horizon.retention_mean, horizon.retention_median) == (None, None, None)
    assert report.total.half_life is None


def test_a_turned_edge_at_t0_counts_in_the_sums_and_not_in_the_published_metric(tmp_path: Path) -> None:
    horizon = the_horizon(tmp_path, CAME, {"t0_raw_edge_bps": -2.0, "raw_edge_bps": 1.0})
    assert horizon.retention.value == pytest.approx(5 / 8)
    assert horizon.retention_mean == horizon.retention_median == pytest.approx(0.4)


def test_the_cost_is_the_signals_own_unless_one_is_given(tmp_path: Path) -> None:
    directory = Directory(tmp_path)
    for index, cost_bps in enumerate([1.0, 2.0, 9.0]):
        signal = a_signal(at_ms=T0_MS + index, raw_edge_bps=20.0, net_edge_bps=20.0 - cost_bps)
        directory.add(signal, a_followup(signal, markout_bps=5.0))
    own, asked = (build_report(load(tmp_path), by=By.SIDE, cost_bps=cost_bps, at_ms=0) for cost_bps in (None, 4.0))
    assert (own.total.cost_bps, own.total.horizons[0].net_bps.value) == (4.0, 1.0)
    assert (asked.total.cost_bps, asked.total.horizons[0].net_bps.value) == (4.0, 1.0)


# Half-life.


def a_half_life(data_dir: Path, *retentions: float, minutes: int = 1) -> HalfLife:
    directory = Directory(data_dir)
    for minute in range(minutes):
        signal = a_signal(at_ms=T0_MS + minute * MINUTE_MS)
        for offset_ms, retention in zip((1000, 3000, 5000), retentions, strict=False):
            edge_bps = signal.raw_edge_bps * (retention + 0.01 * (minute % 3 - 1))
            directory.add(signal, a_followup(signal, offset_ms, raw_edge_bps=edge_bps))
    half_life = build_report(load(data_dir), by=By.SIDE, cost_bps=0.0, at_ms=0).total.half_life
    assert half_life is not None
    return half_life


@pytest.mark.parametrize(
    ("retentions", "half_life_s"),
    [
        ((0.5, 0.4, 0.3), 1.0),
        ((0.75, 0.25, 0.0), 2.0),
        ((0.9, 0.8, 0.4), 4.5),
        ((0.0, 0.0, 0.0), 0.5),
        ((-1.0, 2.0, 0.1), 0.25),
        ((0.9, 0.8, 0.6), None),
        ((0.9, 0.7, 0.5), 5.0),
        ((0.8,), None),
        ((0.2,), 0.625),
    ],
)
def test_the_half_life_is_where_the_retention_first_is_one_half(
    retentions: tuple[float, ...], half_life_s: float | None, tmp_path: Path
) -> None:
    half_life = a_half_life(tmp_path, *[retention + 0.01 for retention in retentions])
    assert half_life.value_s == (None if half_life_s is None else pytest.approx(half_life_s, abs=1e-9))
    assert not half_life.has_band


def test_a_half_life_has_a_band_if_there_are_enough_clusters(tmp_path: Path) -> None:
    half_life = a_half_life(tmp_path, 0.75, 0.25, 0.0, minutes=30)
    assert half_life.has_band
    assert half_life.low_s is not None and half_life.value_s is not None and half_life.high_s is not None
    assert half_life.low_s < half_life.value_s < half_life.high_s
    assert half_life.value_s == pytest.approx(2.0, abs=1e-9)


def test_a_half_life_beyond_the_longest_horizon_may_begin_within_it(tmp_path: Path) -> None:
    half_life = a_half_life(tmp_path, 0.9, 0.7, 0.5001, minutes=30)
    assert half_life.has_band
    assert (half_life.value_s, half_life.high_s) == (None, None)
    assert half_life.low_s is not None and half_life.low_s < 5.0


# Groups.


def named(report: Report) -> dict[str, Group]:
    return {group.name: group for group in report.groups}


def test_groups_hold_their_signals_and_the_total_all(tmp_path: Path) -> None:
    directory = Directory(tmp_path)
    for index in range(3):
        signal = a_signal(at_ms=T0_MS + index)
        directory.add(signal, a_followup(signal), a_missed(signal, 3000))
    sell = a_signal(side=Side.SELL, at_ms=T0_MS + 9, offsets_ms=(1000,))
    directory.add(sell, a_followup(sell))
    report = build_report(load(tmp_path), by=By.SIDE, cost_bps=None, at_ms=0)
    groups = named(report)
    assert list(groups) == ["buy", "sell"]
    assert [(group.signals, group.expected, group.captured) for group in groups.values()] == [(3, 9, 3), (1, 1, 1)]
    assert (report.total.signals, report.total.expected, report.total.captured) == (4, 10, 4)
    assert (report.total.one_sided, groups["buy"].one_sided) == (0.75, 1.0)


def test_a_group_without_follow_ups_is_listed_and_its_measures_are_missing(tmp_path: Path) -> None:
    sell = a_signal(side=Side.SELL, at_ms=T0_MS + 1)
    Directory(tmp_path).add(a_signal(), a_followup(), sell, a_missed(sell))
    report = build_report(load(tmp_path), by=By.SIDE, cost_bps=None, at_ms=0)
    group = named(report)["sell"]
    assert (group.signals, group.expected, group.captured, group.horizons) == (1, 3, 0, [])
    assert (group.one_sided, group.half_life, report.at_longest(group)) == (None, None, None)
    assert as_csv(report).splitlines()[-1].rstrip(",") == f"sell,1,3,0,{group.cost_bps}"


def test_follow_ups_without_their_signals_make_the_open_count_unknown(tmp_path: Path) -> None:
    beside, lost = a_signal(), a_signal("xyz:NVDA")
    Directory(tmp_path).add(beside, a_followup(beside), a_followup(lost), a_missed(lost, 3000))
    report = build_report(load(tmp_path), by=By.MARKET, cost_bps=None, at_ms=0)
    assert (report.coverage.unowed, report.coverage.open, report.coverage.captured_share) == (2, None, None)
    assert report.warnings() == ["the signals of at least 2 follow-ups are missing: the number of open ones is unknown"]


def test_expected_follow_ups_are_captured_missed_or_open(tmp_path: Path) -> None:
    Directory(tmp_path).add(a_signal(), a_followup(), a_missed(offset_ms=3000))
    coverage = build_report(load(tmp_path), by=By.MARKET, cost_bps=None, at_ms=0).coverage
    assert (coverage.expected, coverage.captured, coverage.missed, coverage.open) == (3, 1, {"feed_gap": 1}, 1)
    assert not coverage.expected_is_assumed


def test_expected_follow_ups_of_foreign_signals_are_assumed(tmp_path: Path) -> None:
    Directory(tmp_path, foreign=True).add(a_signal(), a_followup(), a_followup(offset_ms=5000))
    coverage = build_report(load(tmp_path), by=By.MARKET, cost_bps=None, at_ms=0).coverage
    assert (coverage.expected, coverage.expected_is_assumed, coverage.open) == (2, True, 0)


def test_a_lateness_quantile_is_the_least_that_its_share_does_not_exceed(tmp_path: Path) -> None:
    directory = Directory(tmp_path)
    for index, late_ms in enumerate([4, 1, 3, 2]):
        signal = a_signal(at_ms=T0_MS + index)
        directory.add(a_followup(signal, captured_at_ms=signal.timestamp_ms + 1000 + late_ms))
    (lateness,) = build_report(load(tmp_path), by=By.MARKET, cost_bps=None, at_ms=0).lateness
    assert (lateness.offset_ms, lateness.n, lateness.quantiles_ms) == (1000, 4, [2, 4, 4, 4, 4])
