"""By horizon: what is left of the edge, where the mid went, how late the captures were."""

from collections.abc import Sequence

from hip3_tasks.analysis.measure.horizons import QUANTILES, Horizon
from hip3_tasks.analysis.report.model import LATENESS_QUANTILES, Lateness
from hip3_tasks.charts import number_format
from hip3_tasks.charts.plotly_parts import (
    AMBER,
    BLUE,
    GREEN,
    GREY,
    LESS_FAINT,
    OFFSETS,
    RED,
    VIOLET,
    Figure,
    band,
    estimates,
    figure,
    line,
    whiskers,
)
from hip3_tasks.stats.bootstrap import Estimate

SINCE = "seconds since the signal"
WHOLE = Estimate(value=1.0, low=1.0, high=1.0)
"""Of the edge at T0, all is there at T0; and the mid has not moved."""
UNMOVED = Estimate(value=0.0, low=0.0, high=0.0)


def decay(horizons: Sequence[Horizon]) -> Figure:
    """The mean edge by horizon and, below it, its share of what it was at T0; of any group, market or side."""
    seconds = _seconds(horizons)
    edges = [*(of.edge_t0_bps for of in horizons[:1]), *(of.edge_bps for of in horizons)]
    retentions = [WHOLE, *(of.retention for of in horizons)] if horizons else []
    lower, left = {"xaxis": "x", "yaxis": "y2"}, "edge left, of 1 at T0"
    half = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": "y2", "y0": 0.5, "y1": 0.5}
    return figure(
        [
            *estimates(seconds, edges, AMBER, "mean edge", hovertemplate="%{y:.2f} bps"),
            *(trace | lower for trace in estimates(seconds, retentions, VIOLET, left, hovertemplate="%{y:.2f}")),
        ],
        height=420,
        hovermode="x unified",
        xaxis={"title": SINCE, "tickvals": seconds, "anchor": "y2", "zeroline": False},
        yaxis={"title": "edge, bps", "domain": [0.53, 1], "rangemode": "tozero"},
        yaxis2={"title": "share left", "domain": [0, 0.45], "rangemode": "tozero"},
        shapes=[{**half, "line": {"color": GREY, "width": 1, "dash": "dot"}}],
    )


def markout(horizons: Sequence[Horizon], *, cost_bps: float | None) -> Figure:
    """How the mid moved, the signal's way: the mean and its band over the fan of quantiles, and the cost to beat."""
    seconds = _seconds(horizons)
    fan = [[0.0, *(of.markout_quantiles_bps[at] for of in horizons)] for at in range(len(QUANTILES))]
    fan = fan if horizons else [[] for _ in QUANTILES]
    means = [UNMOVED, *(of.markout_bps for of in horizons)] if horizons else []
    return figure(
        [
            band(seconds, fan[0], fan[4], BLUE, "middle 80 %"),
            band(seconds, fan[1], fan[3], BLUE, "middle 50 %") | {"fillcolor": BLUE + LESS_FAINT},
            line(seconds, fan[2], BLUE, "median", mode="lines", line={"color": BLUE, "width": 1.5, "dash": "dot"}),
            whiskers(seconds, means, GREEN),
            line(seconds, _values(means), GREEN, "mean"),
            _cost(seconds, cost_bps),
        ],
        height=420,
        hovermode="x unified",
        xaxis={"title": SINCE, "tickvals": seconds, "zeroline": False},
        yaxis={"title": "bps, the signal’s way", "hoverformat": "+.2f"},
    )


def lateness(found: Sequence[Lateness]) -> Figure:
    """Captured − due: its quantiles, one line an offset."""
    quantiles = [*(f"p{part * 100:g}" for part in LATENESS_QUANTILES[:-1]), "max"]
    every = [ms for of in found for ms in of.quantiles_ms]
    # A logarithm has no place for what came within the same millisecond; then the axis does without.
    scale: Figure = {"type": "log", "dtick": "D2"} if every and min(every) > 0 else {"type": "linear"}
    places = list(range(len(quantiles)))
    return figure(
        [
            line(
                places, of.quantiles_ms, OFFSETS[number % len(OFFSETS)], f"after {number_format.horizon(of.offset_ms)}"
            )
            for number, of in enumerate(found)
        ],
        hovermode="x unified",
        xaxis={"title": "share of the captures", "tickvals": places, "ticktext": quantiles, "zeroline": False},
        yaxis={"title": "ms after due", "hoverformat": ",d", **scale},
    )


def _seconds(horizons: Sequence[Horizon]) -> list[float]:
    return [0.0, *(of.offset_ms / 1000 for of in horizons)] if horizons else []


def _values(found: Sequence[Estimate]) -> list[float | None]:
    return [of.value for of in found]


def _cost(seconds: Sequence[float], cost_bps: float | None) -> Figure | None:
    if cost_bps is None or not seconds:
        return None
    looks = {"mode": "lines", "line": {"color": RED, "width": 1.5, "dash": "dash"}}
    return line([seconds[0], seconds[-1]], [cost_bps, cost_bps], RED, "cost to beat", **looks)
