"""Measure how often the bands of an analysis contain the true value, by kind of market, in simulated histories.

    .venv/bin/python -m benchmarks.coverage [MODULE:FUNCTION] --seeds 400
    .venv/bin/python -m benchmarks.coverage --verdicts --seeds 100 --signals 40000 --hours 24 --markets 16

With --verdicts: count the verdicts of `hip3 report` on thresholds in the same histories, the thresholds that pay in
sample, and the searches that recommend what does not pay. FUNCTION takes the frames of a history's signals and
follow-ups and returns (value, low, high) by (market, measure), for the measures that `planted` names; the default is
`hip3 report`. Bands are correct when they contain the true value as often as they state; among correct bands, narrower
ones are more useful.
"""

import importlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from statistics import fmean, stdev
from typing import Annotated, NamedTuple

import polars as pl
import typer
from rich.progress import track

from hip3_tasks.analysis.measure.threshold_search import MarketChoice, ThresholdVerdict
from hip3_tasks.analysis.reporting.model import Group
from hip3_tasks.stats.bootstrap import Estimate
from simulator.history import SMALL, HistoryPlan, MarketKind, PlantedMarket, frames, truths
from simulator.history.report import report_on

Band = tuple[float, float, float]
"""Value, low and high."""


class Measure(NamedTuple):
    """A measure of a market whose true value is planted."""

    name: str
    after_ms: int
    """The offset; of a round trip, that of the way out."""

    def __str__(self) -> str:
        return f"{self.name}, {self.after_ms // 1000} s"


MARKOUT, ROUND_TRIP, HAD = "markout", "round trip", "had (%)"
PAYS_AT_MID, PAYS_IN_SAMPLE = "pay at the mid", "pay in sample"
LEAST_GAIN_BPS = 1e-6
"""Less is rounding of a planted 0."""
Estimator = Callable[[pl.DataFrame, pl.DataFrame], Mapping[tuple[str, Measure], Band]]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def planted(market: PlantedMarket) -> dict[Measure, float]:
    """The true values of a market: in bps, but percent for `had`."""
    markouts = {Measure(MARKOUT, offset_ms): bps for offset_ms, bps in market.markout_bps.items()}
    trips = {Measure(ROUND_TRIP, offset_ms): bps for offset_ms, bps in market.round_trip_bps.items()}
    return markouts | trips | {Measure(HAD, min(market.markout_bps)): 100 * market.had_share}


def report_bands(signals: pl.DataFrame, followups: pl.DataFrame) -> dict[tuple[str, Measure], Band]:
    """The bands of `hip3 report`; a market and measure without a band is left out."""
    estimates = {
        (group.name, measure): _band(estimate, scale)
        for group in report_on(signals, followups).groups
        for measure, estimate, scale in _estimates(group)
    }
    return {key: band for key, band in estimates.items() if band is not None}


def _estimates(group: Group) -> Iterator[tuple[Measure, Estimate, float]]:
    """The estimates of a group that have a planted value, and their scale."""
    for horizon in group.horizons:
        yield Measure(MARKOUT, horizon.offset_ms), horizon.markout_bps, 1
    for trip in group.trips:
        yield Measure(ROUND_TRIP, trip.latency_ms + trip.held_ms), trip.round_trip_bps, 1
        yield Measure(HAD, trip.latency_ms), trip.had, 100


def _band(estimate: Estimate, scale: float) -> Band | None:
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return None
    return estimate.value * scale, estimate.low * scale, estimate.high * scale


@dataclass(slots=True)
class Tally:
    """Statistics of the bands of one kind of market."""

    held: list[float] = field(default_factory=list)
    """For each history, the share of its bands that contain the truth."""
    bands: int = 0
    above: int = 0
    """Bands that lie above the truth."""
    below: int = 0
    errors: list[float] = field(default_factory=list)
    """Differences value − truth, in the unit of the measure."""
    widths: list[float] = field(default_factory=list)

    def add(self, bands: Iterable[tuple[Band, float]]) -> None:
        """Add the bands of one history, each with the truth."""
        marks = [(value - truth, high - low, low > truth, high < truth) for (value, low, high), truth in bands]
        self.bands += len(marks)
        self.above += sum(mark[2] for mark in marks)
        self.below += sum(mark[3] for mark in marks)
        self.errors += [mark[0] for mark in marks]
        self.widths += [mark[1] for mark in marks]
        self.held.append(fmean(not (mark[2] or mark[3]) for mark in marks))

    @property
    def coverage(self) -> float:
        return fmean(self.held)

    @property
    def error(self) -> float:
        """The standard error of the coverage. Histories are independent; bands of one history are not."""
        return stdev(self.held) / len(self.held) ** 0.5 if len(self.held) > 1 else float("nan")


def coverage(estimator: Estimator, plans: Iterable[HistoryPlan]) -> dict[str, Tally]:
    """The tally of each measure, of all markets and by kind and offset."""
    tallies: dict[str, Tally] = {}
    for plan in plans:
        for name, bands in _by_name(estimator, plan).items():
            tallies.setdefault(name, Tally()).add(bands)
    return dict(sorted(tallies.items()))


def _by_name(estimator: Estimator, plan: HistoryPlan) -> dict[str, list[tuple[Band, float]]]:
    made, known = frames(plan), truths(plan)
    bands: dict[str, list[tuple[Band, float]]] = {}
    for (market_key, measure), band in estimator(made.signals, made.followups).items():
        market = known[market_key]
        for name in (f"all, {measure.name}", f"{market.kind}, {measure}"):
            bands.setdefault(name, []).append((band, planted(market)[measure]))
    return bands


def table(tallies: Mapping[str, Tally]) -> Iterator[str]:
    """The tallies as a Markdown table."""
    yield "| kind, measure | bands | hold the truth | too high | too low | mean error | mean width |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for name, tally in tallies.items():
        shares = f"{tally.above / tally.bands:.1%} | {tally.below / tally.bands:.1%}"
        means = f"{fmean(tally.errors):+.3f} | {fmean(tally.widths):.2f}"
        yield f"| {name} | {tally.bands} | {tally.coverage:.1%} ± {tally.error:.1%} | {shares} | {means} |"


def verdicts(plans: Iterable[HistoryPlan]) -> Iterator[str]:
    """The verdicts on the markets of each kind, as a Markdown table, and how often one is false."""
    rows: dict[MarketKind, Counter[str]] = {kind: Counter() for kind in MarketKind}
    false_searches: list[bool] = []
    for plan in plans:
        made, known = frames(plan), truths(plan)
        search = report_on(made.signals, made.followups).search
        choices = search.choices if search else []
        for choice in choices:
            rows[known[choice.market].kind].update(_marks(choice))
        false_searches.append(any(_is_false(choice, known[choice.market]) for choice in choices))
    names = "markets", PAYS_AT_MID, PAYS_IN_SAMPLE, *(verdict.value for verdict in ThresholdVerdict)
    yield f"| kind | {' | '.join(names)} |"
    yield f"| --- | {' | '.join('---:' for _ in names)} |"
    for kind, row in rows.items():
        yield f"| {kind} | {' | '.join(f'{row[name]:,}' for name in names)} |"
    yield ""
    yield f"A threshold that does not pay is recommended in {sum(false_searches)} of {len(false_searches)} searches."


def _marks(choice: MarketChoice) -> Iterator[str]:
    """The columns of the table in which a market counts."""
    yield "markets"
    yield choice.verdict.value
    if (choice.net_bps.value or 0) > 0:
        yield PAYS_AT_MID
    if choice.in_sample and (choice.in_sample.round_trip_bps.value or 0) > 0:
        yield PAYS_IN_SAMPLE


def _is_false(choice: MarketChoice, market: PlantedMarket) -> bool:
    """Whether a threshold is recommended at which the expected round trip when had does not pay."""
    if choice.verdict is not ThresholdVerdict.WORKS or choice.threshold_bps is None:
        return False
    edge_bps = market.raw_edge_above_bps(choice.threshold_bps)
    return market.round_trip_bps_at(edge_bps, max(market.round_trip_bps)) < LEAST_GAIN_BPS


@app.command(help=__doc__)
def main(
    estimator: Annotated[str, typer.Argument(metavar="[MODULE:FUNCTION]")] = "benchmarks.coverage:report_bands",
    seeds: Annotated[int, typer.Option(min=2)] = 400,
    signals: Annotated[int, typer.Option(min=100)] = SMALL.signals,
    hours: Annotated[float, typer.Option()] = SMALL.hours,
    markets: Annotated[int, typer.Option(min=1)] = SMALL.markets,
    copies: Annotated[float, typer.Option(min=1, help="signals per event")] = SMALL.copies,
    are_verdicts: Annotated[bool, typer.Option("--verdicts", help="count verdicts on thresholds, not bands")] = False,
) -> None:
    module, _, name = estimator.partition(":")
    function = getattr(importlib.import_module(module), name)
    like = HistoryPlan(signals=signals, hours=hours, markets=markets, copies=copies)
    plans = track([replace(like, seed=seed) for seed in range(seeds)], description="", transient=True)
    print("\n".join(verdicts(plans) if are_verdicts else table(coverage(function, plans))))


if __name__ == "__main__":
    app()
