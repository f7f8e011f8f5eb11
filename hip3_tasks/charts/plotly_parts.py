"""Traces, axes and layouts of figures: dictionaries in plotly's format, for Python and for a browser.

A trace holds the numbers it is given unchanged, so that figures can be compared with the report's JSON. A missing value
is None, which plotly leaves out. Colour-blind readers can distinguish the colours, which show on white and on black.
"""

from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby
from math import inf
from typing import Any

from hip3_tasks.domain.outcome import Outcome
from hip3_tasks.stats.bootstrap import Estimate
from hip3_tasks.terminal_text import printable

Figure = dict[str, Any]
Trace = dict[str, Any]
Number = float | None

BLUE, AMBER, GREEN, RED, VIOLET, GREY = "#3b82c4", "#c98a1b", "#2f8f6b", "#d0605e", "#8d6cc4", "#8a9099"
OFFSETS = (BLUE, AMBER, VIOLET, GREEN, RED)
"""Colours of lines by offset, the nearest offset first."""
OUTCOMES = {
    Outcome.BOOK_CAME: GREEN,
    Outcome.ORACLE_CAME: BLUE,
    Outcome.UNMOVED: GREY + "77",
    Outcome.WIDENED: RED,
}
"""The fill of each outcome; the live page's style sheet has the same."""
FAINT, LESS_FAINT = "33", "66"
"""Opacities to append to a colour, in hex: lines stay visible behind the area."""
SLATE, CHALK = "#2b323a", "#f3f5f7"
INK, GRID = "#808790", "rgba(128, 135, 144, 0.28)"
MAX_LABEL = 22
ROW_PX = 21
CONFIG = {
    "displaylogo": False,
    "showSendToCloud": False,
    "responsive": True,
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d"],
}


def figure(data: Iterable[Trace | None], *, height: int = 380, **layout: Any) -> Figure:
    """Build a figure in the report's style from the traces that are not None; axes are named `xaxis*` and `yaxis*`."""
    axes = {name: _axis(options) for name, options in layout.items() if name.startswith(("xaxis", "yaxis"))}
    return {
        "data": [trace for trace in data if trace],
        "layout": {
            "height": height,
            "margin": {"l": 8, "r": 12, "t": 8, "b": 8},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"family": "system-ui, sans-serif", "size": 12, "color": INK},
            "legend": {"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom", "traceorder": "normal"},
            # Plotly would derive white from the transparent background, in dark mode too.
            "hoverlabel": {"bgcolor": SLATE, "bordercolor": SLATE, "font": {"color": CHALK}},
            # Dragging a finger must scroll the page; the toolbar has the zoom.
            "dragmode": False,
            "modebar": {"bgcolor": "rgba(0,0,0,0)"},
            "uirevision": "report",
            **layout,
            **axes,
        },
    }


def line(x: Sequence[Number], y: Sequence[Number], colour: str, name: str, **more: Any) -> Trace:
    """Points joined by a line, which breaks at a missing value."""
    style = {"mode": "lines+markers", "line": {"color": colour, "width": 2}, "marker": {"color": colour, "size": 7}}
    return {"type": "scatter", "x": list(x), "y": list(y), "name": name, "connectgaps": False, **style, **more}


def points(
    rows: Sequence[int], values: Sequence[Number], labels: Sequence[str], colour: str, name: str, **more: Any
) -> Trace | None:
    """Points in some rows of a category axis, or None without rows; `values` and `labels` (on hover) have all rows."""
    if not rows:
        return None
    style = {"mode": "markers", "marker": {"color": colour, "size": 8}, "hovertext": [labels[row] for row in rows]}
    return line([values[row] for row in rows], rows, colour, name, **(style | more))


def band(x: Sequence[float], low: Sequence[Number], high: Sequence[Number], colour: str, name: str) -> Trace:
    """The area between two lines, where both have values."""
    outline_x: list[Number] = []
    outline_y: list[Number] = []
    for is_known, run in groupby(zip(x, low, high, strict=True), key=lambda point: None not in point):
        if is_known:
            xs, lows, highs = zip(*run, strict=True)
            outline_x += [*xs, *reversed(xs), None]
            outline_y += [*highs, *reversed(lows), None]
    fill = {"fill": "toself", "fillcolor": colour + FAINT, "mode": "lines", "line": {"width": 0, "color": colour}}
    return {"type": "scatter", "x": outline_x[:-1], "y": outline_y[:-1], "name": name, "hoverinfo": "skip", **fill}


def segments(
    places: Sequence[float], ends: Sequence[tuple[Number, Number]], colour: str, name: str, *, upright: bool = False
) -> Trace:
    """A thin line between two ends in each place, along the y axis if `upright`, else along the x axis."""
    across = [number for place in places for number in (place, place, None)]
    along = [number for pair in ends for number in (*pair, None)]
    x, y = (across, along) if upright else (along, across)
    thin = {"mode": "lines", "line": {"color": colour, "width": 1.5}, "showlegend": False, "hoverinfo": "skip"}
    return {"type": "scatter", "x": x[:-1], "y": y[:-1], "name": name, "connectgaps": False, **thin}


def whiskers(places: Sequence[float], values: Sequence[Estimate], colour: str, *, upright: bool = True) -> Trace:
    """A thin line over the band of each value that has one."""
    known = [
        (place, (value.low, value.high)) for place, value in zip(places, values, strict=True) if value.low is not None
    ]
    return segments([place for place, _ in known], [band for _, band in known], colour, "band", upright=upright)


def estimates(x: Sequence[float], values: Sequence[Estimate], colour: str, name: str, **more: Any) -> list[Trace]:
    """A line through the values, over the area of their bands and with a whisker for each."""
    area = band(x, [value.low for value in values], [value.high for value in values], colour, "band")
    centre = line(x, [value.value for value in values], colour, name, **more)
    return [area | {"showlegend": False}, whiskers(x, values, colour), centre]


def category_axis(names: Sequence[str]) -> Trace:
    """A y axis of named rows, the first on top. The rows are numbers with labels: plotly takes `10:00` for a time."""
    return {
        "tickmode": "array",
        "tickvals": list(range(len(names))),
        "ticktext": [axis_label(name) for name in names],
        "range": [len(names) - 0.4, -0.6],
        "ticklabelstandoff": 5,
        "showgrid": False,
        "zeroline": False,
    }


def descending(value: Number) -> float:
    """A key that sorts the greatest value first, and missing ones last."""
    return inf if value is None else -value


def category_height(rows: int) -> int:
    """The height in pixels of a figure with so many named rows."""
    return 110 + ROW_PX * rows


def axis_label(name: str) -> str:
    """A name from a file, shortened, printable and escaped: plotly interprets some HTML tags."""
    text = printable(name)
    return escape(text if len(text) <= MAX_LABEL else text[: MAX_LABEL - 1] + "…", quote=False)


def _axis(options: Trace) -> Trace:
    style = {"gridcolor": GRID, "zerolinecolor": INK, "automargin": True, "zeroline": True, "showspikes": False}
    return {**style, **options, "title": {"text": options.get("title", ""), "standoff": 8}}
