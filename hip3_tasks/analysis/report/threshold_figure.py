"""Each market's chosen threshold, in the time it was chosen from and in the rest: how far they part is the over-fit."""

from hip3_tasks.analysis.measure.threshold_search import Choice, Part, Search, Verdict
from hip3_tasks.charts.plotly_parts import (
    AMBER,
    BLUE,
    GREY,
    RED,
    Figure,
    Number,
    Trace,
    dots,
    figure,
    label,
    rows,
    rows_height,
)

LOOKS = {
    Verdict.WORKS: (BLUE, "triangle-up"),
    Verdict.LOSES: (RED, "triangle-down"),
    Verdict.UNPROVEN: (GREY, "circle"),
    Verdict.STRUCTURAL: (AMBER, "square"),
    Verdict.TOO_FEW: (GREY, "x-thin-open"),
}
"""Told apart by shape as well as by colour."""


def thresholds(search: Search) -> Figure:
    """From the ring, in sample, to the verdict's mark, out of sample; of markets with a threshold to choose."""
    choices = [one for one in chosen_first(search) if one.in_sample]
    places = list(range(len(choices)))
    ring = {"symbol": "circle-open", "color": GREY, "size": 10, "line": {"width": 1.5}}
    inside = [_net(one.in_sample) for one in choices]
    return figure(
        [
            _joins(choices),
            dots(inside, places, GREY, "in sample", marker=ring, **_hover(choices, places)),
            *(_judged(choices, verdict) for verdict in Verdict),
        ],
        height=rows_height(len(choices)),
        xaxis={"title": "net bps at the chosen threshold", "zerolinewidth": 2, "rangemode": "tozero"},
        yaxis=rows([one.market for one in choices]),
    )


def chosen_first(search: Search) -> list[Choice]:
    """Markets by what they brought in sample, best first, then those with no threshold to choose."""
    chosen = [one for one in search.choices if one.in_sample]
    rest = [one for one in search.choices if not one.in_sample]
    return [*sorted(chosen, key=lambda one: -(_net(one.in_sample) or 0.0)), *rest]


def _net(part: Part | None) -> Number:
    return None if part is None else part.net_bps.value


def _judged(choices: list[Choice], verdict: Verdict) -> Trace | None:
    places = [at for at, one in enumerate(choices) if one.verdict is verdict]
    if not places:
        return None
    colour, symbol = LOOKS[verdict]
    mark = {"symbol": symbol, "color": colour, "size": 10, "line": {"width": 2 if symbol.endswith("open") else 0}}
    values = [_net(choices[at].out_of_sample) for at in places]
    return dots(values, places, colour, f"out: {verdict}", marker=mark, **_hover(choices, places))


def _joins(choices: list[Choice]) -> Trace:
    x: list[Number] = []
    y: list[Number] = []
    for at, one in enumerate(choices):
        x += [_net(one.in_sample), _net(one.out_of_sample), None]
        y += [at, at, None]
    thin = {"mode": "lines", "line": {"color": GREY, "width": 1.5}, "showlegend": False, "hoverinfo": "skip"}
    return {"type": "scatter", "x": x[:-1], "y": y[:-1], "name": "over-fit", **thin}


def _hover(choices: list[Choice], places: list[int]) -> Trace:
    names = [f"{label(choices[at].market)} from {choices[at].threshold_bps:g} bps" for at in places]
    return {"hovertext": names, "hovertemplate": "%{hovertext}: %{x:+.2f} bps net"}
