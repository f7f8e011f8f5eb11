"""A search for thresholds that shows its own over-fit.

For each market, the level of a grid is chosen whose round trips, where a taker had them, sum up to most in the first
part of the time. It is validated on the rest, since a level validated on the data it was chosen from finds profit in
noise. Both results stand side by side, so that the over-fit shows. Out of sample, too, the best of many markets looks
good by chance. A claim must therefore beat the best that chance shows among all validated markets: the greatest t
statistic of each replicate (Westfall & Young 1993, "Resampling-Based Multiple Testing"; White 2000, "A Reality Check
for Data Snooping", Econometrica 68). Each replicate is divided by its own standard error: results are skewed to losses,
and of twenty clusters without any edge 13 % would be claimed at 5 % otherwise, and 6 % with it (Hall 1992, "The
Bootstrap and Edgeworth Expansion", 3.10).

A standing offset is no signal: where the edge shrinks less than 60 % of the time and nearly all signals are on one
side, oracle and book simply differ, and no threshold is recommended.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Self

import numpy as np
import polars as pl
from pydantic import BaseModel

from hip3_tasks.analysis.measure.levels import GRID_BPS, IN_SAMPLE
from hip3_tasks.analysis.measure.measures import Count, Ratio, values_of
from hip3_tasks.analysis.measure.resampler import Resampler
from hip3_tasks.analysis.measure.trip_statistics import LEVEL_SUMS, TRIED_SUMS, costlier, max_t_null, t_statistics
from hip3_tasks.stats.bootstrap import MIN_CLUSTERS, Array, Estimate, has_band
from hip3_tasks.stats.cluster_totals import Totals

MIN_CLUSTERS_TO_CHOOSE = 2 * MIN_CLUSTERS
"""Clusters in the first part, so that the shorter rest has enough of them for a band."""
CLAIM_P = 0.05
STRUCTURAL_SHRANK = 0.6
STRUCTURAL_SIDE = 0.9


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

    n: Annotated[int, Count("round_trip_n")]
    """Signals that were had, with a known way out."""
    clusters: int
    won: Annotated[float | None, Ratio("net_won", "net_n", has_band=False)]
    net_bps: Annotated[Estimate, Ratio("net", "net_n")]
    """Mid to mid at the longest offset, had or not."""
    round_trip_bps: Annotated[Estimate, Ratio("round_trip", "round_trip_n")]
    """When had."""
    round_trip_won: Annotated[float, Ratio("round_trip_won", "round_trip_n", has_band=False)]
    p: float | None
    """The probability that chance alone does as well, among all thresholds tried in this part; None without a band."""


class MarketStats(BaseModel):
    """A market at the thresholds that its signals were recorded with, over all the time."""

    market: str
    matched: Annotated[int, Count("n")]
    """Signals with a follow-up at the longest offset."""
    clusters: int
    """Clusters with such a follow-up."""
    edge_bps: Annotated[float, Ratio("edge_t0", "n", has_band=False)]
    shrank: Annotated[float, Ratio("shrank", "n", has_band=False)]
    won: Annotated[float | None, Ratio("won", "net_n", has_band=False)]
    net_bps: Annotated[Estimate, Ratio("net", "net_n")]
    had: Estimate
    """The share of its orders that were filled, of those whose entry is known."""
    round_trip_bps: Estimate
    """When had."""
    one_sided: float
    """The share of the more frequent side among its signals."""
    recorded_bps: float
    """The lowest edge recorded throughout: the greatest threshold of its signals; without a threshold, the greater of
    the least edges before and after the split."""

    @classmethod
    def from_totals(cls, market: str, totals: Totals, trips: Totals | None, *, recorded_bps: float) -> Self:
        """Compute the numbers from the market's totals at the longest offset, and from those of its trips."""
        unknown = Estimate(value=None)
        n, bought = totals["n"], totals["bought"]
        return cls(
            market=market,
            clusters=totals.clusters,
            had=trips.ratio("had", "n") if trips else unknown,
            round_trip_bps=trips.ratio("trip", "trip_n") if trips else unknown,
            one_sided=max(bought, n - bought) / n,
            recorded_bps=recorded_bps,
            **values_of(cls, totals),
        )


class MarketChoice(MarketStats):
    """A market and the threshold chosen for it."""

    threshold_bps: float | None = None
    """None if no level has enough clusters."""
    in_sample: SampleResult | None = None
    out_of_sample: SampleResult | None = None
    verdict: ThresholdVerdict
    too_few: str | None = None
    """For `too few`: of what there are too few, how many there are, and how many it takes."""


class AtPriorityFee(BaseModel):
    """How many markets would work if the taker paid this order priority fee, twice a round trip."""

    priority_fee_bps: float
    works: int


class ThresholdSearch(BaseModel):
    """Thresholds for all markets, at one offset."""

    offset_ms: int
    split_at_ms: int
    tried: int
    """The number of pairs of a market and a threshold tried in the first part."""
    judged: int
    """The number of markets validated in the second part."""
    choices: list[MarketChoice]
    at_priority_fees: list[AtPriorityFee] = []
    """Empty if no market works, and for a cost that was asked for."""

    def overfit_counts(self) -> tuple[int, int, int]:
        """The number of markets that pay in sample at their threshold, that pay out of sample too, and that work."""
        paid = [choice for choice in self.choices if _pays(choice.in_sample)]
        held = [choice for choice in paid if _pays(choice.out_of_sample)]
        return len(paid), len(held), sum(choice.verdict is ThresholdVerdict.WORKS for choice in held)

    def recommended_bps(self) -> dict[str, float]:
        """The thresholds of the markets that work, as the file of HIP3_THRESHOLDS holds them."""
        working = (choice for choice in self.choices if choice.verdict is ThresholdVerdict.WORKS)
        return {choice.market: choice.threshold_bps for choice in working if choice.threshold_bps is not None}


class Trials:
    """The totals of each market and threshold, from which searches follow."""

    def __init__(self, sums: pl.DataFrame, markets: Sequence[MarketStats], resampler: Resampler) -> None:
        """`sums` are the `level_sums` of all chunks, in samples."""
        is_first = pl.col("sample") == IN_SAMPLE
        self._first, self._rest = sums.filter(is_first), sums.filter(~is_first)
        first, none = self._first.partition_by("market_key", as_dict=True), sums.clear()
        known = set(sums["market_key"].unique())
        self._markets, self._resampler = markets, resampler
        self._trials = {
            stats.market: _Trial(first.get((stats.market,), none), stats.recorded_bps, resampler)
            for stats in markets
            if stats.market in known
        }
        self._validated: dict[tuple[str, int], Totals | None] = {}

    def search(self, *, offset_ms: int, split_at_ms: int) -> ThresholdSearch:
        """Choose and validate a threshold for each market."""
        tried = [totals for trial in self._trials.values() for totals in trial.candidates.values()]
        in_samples, validations = self._at_levels(self._first, self._chosen()), self._validations(more_bps=0.0)
        judged = _judged(validations.values())
        nulls = max_t_null(tried), max_t_null(judged)
        choices = []
        for stats in self._markets:
            of_market = self._trials.get(stats.market), in_samples.get(stats.market), validations.get(stats.market)
            choices.append(_choice(stats, *of_market, *nulls))
        return ThresholdSearch(
            offset_ms=offset_ms, split_at_ms=split_at_ms, tried=len(tried), judged=len(judged), choices=choices
        )

    def count_working(self, more_bps: float) -> int:
        """The number of markets whose threshold would work, had every round trip cost so much more."""
        validations = self._validations(more_bps)
        null = max_t_null(_judged(validations.values()))
        verdicts = (
            _structural(stats) or _verdict(_sample_result(validations[stats.market], null))
            for stats in self._markets
            if stats.market in validations
        )
        return sum(verdict is ThresholdVerdict.WORKS for verdict in verdicts)

    def _validations(self, more_bps: float) -> dict[str, Totals]:
        """The totals of the chosen level of each market that has one, in the second part."""
        levels = self._chosen(more_bps)
        new = {market: level for market, level in levels.items() if (market, level) not in self._validated}
        totals = self._at_levels(self._rest, new)
        self._validated |= {(market, level): totals.get(market) for market, level in new.items()}
        known = {market: self._validated[market, level] for market, level in levels.items()}
        return {market: costlier(totals, more_bps) for market, totals in known.items() if totals is not None}

    def _chosen(self, more_bps: float = 0.0) -> dict[str, int]:
        """The chosen level of each market that has one."""
        chosen = ((market, trial.chosen(more_bps)) for market, trial in self._trials.items())
        return {market: level for market, level in chosen if level is not None}

    def _at_levels(self, sums: pl.DataFrame, levels: Mapping[str, int]) -> dict[str, Totals]:
        """The totals of each market from its level up."""
        least = pl.col("market_key").replace_strict(levels, default=None, return_dtype=pl.Int64)
        rows = sums.filter(pl.col("level") >= least)
        return self._resampler.totals(rows, LEVEL_SUMS, by="market_key", keys=list(levels)) if levels else {}


class _Trial:
    """The totals of each level of a market in the first part."""

    def __init__(self, first: pl.DataFrame, recorded_bps: float, resampler: Resampler) -> None:
        # Level 0 takes all signals as recorded; a higher level is tried only if it excludes some of them.
        levels = [0, *(level for level, low_bps in enumerate(GRID_BPS, 1) if low_bps > recorded_bps)]
        totals = resampler.totals(first, TRIED_SUMS, by="level", keys=levels, cumulative=True)
        self.candidates = {level: total for level, total in totals.items() if total.clusters >= MIN_CLUSTERS_TO_CHOOSE}
        self.first_clusters = max((total.clusters for total in totals.values()), default=0)

    def chosen(self, more_bps: float = 0.0) -> int | None:
        """The level with the greatest sum, had every round trip cost so much more, of those with enough clusters."""
        sums = {
            level: totals["round_trip"] - more_bps * totals["round_trip_n"] for level, totals in self.candidates.items()
        }
        return max(sums, key=sums.__getitem__, default=None)


def _judged(validations: Iterable[Totals]) -> list[Totals]:
    return [totals for totals in validations if has_band(totals.clusters)]


def _choice(
    stats: MarketStats,
    trial: _Trial | None,
    in_sample: Totals | None,
    validation: Totals | None,
    first_null: Array,
    rest_null: Array,
) -> MarketChoice:
    chosen = trial.chosen() if trial else None
    if trial is None or chosen is None or in_sample is None:
        first = trial.first_clusters if trial else 0
        return MarketChoice(**dict(stats), **_claim(_structural(stats), first, MIN_CLUSTERS_TO_CHOOSE, "first part"))
    out_of_sample = None if validation is None else _sample_result(validation, rest_null)
    return MarketChoice(
        **dict(stats),
        threshold_bps=GRID_BPS[chosen - 1] if chosen else stats.recorded_bps,
        in_sample=_sample_result(in_sample, first_null),
        out_of_sample=out_of_sample,
        **_claim(
            _structural(stats) or _verdict(out_of_sample),
            out_of_sample.clusters if out_of_sample else 0,
            MIN_CLUSTERS,
            "second part",
        ),
    )


def _claim(verdict: ThresholdVerdict | None, clusters: int, needed: int, part: str) -> dict[str, Any]:
    """The verdict, or that there are too few clusters for any."""
    if verdict is not None:
        return {"verdict": verdict}
    too_few = f"{clusters:,} of {needed} clusters with a round trip in the {part}"
    return {"verdict": ThresholdVerdict.TOO_FEW, "too_few": too_few}


def _pays(result: SampleResult | None) -> bool:
    return result is not None and (result.round_trip_bps.value or 0) > 0


def _structural(stats: MarketStats) -> ThresholdVerdict | None:
    is_standing = stats.shrank < STRUCTURAL_SHRANK and stats.one_sided >= STRUCTURAL_SIDE
    return ThresholdVerdict.STRUCTURAL if is_standing and has_band(stats.clusters) else None


def _verdict(result: SampleResult | None) -> ThresholdVerdict | None:
    """None if the clusters are too few for a claim."""
    if result is None or result.p is None or result.round_trip_bps.high is None:
        return None
    if result.p <= CLAIM_P:
        return ThresholdVerdict.WORKS
    return ThresholdVerdict.LOSES if result.round_trip_bps.high < 0 else ThresholdVerdict.UNPROVEN


def _sample_result(totals: Totals, null: Array) -> SampleResult:
    p = None
    if has_band(totals.clusters):
        p = float(np.mean(~(null < t_statistics(totals)[0])))  # counts NaN as not below
    return SampleResult(clusters=totals.clusters, p=p, **values_of(SampleResult, totals))
