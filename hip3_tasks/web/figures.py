"""The page's charts, as the dictionaries that plotly draws; colours and fonts of paper and text are the page's own."""

from collections.abc import Sequence
from typing import Any

from hip3_tasks.market import Entry, Market
from hip3_tasks.watch.window import Window
from hip3_tasks.web.decaytable import Band, Horizon
from hip3_tasks.web.recents import SignalRow

Figure = dict[str, Any]

EDGE, MARKOUT, ORACLE, BID, ASK = "#c98a1b", "#2f8f6b", "#3b82c4", "#2f8f6b", "#d0605e"
"""Seen well on black and on white."""
MEDIAN, SLOWEST = 0.5, 0.99
OFFSETS = ("#3b82c4", "#2f8f6b", "#c98a1b", "#8d6cc4", "#d0605e")


def lateness_figure(window: Window) -> Figure:
    """p50 and p99 by offset, over the last quarter of an hour."""
    stretches = list(window.lateness())
    offsets_ms = sorted({offset_ms for _, by_offset in stretches for offset_ms in by_offset})
    data: list[Figure] = []
    for number, offset_ms in enumerate(offsets_ms):
        for q, dash in ((MEDIAN, "dot"), (SLOWEST, "solid")):
            found = [
                (at_ms, by_offset[offset_ms].quantile(q)) for at_ms, by_offset in stretches if offset_ms in by_offset
            ]
            data.append(
                _line(
                    [at_ms for at_ms, _ in found],
                    [max(1, late_ms or 0) for _, late_ms in found],
                    OFFSETS[number % len(OFFSETS)],
                    name=f"T+{offset_ms / 1000:g}, p{q * 100:g}",
                    dash=dash,
                )
                | {"showlegend": q == SLOWEST, "legendgroup": offset_ms}
            )
    return {
        "data": data,
        "layout": {
            "xaxis": {"type": "date"},
            "yaxis": {"type": "log", "dtick": 1, "title": {"text": "ms late, p50 dotted"}},
        },
    }


def decay_figure(horizons: Sequence[Horizon]) -> Figure:
    """Mean edge and markout by horizon, each with its band."""
    seconds = [horizon.offset_ms / 1000 for horizon in horizons]
    data = [
        *_banded(seconds, [horizon.edge_bps for horizon in horizons], EDGE, name="edge left"),
        *_banded(seconds, [horizon.markout_bps for horizon in horizons], MARKOUT, name="markout"),
    ]
    axes = {
        "xaxis": {"title": {"text": "s after the signal"}, "tickvals": seconds},
        "yaxis": {"title": {"text": "bps"}},
    }
    return {"data": data, "layout": axes}


def signal_figure(row: SignalRow, entries: Sequence[Entry], *, from_ms: int, until_ms: int) -> Figure:
    """Both sides and the oracle around a signal, in seconds from it; broken where nothing is known."""
    instants_ms = [*(max(entry.at_ms, from_ms) for entry in entries), *([until_ms] if entries else [])]
    seconds = [(at_ms - row.at_ms) / 1000 for at_ms in instants_ms]
    states = [entry.value if isinstance(entry.value, Market) else None for entry in entries]
    states += states[-1:]
    lines = {
        "ask": ([state and state.ask_px for state in states], ASK),
        "bid": ([state and state.bid_px for state in states], BID),
        "oracle": ([state and state.oracle_px for state in states], ORACLE),
    }
    data = [
        _line(seconds, prices, colour, name=name, shape="hv", dash="dash" if name == "oracle" else "solid")
        for name, (prices, colour) in lines.items()
    ]
    instants = {0: "T0"} | {cell.offset_ms: f"T+{cell.offset_ms / 1000:g}" for cell in row.cells}
    marks = {
        "shapes": [_mark(ms) for ms in instants],
        "annotations": [_label(ms, text) for ms, text in instants.items()],
    }
    room = {"legend": {"y": 1.1}, "margin": {"t": 48}}
    return {"data": data, "layout": {"xaxis": {"title": {"text": "s from the signal"}}, **marks, **room}}


def _line(
    x: Sequence[float], y: Sequence[Any], colour: str, *, name: str, dash: str = "solid", shape: str = "linear"
) -> Figure:
    line = {"color": colour, "width": 1.5, "dash": dash, "shape": shape}
    return {"type": "scatter", "mode": "lines", "x": list(x), "y": list(y), "name": name, "line": line}


def _banded(x: Sequence[float], bands: Sequence[Band], colour: str, *, name: str) -> list[Figure]:
    sure = [(at, band) for at, band in zip(x, bands, strict=True) if band.low is not None]
    outline_x = [at for at, _ in sure] + [at for at, _ in reversed(sure)]
    outline_y = [band.high for _, band in sure] + [band.low for _, band in reversed(sure)]
    band = {
        "type": "scatter",
        "x": outline_x,
        "y": outline_y,
        "fill": "toself",
        "fillcolor": colour + "33",
        "line": {"width": 0},
        "mode": "lines",
        "hoverinfo": "skip",
        "showlegend": False,
        "name": f"{name}, 95 %",
    }
    means = _line(x, [found.mean for found in bands], colour, name=name)
    return [band, means | {"mode": "lines+markers", "marker": {"color": colour, "size": 7}}]


def _mark(offset_ms: int) -> Figure:
    at_s = offset_ms / 1000
    line = {"width": 1, "color": "#8888", "dash": "solid" if offset_ms == 0 else "dot"}
    return {"type": "line", "x0": at_s, "x1": at_s, "y0": 0, "y1": 1, "yref": "paper", "line": line}


def _label(offset_ms: int, text: str) -> Figure:
    at_s = offset_ms / 1000
    return {"x": at_s, "y": 1, "yref": "paper", "yanchor": "bottom", "text": text, "showarrow": False}
