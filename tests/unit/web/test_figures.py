"""The page's charts are valid figures of plotly."""

import plotly.graph_objects as go

from hip3_tasks.domain.edge import Side
from hip3_tasks.domain.market import Entry, Gap
from hip3_tasks.stats.bootstrap import Estimate
from hip3_tasks.status.rolling_window import RollingWindow
from hip3_tasks.web.decay import DecayRow, TripRow
from hip3_tasks.web.figures import decay_figure, lateness_figure, signal_figure
from hip3_tasks.web.recent_signals import HorizonCell, SignalRow
from tests.support.factories import T0_MS, a_followup, a_market

ROW = SignalRow(
    signal_id=f"xyz:TSLA-{T0_MS}",
    coin="xyz:TSLA",
    side=Side.BUY,
    at_ms=T0_MS,
    raw_edge_bps=20.0,
    net_edge_bps=10.0,
    threshold_bps=15.0,
    cells=[HorizonCell(offset_ms=1000), HorizonCell(offset_ms=3000)],
)


def test_prices_are_steps_that_break_in_a_gap() -> None:
    entries = [
        Entry(T0_MS - 9_000, a_market(ask_px=100.0)),
        Entry(T0_MS, a_market(ask_px=101.0)),
        Entry(T0_MS + 1_500, Gap("stalled")),
        Entry(T0_MS + 2_000, a_market(ask_px=102.0)),
    ]
    figure = signal_figure(ROW, entries, from_ms=T0_MS - 5_000, until_ms=T0_MS + 3_000)
    ask, bid, oracle = figure["data"]
    assert (ask["name"], bid["name"], oracle["name"]) == ("ask", "bid", "oracle")
    assert list(zip(ask["x"], ask["y"], strict=True)) == [
        (-5.0, 100.0),
        (0.0, 101.0),
        (1.5, None),
        (2.0, 102.0),
        (3.0, 102.0),
    ]
    assert [mark["text"] for mark in figure["layout"]["annotations"]] == ["T0", "T+1", "T+3"]
    go.Figure(figure)


def test_a_decay_chart_shows_a_band_only_where_there_is_one() -> None:
    sure, unsure = Estimate(value=4.0, low=3.0, high=5.0), Estimate(value=2.0)
    horizons = [
        DecayRow(offset_ms=0, edge_bps=sure, markout_bps=unsure, n=9, clusters=3),
        DecayRow(offset_ms=1000, edge_bps=unsure, markout_bps=unsure, n=9, clusters=1),
    ]
    trips = [
        TripRow(latency_ms=1000, held_ms=ms, n=9, too_small=0, had=sure, trips=5, clusters=3, round_trip_bps=sure)
        for ms in (2000, 4000)
    ]
    figure = decay_figure(horizons, trips)
    edge_band, edge_whiskers, edge, markout_band, _, _, _, _, round_trip = figure["data"]
    assert (round_trip["x"], round_trip["y"]) == ([3.0, 5.0], [4.0, 4.0])
    assert (edge_band["x"], edge_band["y"]) == ([0.0, 0.0], [5.0, 3.0])
    assert (edge["x"], edge["y"]) == ([0.0, 1.0], [4.0, 2.0])
    assert (edge_whiskers["x"], markout_band["x"]) == ([0.0, 0.0], [])
    go.Figure(figure)


def test_lateness_is_drawn_by_offset() -> None:
    window = RollingWindow()
    for offset_ms in (1000, 3000):
        window.take("followups", a_followup(offset_ms=offset_ms).model_dump(mode="json"))
    figure = lateness_figure(window)
    assert [line["name"] for line in figure["data"]] == ["T+1, p50", "T+1, p99", "T+3, p50", "T+3, p99"]
    assert [line["y"] for line in figure["data"]] == [[3]] * 4
    go.Figure(figure)


def test_a_figure_without_data_is_empty() -> None:
    assert lateness_figure(RollingWindow())["data"] == []
    assert all(line["x"] == [] for line in decay_figure([], [])["data"])
