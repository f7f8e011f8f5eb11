"""A search for thresholds that shows its own over-fit.

For each market, the level of a grid with the greatest sum of net bps in the first part of the time is chosen, and
validated on the rest, since a level validated on the data it was chosen from finds profit in noise. Both results stand
side by side, so that the over-fit shows. Out of sample, too, the best of many markets looks good by chance. A claim
must therefore beat the best that chance shows among all validated markets: the greatest t statistic of each replicate
(Westfall & Young 1993, "Resampling-Based Multiple Testing"; White 2000, "A Reality Check for Data Snooping",
Econometrica 68). Each replicate is divided by its own standard error: nets are skewed to losses, and of twenty clusters
without any edge 13 % would be claimed at 5 % otherwise, and 6 % with it (Hall 1992, "The Bootstrap and Edgeworth
Expansion", 3.10).

A standing offset is no signal: where the edge shrinks less than 60 % of the time and nearly all signals are on one
side, oracle and book simply differ, and no threshold is recommended.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import copysign, inf, nan
from typing import Any, Self

import numpy as np
import polars as pl
from pydantic import BaseModel

from hip3_tasks.analysis.measure.chunk import Chunk, sum_by
from hip3_tasks.analysis.measure.codes import ByCode
from hip3_tasks.analysis.measure.resampler import Resampler
from hip3_tasks.stats.bootstrap import MIN_CLUSTERS, REPLICATES, Array, Estimate, has_band
from hip3_tasks.stats.cluster_totals import SumSpec, Totals

GRID_BPS = (6.0, 7.0, 8.0, 10.0, 12.0, 14.0, 16.0, 20.0, 25.0, 30.0, 40.0, 50.0, 75.0, 100.0)
IN_SAMPLE_SHARE = 0.6
MIN_CLUSTERS_TO_CHOOSE = 2 * MIN_CLUSTERS
"""Clusters in the first part, so that the shorter rest has enough of them for a band."""
CLAIM_P = 0.05
ROUNDING = 1e-12
"""Residual sums of squares below this share of the total count as zero variance."""
STRUCTURAL_SHRANK = 0.6
STRUCTURAL_SIDE = 0.9

IN_SAMPLE, OUT_OF_SAMPLE = 0, 1
_SUMS = SumSpec(
    bootstrapped=("net_n", "net"), products=(("net", "net"), ("net", "net_n"), ("net_n", "net_n")), plain=("won",)
)


class ThresholdVerdict(StrEnum):
    """The claim that the data support about a market."""

    WORKS = "works"
    """Net of cost it pays out of sample, by more than the best of as many markets would by chance."""
    UNPROVEN = "unproven"
    """Chance would do as well."""
    LOSES = "loses"
    """Out of sample its band is below zero."""
    STRUCTURAL = "structural"
    """A standing offset between oracle and book."""
    TOO_FEW = "too few"
    """Too few clusters for any claim."""


class SampleResult(BaseModel):
    """The result of a threshold in one part of the time."""

    n: int
    clusters: int
    won: float
    net_bps: Estimate
    p: float | None
    """The probability that chance alone does as well, among all thresholds tried in this part; None without a band."""


class MarketStats(BaseModel):
    """A market at the thresholds that its signals were recorded with, over all the time."""

    market: str
    matched: int
    """Signals with a follow-up at the longest offset."""
    edge_bps: float
    shrank: float
    won: float | None
    net_bps: Estimate
    one_sided: float
    """The share of the more frequent side among its signals."""
    recorded_bps: float
    """The lowest edge recorded throughout: the greatest threshold of its signals; without a threshold, the greater of
    the least edges before and after the split."""

    @classmethod
    def from_totals(cls, market: str, totals: Totals, *, recorded_bps: float) -> Self:
        """Compute the numbers from the market's totals at the longest offset."""
        n, bought = totals["n"], totals["bought"]
        return cls(
            market=market,
            matched=round(n),
            edge_bps=totals["edge_t0"] / n,
            shrank=totals["shrank"] / n,
            won=totals.share("won", "net_n"),
            net_bps=totals.ratio("net", "net_n"),
            one_sided=max(bought, n - bought) / n,
            recorded_bps=recorded_bps,
        )


class MarketChoice(MarketStats):
    """A market and the threshold chosen for it."""

    threshold_bps: float | None = None
    """None if no level has enough clusters."""
    in_sample: SampleResult | None = None
    out_of_sample: SampleResult | None = None
    verdict: ThresholdVerdict


class ThresholdSearch(BaseModel):
    """Thresholds for all markets, at one offset."""

    offset_ms: int
    split_at_ms: int
    tried: int
    """The number of pairs of a market and a threshold tried in the first part."""
    judged: int
    """The number of markets validated in the second part."""
    choices: list[MarketChoice]

    def overfit_counts(self) -> tuple[int, int, int]:
        """The number of markets that pay in sample at their threshold, that pay out of sample too, and that work."""
        paid = [choice for choice in self.choices if _pays(choice.in_sample)]
        held = [choice for choice in paid if _pays(choice.out_of_sample)]
        return len(paid), len(held), sum(choice.verdict is ThresholdVerdict.WORKS for choice in held)

    def recommended_bps(self) -> dict[str, float]:
        """The thresholds of the markets that work, as the file of HIP3_THRESHOLDS holds them."""
        working = (choice for choice in self.choices if choice.verdict is ThresholdVerdict.WORKS)
        return {choice.market: choice.threshold_bps for choice in working if choice.threshold_bps is not None}


def split_ms(first_ms: int, last_ms: int, *, cluster_ms: int) -> int:
    """The start of the second part, at the end of a cluster."""
    return -(-int(first_ms + IN_SAMPLE_SHARE * (last_ms - first_ms)) // cluster_ms) * cluster_ms


def level_sums(chunk: Chunk, *, recording_threshold_bps: ByCode, split_at_ms: int, cluster_ms: int) -> pl.DataFrame:
    """Sums by market, sample, cluster and level (the number of grid thresholds reached), at the chunk's last offset.

    A row counts if its net is known, its edge was recorded throughout, and its outcome falls into the part of its
    signal: a follow-up due in the second part of a signal in the first is in neither.
    """
    last = len(chunk.offsets_ms) - 1
    rows = np.flatnonzero(chunk.offset == last)
    timestamp_ms, net_bps, edge_t0_bps = chunk.timestamp_ms[rows], chunk.net_bps[rows], chunk.edge_t0_bps[rows]
    in_one_part = (timestamp_ms >= split_at_ms) | (timestamp_ms + chunk.offsets_ms[last] < split_at_ms)
    was_recorded = edge_t0_bps >= recording_threshold_bps[chunk.market_key[rows]]
    counts = in_one_part & ~np.isnan(net_bps) & was_recorded
    timestamp_ms, net_bps = timestamp_ms[counts], net_bps[counts]
    keys = {
        "market_key": chunk.market_key[rows[counts]],
        "sample": np.where(timestamp_ms >= split_at_ms, OUT_OF_SAMPLE, IN_SAMPLE),
        "level": np.searchsorted(GRID_BPS, edge_t0_bps[counts], side="right"),
        "cluster": timestamp_ms // cluster_ms,
    }
    return sum_by(keys, {"net": net_bps, "won": net_bps > 0}).rename({"n": "net_n"})


def search_thresholds(
    sums: pl.DataFrame, markets: Sequence[MarketStats], resampler: Resampler, *, offset_ms: int, split_at_ms: int
) -> ThresholdSearch:
    """Choose and validate a threshold for each market, given the `level_sums` of all chunks."""
    sums_by_market = sums.partition_by("market_key", as_dict=True)
    trials = {
        stats.market: _Trial.from_sums(sums_by_market[stats.market,], stats.recorded_bps, resampler)
        for stats in markets
        if (stats.market,) in sums_by_market
    }
    tried = [totals for trial in trials.values() for totals in trial.candidates.values()]
    validated = [trial.validation for trial in trials.values() if trial.validation is not None]
    judged = [totals for totals in validated if has_band(totals.clusters)]
    nulls = _max_t_null(tried), _max_t_null(judged)
    choices = [_choice(stats, trials.get(stats.market), *nulls) for stats in markets]
    return ThresholdSearch(
        offset_ms=offset_ms, split_at_ms=split_at_ms, tried=len(tried), judged=len(judged), choices=choices
    )


@dataclass(frozen=True, slots=True)
class _Trial:
    """One market: the totals of each level in the first part, the chosen level, and its totals in the second part."""

    candidates: dict[int, Totals]
    """The levels that have enough clusters to be chosen."""
    chosen: int | None
    validation: Totals | None

    @classmethod
    def from_sums(cls, sums: pl.DataFrame, recorded_bps: float, resampler: Resampler) -> Self:
        # Level 0 takes all signals as recorded; a higher level is tried only if it excludes some of them.
        levels = [0, *(level for level, low_bps in enumerate(GRID_BPS, 1) if low_bps > recorded_bps)]
        first, rest = sums.filter(sample=IN_SAMPLE), sums.filter(sample=OUT_OF_SAMPLE)
        totals = resampler.totals(first, _SUMS, by="level", keys=levels, cumulative=True)
        candidates = {level: total for level, total in totals.items() if total.clusters >= MIN_CLUSTERS_TO_CHOOSE}
        chosen = max(candidates, key=lambda level: candidates[level]["net"], default=None)
        if chosen is None:
            return cls(candidates, None, None)
        validation = resampler.totals(rest, _SUMS, by="level", keys=[chosen], cumulative=True)
        return cls(candidates, chosen, validation.get(chosen))


def _choice(stats: MarketStats, trial: _Trial | None, first_null: Array, rest_null: Array) -> MarketChoice:
    if trial is None or trial.chosen is None:
        return MarketChoice(**dict(stats), verdict=_structural(stats) or ThresholdVerdict.TOO_FEW)
    out_of_sample = None if trial.validation is None else _sample_result(trial.validation, rest_null)
    return MarketChoice(
        **dict(stats),
        threshold_bps=GRID_BPS[trial.chosen - 1] if trial.chosen else stats.recorded_bps,
        in_sample=_sample_result(trial.candidates[trial.chosen], first_null),
        out_of_sample=out_of_sample,
        verdict=_structural(stats) or _verdict(out_of_sample),
    )


def _pays(result: SampleResult | None) -> bool:
    return result is not None and (result.net_bps.value or 0) > 0


def _structural(stats: MarketStats) -> ThresholdVerdict | None:
    is_standing = stats.shrank < STRUCTURAL_SHRANK and stats.one_sided >= STRUCTURAL_SIDE
    return ThresholdVerdict.STRUCTURAL if is_standing else None


def _verdict(result: SampleResult | None) -> ThresholdVerdict:
    if result is None or result.p is None or result.net_bps.high is None:
        return ThresholdVerdict.TOO_FEW
    if result.p <= CLAIM_P:
        return ThresholdVerdict.WORKS
    return ThresholdVerdict.LOSES if result.net_bps.high < 0 else ThresholdVerdict.UNPROVEN


def _sample_result(totals: Totals, null: Array) -> SampleResult:
    p = None
    if has_band(totals.clusters):
        p = float(np.mean(~(null < _t_statistics(totals)[0])))  # counts NaN as not below
    return SampleResult(
        n=round(totals["net_n"]),
        clusters=totals.clusters,
        won=totals["won"] / totals["net_n"],
        net_bps=totals.ratio("net", "net_n"),
        p=p,
    )


def _max_t_null(tried: Sequence[Totals]) -> Array:
    """The greatest t statistic of each replicate if no market had any net; float64, (REPLICATES,)."""
    greatest = np.full(REPLICATES, -np.inf)
    for totals in tried:
        greatest = np.fmax(greatest, _t_statistics(totals)[1])
    return greatest


def _t_statistics(totals: Totals) -> tuple[float, Array]:
    """The t statistic of the mean, and of the distance of each replicate's mean from it; float64, (REPLICATES,).

    Without variance the first is infinite, or NaN for a mean of 0; the others are NaN.
    """
    value, error = _mean_and_error(lambda name: totals[name])
    means, errors = _mean_and_error(totals.replicates)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = value / error if error else (copysign(inf, value) if value else nan)
        return float(statistic), np.where(errors > 0, (means - value) / errors, np.nan)


def _mean_and_error(sums: Callable[[str], Any]) -> tuple[Any, Any]:
    """The mean net and its standard error, that of a ratio of sums over clusters, linearised; 0 without variance."""
    n, net = sums("net_n"), sums("net")
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = net / n
        squares = sums("net*net")
        residuals = squares - 2 * mean * sums("net*net_n") + mean * mean * sums("net_n*net_n")
        return mean, np.sqrt(np.where(residuals > ROUNDING * squares, residuals, 0.0)) / n
