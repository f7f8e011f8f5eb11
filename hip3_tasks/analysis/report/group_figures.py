"""Figures of groups at the longest horizon: net result, and outcomes of follow-ups. Both have the same rows."""

from collections.abc import Callable

from hip3_tasks.analysis.measure.horizons import Horizon
from hip3_tasks.analysis.report.model import Group, Report
from hip3_tasks.charts import plotly_parts as plot
from hip3_tasks.stats.bootstrap import Estimate

UNKNOWN = Estimate(value=None)
SHARES: dict[str, tuple[str, Callable[[Horizon], float | None]]] = {
    "book came": (plot.BLUE, lambda horizon: horizon.book_came.value),
    "oracle came": (plot.AMBER, lambda horizon: horizon.oracle_came.value),
    "unmoved": (plot.GREY + "77", lambda horizon: horizon.unmoved),
    "widened": (plot.VIOLET, lambda horizon: horizon.widened),
}
"""The colour of each outcome and its share of the follow-ups."""


def net(report: Report) -> plot.Figure:
    """The mean net in bps of each group with its band; a hollow point has no band and makes no claim."""
    groups = best_first(report)
    bands = [_net(report, group) for group in groups]
    values = [band.value for band in bands]
    known = [row for row, band in enumerate(bands) if band.low is not None]
    unknown = [row for row, band in enumerate(bands) if band.low is None]
    labels = [f"{plot.axis_label(group.name)}, {group.signals:,} signals" for group in groups]
    hover = {"hovertemplate": "%{hovertext}: %{x:+.2f} bps<extra></extra>"}
    hollow = {"symbol": "circle-open", "color": plot.GREY, "size": 9, "line": {"width": 1.5}}
    return plot.figure(
        [
            plot.whiskers(range(len(groups)), bands, plot.BLUE, upright=False),
            plot.points(known, values, labels, plot.BLUE, "mean, with its band", **hover),
            plot.points(unknown, values, labels, plot.GREY, "no band, no claim", marker=hollow, **hover),
        ],
        height=plot.category_height(len(groups)),
        xaxis={"title": "net bps", "zerolinewidth": 2, "rangemode": "tozero"},
        yaxis=plot.category_axis([group.name for group in groups]),
    )


def outcomes(report: Report) -> plot.Figure:
    """Shares of the follow-ups by what happened to the edge; each row adds up to 1."""
    groups = best_first(report)
    longest = [report.at_longest(group) for group in groups]
    labels = [plot.axis_label(group.name) for group in groups]
    style = {"type": "bar", "orientation": "h", "hovertext": labels, "hovertemplate": "%{hovertext}: %{x:.1%}"}
    traces = []
    for name, (colour, share) in SHARES.items():
        shares = [None if horizon is None else share(horizon) for horizon in longest]
        traces.append({"x": shares, "y": list(range(len(groups))), "name": name, "marker": {"color": colour}, **style})
    return plot.figure(
        traces,
        height=plot.category_height(len(groups)),
        barmode="stack",
        bargap=0.3,
        xaxis={"title": "share of follow-ups", "tickformat": ".0%", "range": [0, 1], "zeroline": False},
        yaxis=plot.category_axis([group.name for group in groups]),
    )


def best_first(report: Report) -> list[Group]:
    """All signals together, then the groups by their mean net, the best first and those without one last."""
    return [report.total, *sorted(report.groups, key=lambda group: plot.descending(_net(report, group).value))]


def _net(report: Report, group: Group) -> Estimate:
    horizon = report.at_longest(group)
    return UNKNOWN if horizon is None else horizon.net_bps
