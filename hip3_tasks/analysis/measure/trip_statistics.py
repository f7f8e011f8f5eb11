"""The t statistic of a mean round trip, observed and in each bootstrap replicate; for the search for thresholds."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from math import copysign, inf, nan
from typing import Any

import numpy as np

from hip3_tasks.stats.bootstrap import REPLICATES, Array
from hip3_tasks.stats.cluster_totals import SumSpec, Totals

ROUNDING = 1e-12
"""Residual sums of squares below this share of the total count as zero variance."""
TRIED_SUMS = SumSpec(
    bootstrapped=("round_trip_n", "round_trip"),
    products=(
        ("round_trip", "round_trip"),
        ("round_trip", "round_trip_n"),
        ("round_trip_n", "round_trip_n"),
    ),
)
"""The sums over clusters of the signals that reach a threshold, of all thresholds that are tried."""
LEVEL_SUMS = replace(
    TRIED_SUMS, bootstrapped=(*TRIED_SUMS.bootstrapped, "net_n", "net"), plain=("net_won", "round_trip_won")
)
"""The sums of a chosen one."""


def costlier(totals: Totals, more_bps: float) -> Totals:
    """The totals, had every round trip cost so much more; without how many were won."""
    n, trip, trips, cross, counts = map(totals.names.index, TRIED_SUMS.names)
    observed, bootstrapped = totals.observed.copy(), totals.bootstrapped.copy()
    for sums in (observed, bootstrapped.T):
        sums[trips] += more_bps * (more_bps * sums[counts] - 2 * sums[cross])
        sums[cross] -= more_bps * sums[counts]
        sums[trip] -= more_bps * sums[n]
    return replace(totals, observed=observed, bootstrapped=bootstrapped)


def max_t_null(tried: Iterable[Totals]) -> Array:
    """The greatest t statistic of each replicate if no market paid or lost; float64, (REPLICATES,)."""
    greatest = np.full(REPLICATES, -np.inf)
    for totals in tried:
        greatest = np.fmax(greatest, t_statistics(totals)[1])
    return greatest


def t_statistics(totals: Totals) -> tuple[float, Array]:
    """The t statistic of the mean, and of the distance of each replicate's mean from it; float64, (REPLICATES,).

    Without variance the first is infinite, or NaN for a mean of 0; the others are NaN.
    """
    value, error = _mean_and_error(lambda name: totals[name])
    means, errors = _mean_and_error(totals.replicates)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = value / error if error else (copysign(inf, value) if value else nan)
        return float(statistic), np.where(errors > 0, (means - value) / errors, np.nan)


def _mean_and_error(sums: Callable[[str], Any]) -> tuple[Any, Any]:
    """The mean round trip and its standard error, of a ratio of sums over clusters, linearised; 0 without variance."""
    n, net = sums("round_trip_n"), sums("round_trip")
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = net / n
        squares = sums("round_trip*round_trip")
        cross, count_squares = sums("round_trip*round_trip_n"), sums("round_trip_n*round_trip_n")
        residuals = squares - 2 * mean * cross + mean * mean * count_squares
        return mean, np.sqrt(np.where(residuals > ROUNDING * squares, residuals, 0.0)) / n
