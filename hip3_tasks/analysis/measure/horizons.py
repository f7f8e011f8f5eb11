"""Measures of follow-ups at one offset. Moves are signed by side; shares are of 1."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Annotated

import numpy as np
from pydantic import BaseModel

from hip3_tasks.analysis.measure.measures import Count, Ratio, Shown, sums_of, values_of
from hip3_tasks.charts.number_format import bps, count, level, ratio, share
from hip3_tasks.stats.bootstrap import Array, Estimate, estimate
from hip3_tasks.stats.cluster_totals import Totals

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


Topic = IntEnum("Topic", ["EDGE", "PUBLISHED", "OUTCOME", "CONVERGENCE", "MARKOUT", "RESULT", "AT_T0"])
"""Groups of measures, in the order of tables; within a topic, measures have the order of the JSON."""
EDGE, PUBLISHED, OUTCOME, CONVERGENCE, MARKOUT, RESULT, AT_T0 = Topic


class Horizon(BaseModel):
    """The follow-ups of a group at one offset.

    `edge_bps` is the mean edge, `edge_t0_bps` that of the same signals at T0, `retention` the ratio of the two. It is
    bounded where `retention_mean`, the published metric (the mean of each signal's own edge_t / edge_t0), is not: an
    edge near zero at T0 outweighs all others there, and an edge that turns counts against them.

    Each follow-up has one outcome: `book_came` (the edge shrank, by the touch more than by the oracle: the signal was
    right), `oracle_came` (the edge shrank, by the oracle more: the market led), `unmoved` or `widened`. `valid` is the
    published metric, edge_change_bps < 0: the first two together. To first order, the edge shrinks by the sum of
    `market_part_bps` (how far the touch moved to the oracle) and `oracle_part_bps` (how far the oracle moved to the
    touch), both means.

    A markout is the move of the mid since T0, `hit` the share of markouts above 0, `net_bps` their mean after cost and
    `won` the share above 0 after cost. `markout_n` follow-ups have one: a one-sided book gives none.

    The results of a taker who is in at the touch of T0: `taken_bps` marked at the mid after one fee, `round_trip_bps`
    out at the other touch after two fees and slippage; `round_trip_won` is the share above 0. No taker is in at T0.
    """

    offset_ms: int
    n: Annotated[int, EDGE, Count("n"), Shown("follow-ups", count)]
    clusters: Annotated[int, EDGE, Shown("clusters", count)]
    edge_t0_bps: Annotated[Estimate, EDGE, Ratio("edge_t0", "n"), Shown("mean edge at T0", level, "", wide="edge T0")]
    edge_bps: Annotated[Estimate, EDGE, Ratio("edge", "n"), Shown("mean edge then", level, "mean edge", wide="edge")]
    retention: Annotated[Estimate, EDGE, Ratio("edge", "edge_t0"), Shown("edge left, of 1", ratio, "edge / edge at T0")]
    retention_mean: Annotated[
        float | None,
        PUBLISHED,
        Ratio("retained", "retained_n", has_band=False),
        Shown("the mean of each signal’s", ratio, ""),
    ]
    retention_median: Annotated[float | None, EDGE, Shown("the median signal’s", ratio, "  median signal's")]
    market_part_bps: Annotated[Estimate, CONVERGENCE, Ratio("market_part", "n"), Shown("touch to oracle", bps)]
    oracle_part_bps: Annotated[Estimate, CONVERGENCE, Ratio("oracle_part", "n"), Shown("oracle to touch", bps)]
    valid: Annotated[Estimate, PUBLISHED, Ratio("shrank", "n"), Shown("edge shrank", share, "")]
    book_came: Annotated[Estimate, OUTCOME, Ratio("book_came", "n"), Shown("the book came", share, column="book came")]
    oracle_came: Annotated[
        Estimate, OUTCOME, Ratio("oracle_came", "n"), Shown("the oracle came", share, wide="oracle came")
    ]
    unmoved: Annotated[float | None, OUTCOME, Ratio("unmoved", "n", has_band=False), Shown("unmoved", share)]
    widened: Annotated[float | None, OUTCOME, Ratio("widened", "n", has_band=False), Shown("widened", share)]
    markout_n: Annotated[int, MARKOUT, Count("markout_n"), Shown("with a markout", count, "")]
    markout_bps: Annotated[Estimate, MARKOUT, Ratio("markout", "markout_n"), Shown("markout", bps, wide="markout")]
    markout_quantiles_bps: Annotated[
        list[float | None], MARKOUT, Shown("median markout", bps, "  median", steps=(QUANTILES.index(0.5),))
    ]
    """The quantiles at QUANTILES."""
    hit: Annotated[Estimate, MARKOUT, Ratio("hit", "markout_n"), Shown("markout above 0", share, "  above 0")]
    net_bps: Annotated[Estimate, RESULT, Ratio("net", "net_n"), Shown("net of cost", bps, column="net")]
    won: Annotated[Estimate, RESULT, Ratio("won", "net_n"), Shown("net above 0", share, "  above 0")]
    taken_bps: Annotated[
        Estimate,
        AT_T0,
        Ratio("taken", "taken_n"),
        Shown("in at T0’s touch, marked at the mid", bps, "in at T0, at the mid"),
    ]
    round_trip_bps: Annotated[
        Estimate,
        AT_T0,
        Ratio("round_trip", "round_trip_n"),
        Shown("round trip from T0, which no taker gets", bps, "in at T0, round trip"),
    ]
    round_trip_won: Annotated[
        Estimate,
        AT_T0,
        Ratio("round_trip_won", "round_trip_n"),
        Shown("round trip from T0 above 0", share, "  above 0"),
    ]


class HalfLife(BaseModel):
    """The time when half of the edge is gone; None if that is after the longest offset."""

    value_s: float | None
    low_s: float | None
    high_s: float | None
    has_band: bool


SUMS = sums_of(Horizon, "bought")
"""The sums over clusters that a report needs: those of the measures, and `bought`, the number of buys."""


def horizon(
    offset_ms: int, totals: Totals, *, markout_quantiles_bps: list[float | None], retention_median: float | None
) -> Horizon:
    """Compute the measures from sums over clusters; quantiles of the rows are given, since sums cannot tell them."""
    return Horizon(
        offset_ms=offset_ms,
        clusters=totals.clusters,
        markout_quantiles_bps=markout_quantiles_bps,
        retention_median=retention_median,
        **values_of(Horizon, totals),
    )


def half_life(by_offset: Mapping[int, Totals]) -> HalfLife | None:
    """The time when the retention, 1 at T0 and linear between offsets, first is one half.

    None without offsets, or if the retention at one of them is unknown.
    """
    retentions = [totals.ratios("edge", "edge_t0") for totals in by_offset.values()]
    if not retentions or any(np.isnan(value) for value, _ in retentions):
        return None
    times_s = np.array([0, *by_offset]) / 1000
    curve = np.array([[1.0, *(value for value, _ in retentions)]])
    replicates = np.column_stack([np.ones(len(retentions[0][1])), *(drawn for _, drawn in retentions)])
    clusters = min(totals.clusters for totals in by_offset.values())
    result = estimate(_first_half(times_s, curve)[0], _first_half(times_s, replicates), clusters=clusters)
    value_s, low_s, high_s = (
        None if end is None or np.isinf(end) else end for end in (result.value, result.low, result.high)
    )
    return HalfLife(value_s=value_s, low_s=low_s, high_s=high_s, has_band=result.low is not None)


def _first_half(times_s: Array, curves: Array) -> Array:
    """The time when each curve first falls to one half, infinite if it does not.

    `times_s`: float64, (times,). `curves`: float64, (curves, times). Returns float64, (curves,).
    """
    result_s = np.full(len(curves), np.inf)
    for step in range(len(times_s) - 1, 0, -1):
        before, after = curves[:, step - 1], curves[:, step]
        falls = (before > 0.5) & (after <= 0.5)
        with np.errstate(divide="ignore", invalid="ignore"):
            crossing_s = times_s[step - 1] + (before - 0.5) / (before - after) * (times_s[step] - times_s[step - 1])
        result_s = np.where(falls, crossing_s, result_s)
    return result_s
