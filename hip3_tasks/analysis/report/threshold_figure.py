"""Figure of each market's chosen threshold, in sample and out of sample: the distance between them is the over-fit."""

from hip3_tasks.analysis.measure.threshold_search import MarketChoice, SampleResult, ThresholdSearch, ThresholdVerdict
from hip3_tasks.charts import plotly_parts as plot

STYLES = {
    ThresholdVerdict.WORKS: (plot.BLUE, "triangle-up"),
    ThresholdVerdict.UNPROVEN: (plot.GREY, "circle"),
    ThresholdVerdict.LOSES: (plot.RED, "triangle-down"),
    ThresholdVerdict.STRUCTURAL: (plot.AMBER, "square"),
    ThresholdVerdict.TOO_FEW: (plot.GREY, "x-thin-open"),
}
"""Colour and symbol of each verdict: the symbols alone distinguish them, too."""


def thresholds(search: ThresholdSearch) -> plot.Figure:
    """A line from a ring, in sample, to the verdict's symbol, out of sample; markets with a chosen threshold only."""
    choices = [choice for choice in best_first(search) if choice.in_sample]
    inside = [_net(choice.in_sample) for choice in choices]
    outside = [_net(choice.out_of_sample) for choice in choices]
    labels = [f"{plot.axis_label(choice.market)} from {choice.threshold_bps:g} bps" for choice in choices]
    hover = {"hovertemplate": "%{hovertext}: %{x:+.2f} bps net"}
    ring = {"symbol": "circle-open", "color": plot.GREY, "size": 10, "line": {"width": 1.5}}
    traces = [
        _over_fit(inside, outside),
        plot.points(range(len(choices)), inside, labels, plot.GREY, "in sample", marker=ring, **hover),
    ]
    for verdict, (colour, symbol) in STYLES.items():
        rows = [row for row, choice in enumerate(choices) if choice.verdict is verdict]
        outline = {"width": 2 if symbol.endswith("open") else 0}
        mark = {"symbol": symbol, "color": colour, "size": 10, "line": outline}
        traces.append(plot.points(rows, outside, labels, colour, f"out: {verdict}", marker=mark, **hover))
    return plot.figure(
        traces,
        height=plot.category_height(len(choices)),
        xaxis={"title": "net bps at the chosen threshold", "zerolinewidth": 2, "rangemode": "tozero"},
        yaxis=plot.category_axis([choice.market for choice in choices]),
    )


def best_first(search: ThresholdSearch) -> list[MarketChoice]:
    """Markets by their mean net in sample, the best first and those without a chosen threshold last."""
    return sorted(search.choices, key=lambda choice: plot.descending(_net(choice.in_sample)))


def _net(part: SampleResult | None) -> plot.Number:
    return None if part is None else part.net_bps.value


def _over_fit(inside: list[plot.Number], outside: list[plot.Number]) -> plot.Trace:
    x: list[plot.Number] = []
    y: list[plot.Number] = []
    for row, ends in enumerate(zip(inside, outside, strict=True)):
        x += [*ends, None]
        y += [row, row, None]
    thin = {"mode": "lines", "line": {"color": plot.GREY, "width": 1.5}, "showlegend": False, "hoverinfo": "skip"}
    return {"type": "scatter", "x": x[:-1], "y": y[:-1], "name": "over-fit", **thin}
