"""By group, at the longest horizon: what it brought, and what became of the edge. Both figures have the same rows."""

from hip3_tasks.analysis.report.model import Group, Report
from hip3_tasks.charts.plotly_parts import (
    AMBER,
    BLUE,
    GREY,
    VIOLET,
    Figure,
    Trace,
    dots,
    figure,
    label,
    rows,
    rows_height,
    whiskers,
)
from hip3_tasks.stats.bootstrap import Estimate

NOTHING = Estimate(value=None)


def net(report: Report) -> Figure:
    """Mean net bps, each with its band; hollow where there is none, and so no claim."""
    groups = ordered(report)
    found = [_net(report, group) for group in groups]
    sure = [at for at, of in enumerate(found) if of.low is not None]
    unsure = [at for at, of in enumerate(found) if of.low is None]
    hollow = {"symbol": "circle-open", "color": GREY, "size": 9, "line": {"width": 1.5}}
    parts: list[tuple[list[int], str, str, Trace]] = [
        (sure, "mean, with its band", BLUE, {}),
        (unsure, "no band, no claim", GREY, {"marker": hollow}),
    ]
    return figure(
        [
            whiskers(range(len(found)), found, BLUE, upright=False),
            *(
                dots([found[at].value for at in part], part, colour, name, **_hover(groups, part), **looks)
                for part, name, colour, looks in parts
                if part
            ),
        ],
        height=rows_height(len(groups)),
        xaxis={"title": "net bps", "zerolinewidth": 2, "rangemode": "tozero"},
        yaxis=rows([group.name for group in groups]),
    )


def outcomes(report: Report) -> Figure:
    """What became of the edge, in shares of the follow-ups that add up to one."""
    groups = ordered(report)
    at_last = [report.at_longest(group) for group in groups]
    places = list(range(len(groups)))
    kinds = {
        "book came": ([of and of.book_came.value for of in at_last], BLUE),
        "oracle came": ([of and of.oracle_came.value for of in at_last], AMBER),
        "unmoved": ([of and of.unmoved for of in at_last], GREY + "77"),
        "widened": ([of and of.widened for of in at_last], VIOLET),
    }
    names = [label(group.name) for group in groups]
    looks = {"type": "bar", "orientation": "h", "hovertext": names, "hovertemplate": "%{hovertext}: %{x:.1%}"}
    return figure(
        [
            {"x": shares, "y": places, "name": name, "marker": {"color": colour}, **looks}
            for name, (shares, colour) in kinds.items()
        ],
        height=rows_height(len(groups)),
        barmode="stack",
        bargap=0.3,
        xaxis={"title": "share of follow-ups", "tickformat": ".0%", "range": [0, 1], "zeroline": False},
        yaxis=rows([group.name for group in groups]),
    )


def ordered(report: Report) -> list[Group]:
    """All signals together, then the groups from best to worst, then those of which nothing is known."""
    known = [group for group in report.groups if _net(report, group).value is not None]
    unknown = [group for group in report.groups if _net(report, group).value is None]
    return [report.total, *sorted(known, key=lambda group: -(_net(report, group).value or 0.0)), *unknown]


def _net(report: Report, group: Group) -> Estimate:
    horizon = report.at_longest(group)
    return NOTHING if horizon is None else horizon.net_bps


def _hover(groups: list[Group], part: list[int]) -> Trace:
    names = [f"{label(groups[at].name)}, {groups[at].signals:,} signals" for at in part]
    return {"hovertext": names, "hovertemplate": "%{hovertext}: %{x:+.2f} bps<extra></extra>"}
