"""Figures of a report: by horizon, by group of signals, and by market with its chosen threshold."""

from collections.abc import Callable, Sequence
from itertools import cycle
from typing import TypeVar

from hip3_tasks.analysis.measure.horizons import QUANTILES, Horizon
from hip3_tasks.analysis.measure.threshold_search import MarketChoice, SampleResult, ThresholdSearch, ThresholdVerdict
from hip3_tasks.analysis.reporting.model import LATENESS_QUANTILES, Group, LatenessQuantiles, Report, largest
from hip3_tasks.charts import number_format
from hip3_tasks.charts import plotly_parts as plot
from hip3_tasks.domain.outcome import Outcome
from hip3_tasks.stats.bootstrap import Estimate

T = TypeVar("T")

X_TITLE = "seconds since the signal"
FULL_EDGE = Estimate(value=1.0, low=1.0, high=1.0)
"""The share of the edge that is left at T0."""
NO_MOVE = Estimate(value=0.0, low=0.0, high=0.0)
"""The move of the mid at T0."""
UNKNOWN = Estimate(value=None)
SHARES: dict[Outcome, Callable[[Horizon], float | None]] = {
    Outcome.BOOK_CAME: lambda horizon: horizon.book_came.value,
    Outcome.ORACLE_CAME: lambda horizon: horizon.oracle_came.value,
    Outcome.UNMOVED: lambda horizon: horizon.unmoved,
    Outcome.WIDENED: lambda horizon: horizon.widened,
}
"""The share of each outcome in the follow-ups."""
STYLES = {
    ThresholdVerdict.WORKS: (plot.BLUE, "triangle-up"),
    ThresholdVerdict.UNPROVEN: (plot.GREY, "circle"),
    ThresholdVerdict.LOSES: (plot.RED, "triangle-down"),
    ThresholdVerdict.STRUCTURAL: (plot.AMBER, "square"),
    ThresholdVerdict.TOO_FEW: (plot.GREY, "x-thin-open"),
}
"""Colour and symbol of each verdict: the symbols alone distinguish them, too."""


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


def round_trips(report: Report) -> plot.Figure:
    """The mean round trip of each group with its band; a hollow point has no band and makes no claim."""
    groups = best_first(report)
    bands = [_round_trip(group) for group in groups]
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
        xaxis={"title": "bps, a round trip when had", "zerolinewidth": 2, "rangemode": "tozero"},
        yaxis=plot.category_axis([group.name for group in groups]),
    )


def outcomes(report: Report) -> plot.Figure:
    """Shares of the follow-ups by what happened to the edge; each row adds up to 1."""
    groups = best_first(report)
    longest = [report.at_longest(group) for group in groups]
    labels = [plot.axis_label(group.name) for group in groups]
    style = {"type": "bar", "orientation": "h", "hovertext": labels, "hovertemplate": "%{hovertext}: %{x:.1%}"}
    traces = []
    for outcome, share in SHARES.items():
        shares = [None if horizon is None else share(horizon) for horizon in longest]
        look = {"name": outcome.replace("_", " "), "marker": {"color": plot.OUTCOMES[outcome]}}
        traces.append({"x": shares, "y": list(range(len(groups))), **look, **style})
    return plot.figure(
        traces,
        height=plot.category_height(len(groups)),
        barmode="stack",
        bargap=0.3,
        xaxis={"title": "share of follow-ups", "tickformat": ".0%", "range": [0, 1], "zeroline": False},
        yaxis=plot.category_axis([group.name for group in groups]),
    )


def best_first(report: Report) -> list[Group]:
    """All signals together, then the largest groups by mean round trip: the best first, those without one last."""
    groups = largest(report.groups, lambda group: group.signals)
    return [report.total, *sorted(groups, key=lambda group: plot.descending(_round_trip(group).value))]


def _round_trip(group: Group) -> Estimate:
    return UNKNOWN if group.judged is None else group.judged.round_trip_bps


def thresholds(search: ThresholdSearch) -> plot.Figure:
    """A line from a ring, in sample, to the verdict's symbol, out of sample; markets with a chosen threshold only."""
    choices = [choice for choice in best_tuned(search) if choice.in_sample]
    inside = [_tuned_trip(choice.in_sample) for choice in choices]
    outside = [_tuned_trip(choice.out_of_sample) for choice in choices]
    labels = [f"{plot.axis_label(choice.market)} from {choice.threshold_bps:g} bps" for choice in choices]
    hover = {"hovertemplate": "%{hovertext}: %{x:+.2f} bps"}
    ring = {"symbol": "circle-open", "color": plot.GREY, "size": 10, "line": {"width": 1.5}}
    traces = [
        plot.segments(range(len(choices)), list(zip(inside, outside, strict=True)), plot.GREY, "over-fit"),
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
        xaxis={
            "title": "bps a round trip, at the chosen threshold",
            "zerolinewidth": 2,
            "rangemode": "tozero",
        },
        yaxis=plot.category_axis([choice.market for choice in choices]),
    )


DRAWN: dict[str, Callable[[Report], plot.Figure | None]] = {
    "round_trips": round_trips,
    "outcomes": outcomes,
    "decay": lambda report: decay(report.total.horizons),
    "markout": lambda report: markout(report.total.horizons, cost_bps=report.total.cost_bps),
    "thresholds": lambda report: None if report.search is None else thresholds(report.search),
    "lateness": lambda report: lateness(report.lateness),
}
"""The figures of a report by their names; None where it has no such thing."""


def best_tuned(search: ThresholdSearch) -> list[MarketChoice]:
    """The largest markets by their mean round trip in sample: the best first, those without a chosen threshold last."""
    choices = largest(search.choices, lambda choice: choice.matched)
    return sorted(choices, key=lambda choice: plot.descending(_tuned_trip(choice.in_sample)))


def _tuned_trip(part: SampleResult | None) -> plot.Number:
    return None if part is None else part.round_trip_bps.value
