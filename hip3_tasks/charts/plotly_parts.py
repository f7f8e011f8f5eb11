"""What the report's figures are drawn with: dictionaries as plotly takes them, here and in a browser.

Every number in a trace is a number of the report, unchanged, so that the figures can be held against its JSON. What is
missing is None, which plotly leaves out. Colours can be told apart by the colour-blind, and seen on white and on black.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from hip3_tasks.stats.bootstrap import Estimate
from hip3_tasks.terminal_text import printable

Figure = dict[str, Any]
Trace = dict[str, Any]
Number = float | None

BLUE, AMBER, GREEN, RED, VIOLET, GREY = "#3b82c4", "#c98a1b", "#2f8f6b", "#d0605e", "#8d6cc4", "#8a9099"
OFFSETS = (BLUE, AMBER, VIOLET, GREEN, RED)
"""Of one line an offset, the nearest first."""
FAINT, LESS_FAINT = "33", "66"
"""Put after a colour: so transparent that lines can be seen through it."""
SLATE, CHALK = "#2b323a", "#f3f5f7"
INK, GRID = "#808790", "rgba(128, 135, 144, 0.28)"
LONGEST_LABEL = 22
ROW_PX = 21
CONFIG = {
    "displaylogo": False,
    "showSendToCloud": False,
    "responsive": True,
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d"],
}


def figure(data: Iterable[Trace | None], *, height: int = 380, **layout: Any) -> Figure:
    """Traces, but for None, in the report's manner; axes are given as `xaxis` and `yaxis`."""
    axes = {name: _axis(of) for name, of in layout.items() if name.startswith(("xaxis", "yaxis"))}
    return {
        "data": [trace for trace in data if trace],
        "layout": {
            "height": height,
            "margin": {"l": 8, "r": 12, "t": 8, "b": 8},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"family": "system-ui, sans-serif", "size": 12, "color": INK},
            "legend": {"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom", "traceorder": "normal"},
            # A colour of its own: plotly would take white for what lies under a transparent paper, in the dark as well.
            "hoverlabel": {"bgcolor": SLATE, "bordercolor": SLATE, "font": {"color": CHALK}},
            # By dragging, a finger wants to move the page; the bar of tools has the zoom.
            "dragmode": False,
            "modebar": {"bgcolor": "rgba(0,0,0,0)"},
            "uirevision": "report",
            **layout,
            **axes,
        },
    }


def line(x: Sequence[Number], y: Sequence[Number], colour: str, name: str, **more: Any) -> Trace:
    """Points joined by a line, broken where there is none."""
    looks = {"mode": "lines+markers", "line": {"color": colour, "width": 2}, "marker": {"color": colour, "size": 7}}
    return {"type": "scatter", "x": list(x), "y": list(y), "name": name, "connectgaps": False, **looks, **more}


def dots(x: Sequence[Number], y: Sequence[Number], colour: str, name: str, **more: Any) -> Trace:
    """Points alone."""
    return line(x, y, colour, name, **({"mode": "markers", "marker": {"color": colour, "size": 8}} | more))


def band(x: Sequence[float], low: Sequence[Number], high: Sequence[Number], colour: str, name: str) -> Trace:
    """The area between two lines, where both are."""
    across: list[Number] = []
    up: list[Number] = []
    for run in _runs(x, low, high):
        across += [at for at, _, _ in run] + [at for at, _, _ in reversed(run)] + [None]
        up += [most for _, _, most in run] + [least for _, least, _ in reversed(run)] + [None]
    fill = {"fill": "toself", "fillcolor": colour + FAINT, "mode": "lines", "line": {"width": 0, "color": colour}}
    return {"type": "scatter", "x": across[:-1], "y": up[:-1], "name": name, "hoverinfo": "skip", **fill}


def whiskers(at: Sequence[float], found: Sequence[Estimate], colour: str, *, upright: bool = True) -> Trace:
    """From low to high of each, where there is a band; `upright` where values go up."""
    place: list[Number] = []
    ends: list[Number] = []
    for position, of in zip(at, found, strict=True):
        if of.low is not None:
            place += [position, position, None]
            ends += [of.low, of.high, None]
    x, y = (place, ends) if upright else (ends, place)
    thin = {"mode": "lines", "line": {"color": colour, "width": 1.5}, "showlegend": False, "hoverinfo": "skip"}
    return {"type": "scatter", "x": x[:-1], "y": y[:-1], "name": "band", "connectgaps": False, **thin}


def estimates(x: Sequence[float], found: Sequence[Estimate], colour: str, name: str, **more: Any) -> list[Trace]:
    """A line through values, over the area of their bands and with the whiskers of each."""
    area = band(x, [of.low for of in found], [of.high for of in found], colour, "band")
    values = [of.value for of in found]
    return [area | {"showlegend": False}, whiskers(x, found, colour), line(x, values, colour, name, **more)]


def rows(names: Sequence[str]) -> Trace:
    """An axis of named rows, the first on top. Names are labels of numbers, since plotly takes `10:00` for a time."""
    return {
        "tickmode": "array",
        "tickvals": list(range(len(names))),
        "ticktext": [label(name) for name in names],
        "range": [len(names) - 0.4, -0.6],
        "ticklabelstandoff": 5,
        "showgrid": False,
        "zeroline": False,
    }


def label(name: str) -> str:
    """A name from a file as plotly shows it: it would take some of HTML for what it is."""
    shown = printable(name)
    return escape(shown if len(shown) <= LONGEST_LABEL else shown[: LONGEST_LABEL - 1] + "…", quote=False)


def rows_height(number: int) -> int:
    return 110 + ROW_PX * number


def _axis(given: Trace) -> Trace:
    looks = {"gridcolor": GRID, "zerolinecolor": INK, "automargin": True, "zeroline": True, "showspikes": False}
    return {**looks, **given, "title": {"text": given.get("title", ""), "standoff": 8}}


def _runs(
    x: Sequence[float], low: Sequence[Number], high: Sequence[Number]
) -> Iterable[list[tuple[float, float, float]]]:
    run: list[tuple[float, float, float]] = []
    for at, least, most in zip(x, low, high, strict=True):
        if least is not None and most is not None:
            run.append((at, least, most))
        elif run:
            yield run
            run = []
    if run:
        yield run
