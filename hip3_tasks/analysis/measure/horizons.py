"""What is measured of a group of signals, horizon by horizon. Moves are signed by side; shares are of 1."""

from collections.abc import Mapping

import numpy as np
from pydantic import BaseModel

from hip3_tasks.stats.bootstrap import Array, Estimate, estimate
from hip3_tasks.stats.cluster_totals import Totals

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


class Horizon(BaseModel):
    """The follow-ups of a group at one offset.

    Of the edges: `edge_bps` is their mean, `edge_t0_bps` that of the same signals at T0. `retention` is one over the
    other: it stays in bounds where the mean of each signal's own edge_t / edge_t0 (`retention_mean`, the published
    metric) does not, since an edge near zero at T0 outweighs all others and a turned one counts against them.

    Each follow-up is one of: `book_came` (the edge shrank, by the touch more than by the oracle: the signal was right),
    `oracle_came` (the edge shrank, by the oracle more: the market led), `unmoved`, `widened`. `valid` is the published
    metric, edge_change_bps < 0: the first two together. To first order, the edge's shrinking is `market_part_bps` (how
    far the touch came to the oracle) + `oracle_part_bps` (how far the oracle came to the touch), their means.

    The markouts are of the mid from T0; `hit` is the share above 0, `net_bps` the mean after cost, `won` its share
    above 0. They are of `markout_n` follow-ups: one with a one-sided book has none.
    """

    offset_ms: int
    n: int
    clusters: int
    edge_t0_bps: Estimate
    edge_bps: Estimate
    retention: Estimate
    retention_mean: float | None
    retention_median: float | None
    market_part_bps: Estimate
    oracle_part_bps: Estimate
    valid: Estimate
    book_came: Estimate
    oracle_came: Estimate
    unmoved: float | None
    widened: float | None
    markout_n: int
    markout_bps: Estimate
    markout_quantiles_bps: list[float | None]
    """At QUANTILES."""
    hit: Estimate
    net_bps: Estimate
    won: Estimate


class HalfLife(BaseModel):
    """When half of the edge is gone, if within the longest horizon; None beyond it."""

    value_s: float | None
    low_s: float | None
    high_s: float | None
    has_band: bool


def horizon(
    offset_ms: int, totals: Totals, *, markout_quantiles_bps: list[float | None], retention_median: float | None
) -> Horizon:
    """From sums over clusters, and what sums cannot say: quantiles of the rows."""
    n = totals["n"]
    return Horizon(
        offset_ms=offset_ms,
        n=round(n),
        clusters=totals.clusters,
        edge_t0_bps=totals.ratio("edge_t0", "n"),
        edge_bps=totals.ratio("edge", "n"),
        retention=totals.ratio("edge", "edge_t0"),
        retention_mean=totals.share("retained", "retained_n"),
        retention_median=retention_median,
        market_part_bps=totals.ratio("market_part", "n"),
        oracle_part_bps=totals.ratio("oracle_part", "n"),
        valid=totals.ratio("shrank", "n"),
        book_came=totals.ratio("book_came", "n"),
        oracle_came=totals.ratio("oracle_came", "n"),
        unmoved=totals.share("unmoved", "n"),
        widened=(n - totals["shrank"] - totals["unmoved"]) / n,
        markout_n=round(totals["markout_n"]),
        markout_bps=totals.ratio("markout", "markout_n"),
        markout_quantiles_bps=markout_quantiles_bps,
        hit=totals.ratio("hit", "markout_n"),
        net_bps=totals.ratio("net", "net_n"),
        won=totals.ratio("won", "net_n"),
    )


def half_life(by_offset: Mapping[int, Totals]) -> HalfLife | None:
    """Where the retention, 1 at T0 and a straight line from horizon to horizon, first is one half.

    None where there is no horizon, or one at which it is not known.
    """
    retentions = [totals.ratios("edge", "edge_t0") for totals in by_offset.values()]
    if not retentions or any(np.isnan(value) for value, _ in retentions):
        return None
    times_s = np.array([0, *by_offset]) / 1000
    value = _first_half(times_s, np.array([[1.0, *(value for value, _ in retentions)]]))
    drawn = _first_half(times_s, np.column_stack([np.ones(len(retentions[0][1])), *(drawn for _, drawn in retentions)]))
    found = estimate(value[0], drawn, clusters=min(totals.clusters for totals in by_offset.values()))
    within = [None if end is None or np.isinf(end) else end for end in (found.value, found.low, found.high)]
    return HalfLife(value_s=within[0], low_s=within[1], high_s=within[2], has_band=found.low is not None)


def _first_half(times_s: Array, curves: Array) -> Array:
    """For each curve; infinite where it stays above."""
    found = np.full(len(curves), np.inf)
    for step in range(len(times_s) - 1, 0, -1):
        before, after = curves[:, step - 1], curves[:, step]
        falls = (before > 0.5) & (after <= 0.5)
        with np.errstate(divide="ignore", invalid="ignore"):
            at_s = times_s[step - 1] + (before - 0.5) / (before - after) * (times_s[step] - times_s[step - 1])
        found = np.where(falls, at_s, found)
    return found
