"""The report's figures: plotly accepts them, and they hold the report's numbers, with gaps for missing ones."""

from typing import Any

import plotly.graph_objects as go
import pytest

from hip3_tasks.analysis.measure.threshold_search import ThresholdSearch
from hip3_tasks.analysis.reporting import figures
from hip3_tasks.analysis.reporting.model import LatenessQuantiles, Report
from hip3_tasks.charts.plotly_parts import Figure, band, whiskers
from hip3_tasks.stats.bootstrap import Estimate
from tests.support.report_samples import HOSTILE, a_hostile_report, a_report, a_report_of_a_minute, a_report_of_nothing


def searched(report: Report) -> ThresholdSearch:
    assert report.search is not None
    return report.search


def all_of(report: Report) -> dict[str, Figure]:
    drawn = {
        "decay": figures.decay(report.total.horizons),
        "markout": figures.markout(report.total.horizons, cost_bps=report.total.cost_bps),
        "round_trips": figures.round_trips(report),
        "outcomes": figures.outcomes(report),
        "lateness": figures.lateness(report.lateness),
    }
    if report.search:
        drawn["thresholds"] = figures.thresholds(report.search)
    return drawn


def trace(figure: Figure, name: str) -> dict[str, Any]:
    (match,) = (trace for trace in figure["data"] if trace["name"] == name)
    return match


@pytest.mark.parametrize("report", [a_report, a_report_of_a_minute, a_report_of_nothing, a_hostile_report])
def test_plotly_accepts_every_figure_and_none_has_a_background(report: Any) -> None:
    for drawn in all_of(report()).values():
        go.Figure(drawn)
        assert drawn["layout"]["paper_bgcolor"] == drawn["layout"]["plot_bgcolor"] == "rgba(0,0,0,0)"
        assert drawn["layout"]["uirevision"]


def test_the_decay_starts_at_1_and_passes_through_the_means() -> None:
    horizons = a_report().total.horizons
    drawn = figures.decay(horizons)
    edges, left = trace(drawn, "mean edge"), trace(drawn, "edge left, of 1 at T0")
    assert edges["x"] == left["x"] == [0, 1, 3, 5]
    assert edges["y"] == [horizons[0].edge_t0_bps.value, *(horizon.edge_bps.value for horizon in horizons)]
    assert left["y"] == [1, *(horizon.retention.value for horizon in horizons)]


def test_the_fan_of_markouts_has_the_quantiles() -> None:
    horizons = a_report().total.horizons
    drawn = figures.markout(horizons, cost_bps=7.5)
    assert trace(drawn, "mean")["y"] == [0, *(horizon.markout_bps.value for horizon in horizons)]
    assert trace(drawn, "median")["y"] == [0, *(horizon.markout_quantiles_bps[2] for horizon in horizons)]
    least, most = ([horizon.markout_quantiles_bps[index] for horizon in horizons] for index in (0, 4))
    assert trace(drawn, "middle 80 %")["y"] == [0, *most, *reversed(least), 0]
    assert trace(drawn, "cost to beat")["y"] == [7.5, 7.5]


def test_groups_are_drawn_best_first_below_all_signals_and_hollow_without_a_band() -> None:
    report = a_report()
    drawn = figures.round_trips(report)
    bands = [group.trips[-1].round_trip_bps for group in figures.best_first(report)]
    values = [band.value for band in bands]
    assert values[1:] == sorted(values[1:], reverse=True)
    assert trace(drawn, "mean, with its band")["x"] == values
    assert trace(drawn, "band")["x"][::3] == [band.low for band in bands]
    assert trace(drawn, "band")["x"][1::3] == [band.high for band in bands]
    minute = figures.round_trips(a_report_of_a_minute())
    assert trace(minute, "no band, no claim")["marker"]["symbol"] == "circle-open"
    assert trace(minute, "band")["x"] == []


def test_outcomes_of_a_group_add_up_to_1() -> None:
    report = a_report()
    drawn = figures.outcomes(report)
    came, led = trace(drawn, "book came")["x"], trace(drawn, "oracle came")["x"]
    longest = [group.horizons[-1] for group in figures.best_first(report)]
    assert (came, led) == (
        [horizon.book_came.value for horizon in longest],
        [horizon.oracle_came.value for horizon in longest],
    )
    assert [sum(shares) for shares in zip(*(bars["x"] for bars in drawn["data"]), strict=True)] == pytest.approx(
        [1.0] * len(longest)
    )


def test_a_group_without_the_longest_horizon_is_a_gap() -> None:
    report = a_report()
    changes = {"horizons": report.groups[0].horizons[:-1], "judged": None}
    short = report.groups[0].model_copy(update=changes)
    drawn = all_of(report.model_copy(update={"groups": [short, *report.groups[1:]]}))
    assert [bars["x"][-1] for bars in drawn["outcomes"]["data"]] == [None] * 4
    assert trace(drawn["round_trips"], "no band, no claim")["x"] == [None]


def test_thresholds_join_in_sample_and_out_of_sample_of_each_market() -> None:
    search = searched(a_report())
    drawn = figures.thresholds(search)
    chosen = [choice for choice in figures.best_tuned(search) if choice.in_sample]
    inside = [choice.in_sample and choice.in_sample.round_trip_bps.value for choice in chosen]
    outside = [choice.out_of_sample and choice.out_of_sample.round_trip_bps.value for choice in chosen]
    assert trace(drawn, "in sample")["x"] == inside
    assert (trace(drawn, "over-fit")["x"][::3], trace(drawn, "over-fit")["x"][1::3]) == (inside, outside)
    for verdict in {choice.verdict for choice in chosen}:
        marks = trace(drawn, f"out: {verdict}")
        assert marks["x"] == [value for choice, value in zip(chosen, outside, strict=True) if choice.verdict is verdict]
    assert len({symbol for _, symbol in figures.STYLES.values()}) == len(figures.STYLES)


def test_zero_is_visible_on_axes_of_results() -> None:
    drawn = all_of(a_report())
    assert [drawn[name]["layout"]["xaxis"]["rangemode"] for name in ("round_trips", "thresholds")] == ["tozero"] * 2


def test_the_axis_of_lateness_is_logarithmic_unless_some_is_zero() -> None:
    drawn = figures.lateness([LatenessQuantiles(offset_ms=1000, n=9, quantiles_ms=[1, 2, 30, 400, 500])])
    assert (drawn["layout"]["yaxis"]["type"], drawn["data"][0]["y"]) == ("log", [1, 2, 30, 400, 500])
    drawn = figures.lateness([LatenessQuantiles(offset_ms=1000, n=9, quantiles_ms=[0, 2, 30, 400, 500])])
    assert (drawn["layout"]["yaxis"]["type"], drawn["data"][0]["y"]) == ("linear", [0, 2, 30, 400, 500])


def test_names_are_labels_that_plotly_shows_as_text() -> None:
    axis = figures.round_trips(a_hostile_report())["layout"]["yaxis"]
    assert axis["tickvals"] == list(range(len(HOSTILE) + 1))
    assert not any("<" in text or "\x1b" in text for text in axis["ticktext"])
    assert "10:00" in axis["ticktext"]
    assert max(map(len, axis["ticktext"])) < 120


def test_a_band_is_drawn_in_pieces_around_a_gap() -> None:
    area = band([0, 1, 2, 3], [1, 1, None, 2], [3, 4, None, 5], "#123456", "band")
    assert (area["x"], area["y"]) == ([0, 1, 1, 0, None, 3, 3], [3, 4, 1, 1, None, 5, 2])
    thin = whiskers([0, 1], [Estimate(value=1.0), Estimate(value=2.0, low=1.5, high=2.5)], "#123456")
    assert (thin["x"], thin["y"]) == ([1, 1], [1.5, 2.5])
