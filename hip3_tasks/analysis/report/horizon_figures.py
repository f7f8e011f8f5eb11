"""Figures by horizon: how much of the edge is left, how the mid moved, how late the captures were."""

from collections.abc import Sequence
from itertools import cycle
from typing import TypeVar

from hip3_tasks.analysis.measure.horizons import QUANTILES, Horizon
from hip3_tasks.analysis.report.model import LATENESS_QUANTILES, LatenessQuantiles
from hip3_tasks.charts import number_format
from hip3_tasks.charts import plotly_parts as plot
from hip3_tasks.stats.bootstrap import Estimate

T = TypeVar("T")

X_TITLE = "seconds since the signal"
FULL_EDGE = Estimate(value=1.0, low=1.0, high=1.0)
"""The share of the edge that is left at T0."""
NO_MOVE = Estimate(value=0.0, low=0.0, high=0.0)
"""The move of the mid at T0."""


def decay(horizons: Sequence[Horizon]) -> plot.Figure:
    """The mean edge by horizon and, below it, its ratio to the mean edge at T0; for any group of signals."""
    seconds = _seconds(horizons)
    edges = [*(horizon.edge_t0_bps for horizon in horizons[:1]), *(horizon.edge_bps for horizon in horizons)]
    retentions = _from_t0(FULL_EDGE, [horizon.retention for horizon in horizons])
    shares = plot.estimates(seconds, retentions, plot.VIOLET, "edge left, of 1 at T0", hovertemplate="%{y:.2f}")
    half = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": "y2", "y0": 0.5, "y1": 0.5}
    return plot.figure(
        [
            *plot.estimates(seconds, edges, plot.AMBER, "mean edge", hovertemplate="%{y:.2f} bps"),
            *(trace | {"xaxis": "x", "yaxis": "y2"} for trace in shares),
        ],
        height=420,
        hovermode="x unified",
        xaxis={"title": X_TITLE, "tickvals": seconds, "anchor": "y2", "zeroline": False},
        yaxis={"title": "edge, bps", "domain": [0.53, 1], "rangemode": "tozero"},
        yaxis2={"title": "share left", "domain": [0, 0.45], "rangemode": "tozero"},
        shapes=[{**half, "line": {"color": plot.GREY, "width": 1, "dash": "dot"}}],
    )


def markout(horizons: Sequence[Horizon], *, cost_bps: float | None) -> plot.Figure:
    """The markout by horizon: its mean with a band, over a fan of its quantiles, and the cost to beat."""

    def quantile(index: int) -> list[plot.Number]:
        return _from_t0(0.0, [horizon.markout_quantiles_bps[index] for horizon in horizons])

    seconds = _seconds(horizons)
    p10, p25, p50, p75, p90 = map(quantile, range(len(QUANTILES)))
    means = _from_t0(NO_MOVE, [horizon.markout_bps for horizon in horizons])
    return plot.figure(
        [
            plot.band(seconds, p10, p90, plot.BLUE, "middle 80 %"),
            plot.band(seconds, p25, p75, plot.BLUE, "middle 50 %") | {"fillcolor": plot.BLUE + plot.LESS_FAINT},
            plot.line(
                seconds, p50, plot.BLUE, "median", mode="lines", line={"color": plot.BLUE, "width": 1.5, "dash": "dot"}
            ),
            plot.whiskers(seconds, means, plot.GREEN),
            plot.line(seconds, [mean.value for mean in means], plot.GREEN, "mean"),
            _cost(seconds, cost_bps),
        ],
        height=420,
        hovermode="x unified",
        xaxis={"title": X_TITLE, "tickvals": seconds, "zeroline": False},
        yaxis={"title": "bps, the signal’s way", "hoverformat": "+.2f"},
    )


def lateness(rows: Sequence[LatenessQuantiles]) -> plot.Figure:
    """Quantiles of captured − due, one line an offset."""
    names = [*(f"p{share * 100:g}" for share in LATENESS_QUANTILES[:-1]), "max"]
    places = list(range(len(names)))
    # A logarithmic axis has no place for a lateness of 0 ms.
    known_ms = [ms for row in rows for ms in row.quantiles_ms if ms is not None]
    is_positive = bool(known_ms) and min(known_ms) > 0
    scale: plot.Figure = {"type": "log", "dtick": "D2"} if is_positive else {"type": "linear"}
    return plot.figure(
        [
            plot.line(places, row.quantiles_ms, colour, f"after {number_format.horizon(row.offset_ms)}")
            for row, colour in zip(rows, cycle(plot.OFFSETS), strict=False)
        ],
        hovermode="x unified",
        xaxis={"title": "share of the captures", "tickvals": places, "ticktext": names, "zeroline": False},
        yaxis={"title": "ms after due", "hoverformat": ",d", **scale},
    )


def _seconds(horizons: Sequence[Horizon]) -> list[float]:
    return _from_t0(0.0, [horizon.offset_ms / 1000 for horizon in horizons])


def _from_t0(start: T, values: list[T]) -> list[T]:
    """The values by horizon after the value at T0; empty without horizons."""
    return [start, *values] if values else []


def _cost(seconds: Sequence[float], cost_bps: float | None) -> plot.Trace | None:
    if cost_bps is None or not seconds:
        return None
    style = {"mode": "lines", "line": {"color": plot.RED, "width": 1.5, "dash": "dash"}}
    return plot.line([seconds[0], seconds[-1]], [cost_bps, cost_bps], plot.RED, "cost to beat", **style)
