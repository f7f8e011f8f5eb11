"""Measure how often the bands of an analysis contain the true value, by kind of market, in simulated histories.

    .venv/bin/python -m benchmarks.coverage [MODULE:FUNCTION] --seeds 400
    .venv/bin/python -m benchmarks.coverage --verdicts --seeds 100 --signals 40000 --hours 24 --markets 16

With --verdicts: count the verdicts of `hip3 report` on thresholds in the same histories, and the thresholds that pay in
sample. FUNCTION takes the frames of a history's signals and follow-ups and returns (value, low, high) of the mean
markout in bps by (market, offset); the default is `hip3 report`. Bands are correct when they contain the true value as
often as they state; among correct bands, narrower ones are more useful.
"""

import importlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from statistics import fmean, stdev
from typing import Annotated

import polars as pl
import typer
from rich.progress import track

from hip3_tasks.analysis.measure.threshold_search import ThresholdVerdict
from simulator.history import SMALL, HistoryPlan, frames, truths
from simulator.history.report import report_on

Band = tuple[float, float, float]
"""Value, low and high."""
Estimator = Callable[[pl.DataFrame, pl.DataFrame], Mapping[tuple[str, int], Band]]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def report_bands(signals: pl.DataFrame, followups: pl.DataFrame) -> dict[tuple[str, int], Band]:
    """The bands of `hip3 report`; a market and offset without a band is left out."""
    report = report_on(signals, followups)
    horizons = [(group.name, horizon) for group in report.groups for horizon in group.horizons]
    bands = {(name, horizon.offset_ms): horizon.markout_bps for name, horizon in horizons}
    return {
        key: (band.value, band.low, band.high)
        for key, band in bands.items()
        if band.value is not None and band.low is not None and band.high is not None
    }


@dataclass(slots=True)
class Tally:
    """Statistics of the bands of one kind of market."""

    held: list[float] = field(default_factory=list)
    """For each history, the share of its bands that contain the truth."""
    bands: int = 0
    above: int = 0
    """Bands that lie above the truth."""
    below: int = 0
    errors_bps: list[float] = field(default_factory=list)
    """Differences value − truth."""
    widths_bps: list[float] = field(default_factory=list)

    def add(self, bands: Iterable[tuple[Band, float]]) -> None:
        """Add the bands of one history, each with the truth."""
        marks = [(value - truth, high - low, low > truth, high < truth) for (value, low, high), truth in bands]
        self.bands += len(marks)
        self.above += sum(mark[2] for mark in marks)
        self.below += sum(mark[3] for mark in marks)
        self.errors_bps += [mark[0] for mark in marks]
        self.widths_bps += [mark[1] for mark in marks]
        self.held.append(fmean(not (mark[2] or mark[3]) for mark in marks))

    @property
    def coverage(self) -> float:
        return fmean(self.held)

    @property
    def error(self) -> float:
        """The standard error of the coverage. Histories are independent; bands of one history are not."""
        return stdev(self.held) / len(self.held) ** 0.5 if len(self.held) > 1 else float("nan")


def coverage(estimator: Estimator, plans: Iterable[HistoryPlan]) -> dict[str, Tally]:
    """The tally of each kind of market and offset, by `kind, offset`, and the tally `all`."""
    tallies: dict[str, Tally] = {}
    for plan in plans:
        for name, bands in _by_name(estimator, plan).items():
            tallies.setdefault(name, Tally()).add(bands)
    return dict(sorted(tallies.items()))


def _by_name(estimator: Estimator, plan: HistoryPlan) -> dict[str, list[tuple[Band, float]]]:
    made, known = frames(plan), truths(plan)
    bands: dict[str, list[tuple[Band, float]]] = {}
    for (market_key, offset_ms), band in estimator(made.signals, made.followups).items():
        market = known[market_key]
        for name in ("all", f"{market.kind}, {offset_ms // 1000} s"):
            bands.setdefault(name, []).append((band, market.markout_bps[offset_ms]))
    return bands


def table(tallies: Mapping[str, Tally]) -> Iterator[str]:
    """The tallies as a Markdown table."""
    yield "| kind, offset | bands | hold the truth | too high | too low | mean error, bps | mean width, bps |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for name, tally in tallies.items():
        shares = f"{tally.above / tally.bands:.1%} | {tally.below / tally.bands:.1%}"
        means = f"{fmean(tally.errors_bps):+.3f} | {fmean(tally.widths_bps):.2f}"
        yield f"| {name} | {tally.bands} | {tally.coverage:.1%} ± {tally.error:.1%} | {shares} | {means} |"


def verdicts(plans: Iterable[HistoryPlan]) -> Iterator[str]:
    """The verdicts on the markets of each kind, as a Markdown table."""
    rows: dict[str, Counter[str]] = {}
    for plan in plans:
        made, known = frames(plan), truths(plan)
        search = report_on(made.signals, made.followups).search
        for choice in search.choices if search else ():
            row = rows.setdefault(known[choice.market].kind.value, Counter())
            row["markets"] += 1
            row["pay in sample"] += bool(choice.in_sample and (choice.in_sample.net_bps.value or 0) > 0)
            row[choice.verdict.value] += 1
    names = "markets", "pay in sample", *(verdict.value for verdict in ThresholdVerdict)
    yield f"| kind | {' | '.join(names)} |"
    yield f"| --- | {' | '.join('---:' for _ in names)} |"
    for kind, row in rows.items():
        yield f"| {kind} | {' | '.join(f'{row[name]:,}' for name in names)} |"


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
