"""The report's figures: plotly takes them, they hold the report's own numbers, and a gap where one is missing."""

from typing import Any

import plotly.graph_objects as go
import pytest

from hip3_tasks.analysis.measure.threshold_search import Search
from hip3_tasks.analysis.report import group_figures as groupfigures
from hip3_tasks.analysis.report import horizon_figures as figures
from hip3_tasks.analysis.report import threshold_figure as thresholdfigure
from hip3_tasks.analysis.report.model import LatenessQuantiles, Report
from hip3_tasks.charts.plotly_parts import Figure, band, whiskers
from hip3_tasks.stats.bootstrap import Estimate
from tests.reports import HOSTILE, a_hostile_report, a_report, a_report_of_a_minute, a_report_of_nothing


def searched(report: Report) -> Search:
    assert report.search is not None
    return report.search


def all_of(report: Report) -> dict[str, Figure]:
    drawn = {
        "decay": figures.decay(report.total.horizons),
        "markout": figures.markout(report.total.horizons, cost_bps=report.total.cost_bps),
        "net": groupfigures.net(report),
        "outcomes": groupfigures.outcomes(report),
        "lateness": figures.lateness(report.lateness),
    }
    if report.search:
        drawn["thresholds"] = thresholdfigure.thresholds(report.search)
    return drawn


def trace(figure: Figure, name: str) -> dict[str, Any]:
    (found,) = (one for one in figure["data"] if one["name"] == name)
    return found


@pytest.mark.parametrize("report", [a_report, a_report_of_a_minute, a_report_of_nothing, a_hostile_report])
def test_plotly_takes_every_figure_and_none_brings_a_background(report: Any) -> None:
    for drawn in all_of(report()).values():
        go.Figure(drawn)
        assert drawn["layout"]["paper_bgcolor"] == drawn["layout"]["plot_bgcolor"] == "rgba(0,0,0,0)"
        assert drawn["layout"]["uirevision"]


def test_the_decay_begins_with_all_of_the_edge_and_goes_through_the_reports_means() -> None:
    horizons = a_report().total.horizons
    drawn = figures.decay(horizons)
    edges, left = trace(drawn, "mean edge"), trace(drawn, "edge left, of 1 at T0")
    assert edges["x"] == left["x"] == [0, 1, 3, 5]
    assert edges["y"] == [horizons[0].edge_t0_bps.value, *(of.edge_bps.value for of in horizons)]
    assert left["y"] == [1, *(of.retention.value for of in horizons)]


def test_the_markouts_fan_is_the_reports_quantiles() -> None:
    horizons = a_report().total.horizons
    drawn = figures.markout(horizons, cost_bps=7.5)
    assert trace(drawn, "mean")["y"] == [0, *(of.markout_bps.value for of in horizons)]
    assert trace(drawn, "median")["y"] == [0, *(of.markout_quantiles_bps[2] for of in horizons)]
    least, most = ([of.markout_quantiles_bps[at] for of in horizons] for at in (0, 4))
    assert trace(drawn, "middle 80 %")["y"] == [0, *most, *reversed(least), 0]
    assert trace(drawn, "cost to beat")["y"] == [7.5, 7.5]


def test_groups_are_drawn_best_first_below_all_signals_and_hollow_without_a_band() -> None:
    report = a_report()
    drawn = groupfigures.net(report)
    nets = [group.horizons[-1].net_bps.value for group in groupfigures.best_first(report)]
    assert nets[1:] == sorted(nets[1:], reverse=True)
    assert trace(drawn, "mean, with its band")["x"] == nets
    bands = [group.horizons[-1].net_bps for group in groupfigures.best_first(report)]
    assert trace(drawn, "band")["x"][::3] == [of.low for of in bands]
    assert trace(drawn, "band")["x"][1::3] == [of.high for of in bands]
    minute = groupfigures.net(a_report_of_a_minute())
    assert trace(minute, "no band, no claim")["marker"]["symbol"] == "circle-open"
    assert trace(minute, "band")["x"] == []


def test_what_became_of_the_edge_adds_up() -> None:
    report = a_report()
    drawn = groupfigures.outcomes(report)
    came, led = trace(drawn, "book came")["x"], trace(drawn, "oracle came")["x"]
    at_last = [group.horizons[-1] for group in groupfigures.best_first(report)]
    assert (came, led) == ([of.book_came.value for of in at_last], [of.oracle_came.value for of in at_last])
    assert [sum(shares) for shares in zip(*(one["x"] for one in drawn["data"]), strict=True)] == pytest.approx(
        [1.0] * len(at_last)
    )


def test_a_group_without_the_longest_horizon_is_a_gap() -> None:
    report = a_report()
    short = report.groups[0].model_copy(update={"horizons": report.groups[0].horizons[:-1]})
    drawn = all_of(report.model_copy(update={"groups": [short, *report.groups[1:]]}))
    assert [one["x"][-1] for one in drawn["outcomes"]["data"]] == [None] * 4
    assert trace(drawn["net"], "no band, no claim")["x"] == [None]


def test_thresholds_join_in_sample_and_out_of_sample_of_each_market() -> None:
    search = searched(a_report())
    drawn = thresholdfigure.thresholds(search)
    chosen = [one for one in thresholdfigure.best_first(search) if one.in_sample]
    inside = [one.in_sample and one.in_sample.net_bps.value for one in chosen]
    outside = [one.out_of_sample and one.out_of_sample.net_bps.value for one in chosen]
    assert trace(drawn, "in sample")["x"] == inside
    assert (trace(drawn, "over-fit")["x"][::3], trace(drawn, "over-fit")["x"][1::3]) == (inside, outside)
    for verdict in {one.verdict for one in chosen}:
        marks = trace(drawn, f"out: {verdict}")
        assert marks["x"] == [value for one, value in zip(chosen, outside, strict=True) if one.verdict is verdict]
    assert len({symbol for _, symbol in thresholdfigure.STYLES.values()}) == len(thresholdfigure.STYLES)


def test_zero_can_be_seen_where_it_decides() -> None:
    drawn = all_of(a_report())
    assert [drawn[name]["layout"]["xaxis"]["rangemode"] for name in ("net", "thresholds")] == ["tozero"] * 2


def test_lateness_is_on_a_logarithm_unless_some_was_nothing() -> None:
    drawn = figures.lateness([LatenessQuantiles(offset_ms=1000, n=9, quantiles_ms=[1, 2, 30, 400, 500])])
    assert (drawn["layout"]["yaxis"]["type"], drawn["data"][0]["y"]) == ("log", [1, 2, 30, 400, 500])
    drawn = figures.lateness([LatenessQuantiles(offset_ms=1000, n=9, quantiles_ms=[0, 2, 30, 400, 500])])
    assert (drawn["layout"]["yaxis"]["type"], drawn["data"][0]["y"]) == ("linear", [0, 2, 30, 400, 500])


def test_names_are_labels_that_plotly_takes_for_text() -> None:
    axis = groupfigures.net(a_hostile_report())["layout"]["yaxis"]
    assert axis["tickvals"] == list(range(len(HOSTILE) + 1))
    assert not any("<" in text or "\x1b" in text for text in axis["ticktext"])
    assert "10:00" in axis["ticktext"]
    assert max(map(len, axis["ticktext"])) < 120


def test_a_band_is_drawn_in_pieces_around_a_gap() -> None:
    area = band([0, 1, 2, 3], [1, 1, None, 2], [3, 4, None, 5], "#123456", "band")
    assert (area["x"], area["y"]) == ([0, 1, 1, 0, None, 3, 3], [3, 4, 1, 1, None, 5, 2])
    thin = whiskers([0, 1], [Estimate(value=1.0), Estimate(value=2.0, low=1.5, high=2.5)], "#123456")
    assert (thin["x"], thin["y"]) == ([1, 1], [1.5, 2.5])
