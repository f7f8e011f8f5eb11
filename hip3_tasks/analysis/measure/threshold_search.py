"""A search for thresholds that does not fool its user.

For each market the rung of a ladder with the greatest sum of net bps in the first part of the time is chosen, and
judged on the rest: whoever judges on what was chosen from finds profit in noise. Both figures stand side by side, so
that the over-fit can be seen. Out of sample, too, the best of many markets looks good by chance; so what is claimed
must beat the best that chance shows among all that were judged: the greatest t statistic of each replicate (Westfall &
Young 1993, "Resampling-Based Multiple Testing"; White 2000, "A Reality Check for Data Snooping", Econometrica 68). Each
replicate is measured by its own standard error: nets are skewed to losses, and of twenty clusters of such without any
edge 13 % would be claimed at 5 % otherwise, so 6 % (Hall 1992, "The Bootstrap and Edgeworth Expansion", 3.10).

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

from hip3_tasks.analysis.measure.chunk import Piece, summed
from hip3_tasks.analysis.measure.resampler import Resampler
from hip3_tasks.stats.bootstrap import MIN_CLUSTERS, REPLICATES, Array, Estimate, has_band
from hip3_tasks.stats.cluster_totals import SumSpec, Totals

LADDER_BPS = (6.0, 7.0, 8.0, 10.0, 12.0, 14.0, 16.0, 20.0, 25.0, 30.0, 40.0, 50.0, 75.0, 100.0)
FIRST_PART = 0.6
FEWEST_TO_CHOOSE = 2 * MIN_CLUSTERS
"""Clusters in the first part, so that the shorter rest has enough of them for a band."""
CLAIM_P = 0.05
ROUNDING = 1e-12
"""Of the sum of squares: where those of the residuals sum to no more, all are alike."""
STRUCTURAL_SHRANK = 0.6
STRUCTURAL_SIDE = 0.9


_SUMS = SumSpec(
    bootstrapped=("net_n", "net"), products=(("net", "net"), ("net", "net_n"), ("net_n", "net_n")), plain=("won",)
)


class Verdict(StrEnum):
    """What may be said of a market."""

    WORKS = "works"
    """Net of cost it pays out of sample, more than the best of as many markets would by chance."""
    UNPROVEN = "unproven"
    """Nothing that chance would not do as well."""
    LOSES = "loses"
    """Out of sample its band is below zero."""
    STRUCTURAL = "structural"
    """A standing offset between oracle and book."""
    TOO_FEW = "too few"
    """Clusters, for any claim."""


class Part(BaseModel):
    """What a threshold gave in a part of the time."""

    n: int
    clusters: int
    won: float
    net_bps: Estimate
    p: float | None
    """How often chance alone does as well among all that were tried in this part; None without a band."""


class Market(BaseModel):
    """How a market does at the thresholds its signals were recorded with, over all the time."""

    market: str
    matched: int
    """Signals with a follow-up at the horizon."""
    edge_bps: float
    shrank: float
    won: float | None
    net_bps: Estimate
    one_sided: float
    """Share of its signals on the side that most are on."""
    recorded_bps: float
    """From what edge on they were recorded all the time: the greatest threshold there was; where none was noted, the
    greater of the least edges before and after the split."""

    @classmethod
    def of(cls, market: str, totals: Totals, *, recorded_bps: float) -> Self:
        """From its sums at the horizon."""
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


class Choice(Market):
    """A market and the threshold chosen for it."""

    threshold_bps: float | None = None
    """None where no rung has clusters enough."""
    in_sample: Part | None = None
    out_of_sample: Part | None = None
    verdict: Verdict


class Search(BaseModel):
    """Thresholds for all markets, at one horizon."""

    offset_ms: int
    split_at_ms: int
    tried: int
    """Pairs of a market and a threshold, in the first part."""
    judged: int
    """Markets, in the second part."""
    choices: list[Choice]

    def tuned(self) -> tuple[int, int, int]:
        """How many markets pay in sample at what was chosen; of these, how many out of sample; and beyond chance."""
        paid = [one for one in self.choices if one.in_sample and (one.in_sample.net_bps.value or 0) > 0]
        held = [one for one in paid if one.out_of_sample and (one.out_of_sample.net_bps.value or 0) > 0]
        return len(paid), len(held), sum(one.verdict is Verdict.WORKS for one in held)

    def recommended_bps(self) -> dict[str, float]:
        """What HIP3_THRESHOLDS reads: of the markets that work, and of no other."""
        return {
            one.market: one.threshold_bps
            for one in self.choices
            if one.verdict is Verdict.WORKS and one.threshold_bps is not None
        }


def split_ms(first_ms: int, last_ms: int, *, every_ms: int) -> int:
    """Where the rest begins: at the end of a cluster, which is as long as `every_ms`."""
    return -(-int(first_ms + FIRST_PART * (last_ms - first_ms)) // every_ms) * every_ms


def rung_sums(piece: Piece, *, recorded_bps: Array, split_at_ms: int, every_ms: int) -> pl.DataFrame:
    """By market, part of the time, cluster and the highest rung that the edge reaches, at the piece's last offset.

    What is due in the second part is of neither: its outcome is not known when the first ends. Nor is an edge that was
    not recorded all the time, which is below that of its market, by number, in `recorded_bps`.
    """
    last = len(piece.offsets_ms) - 1
    at_offset = np.flatnonzero(piece.offset == last)
    timestamp_ms = piece.timestamp_ms[at_offset]
    net_bps = piece.net_bps[at_offset]
    in_a_part = (timestamp_ms >= split_at_ms) | (timestamp_ms + piece.offsets_ms[last] < split_at_ms)
    least_bps = np.take(recorded_bps, piece.market_key[at_offset], mode="clip")
    is_taken = in_a_part & ~np.isnan(net_bps) & (piece.edge_t0_bps[at_offset] >= least_bps)
    taken, timestamp_ms, net_bps = at_offset[is_taken], timestamp_ms[is_taken], net_bps[is_taken]
    cells = {
        "market_key": piece.market_key[taken],
        "part": (timestamp_ms >= split_at_ms).astype(np.int64),
        "rung": np.searchsorted(LADDER_BPS, piece.edge_t0_bps[taken], side="right"),
        "cluster": timestamp_ms // every_ms,
    }
    return summed(cells, {"net": net_bps, "won": net_bps > 0}).rename({"n": "net_n"})


def search(
    sums: pl.DataFrame, markets: Sequence[Market], resampler: Resampler, *, offset_ms: int, split_at_ms: int
) -> Search:
    """Over the `rung_sums` of all markets."""
    of_market = sums.partition_by("market_key", as_dict=True)
    trials = {
        market.market: _Trial.of(of_market[market.market,], market.recorded_bps, resampler)
        for market in markets
        if (market.market,) in of_market
    }
    tried = [totals for trial in trials.values() for totals in trial.candidates.values()]
    judged = [trial.judged for trial in trials.values() if trial.judged and has_band(trial.judged.clusters)]
    first_chance, rest_chance = _chance(tried), _chance(judged)
    choices = [_choice(market, trials.get(market.market), first_chance, rest_chance) for market in markets]
    return Search(offset_ms=offset_ms, split_at_ms=split_at_ms, tried=len(tried), judged=len(judged), choices=choices)


@dataclass(frozen=True, slots=True)
class _Trial:
    """One market: what each rung gave in the first part, which one is chosen, and what that gave in the rest."""

    candidates: dict[int, Totals]
    """Those with clusters enough to choose from."""
    chosen: int | None
    judged: Totals | None

    @classmethod
    def of(cls, sums: pl.DataFrame, recorded_bps: float, resampler: Resampler) -> Self:
        # The first takes signals as they were recorded; of the others, those that tell signals apart at all.
        rungs = [0, *(rung for rung, least_bps in enumerate(LADDER_BPS, 1) if least_bps > recorded_bps)]
        first = resampler.totals(sums.filter(part=0), _SUMS, by="rung", keys=rungs, or_more=True)
        candidates = {rung: totals for rung, totals in first.items() if totals.clusters >= FEWEST_TO_CHOOSE}
        chosen = max(candidates, key=lambda rung: candidates[rung]["net"], default=None)
        if chosen is None:
            return cls(candidates, None, None)
        judged = resampler.totals(sums.filter(part=1), _SUMS, by="rung", keys=[chosen], or_more=True)
        return cls(candidates, chosen, judged.get(chosen))


def _choice(market: Market, trial: _Trial | None, first_chance: Array, rest_chance: Array) -> Choice:
    if trial is None or trial.chosen is None:
        return Choice(**dict(market), verdict=_structural(market) or Verdict.TOO_FEW)
    threshold_bps = LADDER_BPS[trial.chosen - 1] if trial.chosen else market.recorded_bps
    rest = None if trial.judged is None else _part(trial.judged, rest_chance)
    return Choice(
        **dict(market),
        threshold_bps=threshold_bps,
        in_sample=_part(trial.candidates[trial.chosen], first_chance),
        out_of_sample=rest,
        verdict=_structural(market) or _verdict(rest),
    )


def _structural(market: Market) -> Verdict | None:
    stands = market.shrank < STRUCTURAL_SHRANK and market.one_sided >= STRUCTURAL_SIDE
    return Verdict.STRUCTURAL if stands else None


def _verdict(rest: Part | None) -> Verdict:
    if rest is None or rest.p is None or rest.net_bps.high is None:
        return Verdict.TOO_FEW
    if rest.p <= CLAIM_P:
        return Verdict.WORKS
    return Verdict.LOSES if rest.net_bps.high < 0 else Verdict.UNPROVEN


def _part(totals: Totals, chance: Array) -> Part:
    p = None
    if has_band(totals.clusters):
        p = float(np.mean(~(chance < _t_statistics(totals)[0])))  # also where there is none
    return Part(
        n=round(totals["net_n"]),
        clusters=totals.clusters,
        won=totals["won"] / totals["net_n"],
        net_bps=totals.ratio("net", "net_n"),
        p=p,
    )


def _chance(tried: Sequence[Totals]) -> Array:
    """The greatest t statistic of each replicate, were there nothing to be found."""
    greatest = np.full(REPLICATES, -np.inf)
    for totals in tried:
        greatest = np.fmax(greatest, _t_statistics(totals)[1])
    return greatest


def _t_statistics(totals: Totals) -> tuple[float, Array]:
    """Of the mean, and of each replicate's distance from it. All alike, it is beyond chance, or nothing if it is 0."""
    value, error = _mean(lambda name: totals[name])
    drawn, errors = _mean(totals.replicates)
    with np.errstate(divide="ignore", invalid="ignore"):
        of_value = value / error if error else (copysign(inf, value) if value else nan)
        return float(of_value), np.where(errors > 0, (drawn - value) / errors, np.nan)


def _mean(sums: Callable[[str], Any]) -> tuple[Any, Any]:
    """The mean net, and its standard error: of a ratio of sums over clusters, linearised; 0 where all are alike."""
    n, net = sums("net_n"), sums("net")
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = net / n
        squares = sums("net*net")
        residuals = squares - 2 * mean * sums("net*net_n") + mean * mean * sums("net_n*net_n")
        return mean, np.sqrt(np.where(residuals > ROUNDING * squares, residuals, 0.0)) / n
