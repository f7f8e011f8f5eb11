"""Build the report from loaded data: one pass over the follow-ups, then arithmetic on sums."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import fsum, inf
from typing import Any

import polars as pl

from hip3_tasks.analysis.loading.jsonl import THREADS, Advance
from hip3_tasks.analysis.loading.load import Data
from hip3_tasks.analysis.loading.schemas import COIN
from hip3_tasks.analysis.measure.aggregate import Aggregates, AggregationPlan, aggregate
from hip3_tasks.analysis.measure.by import By
from hip3_tasks.analysis.measure.cluster_sums import cluster_ms
from hip3_tasks.analysis.measure.codes import codes
from hip3_tasks.analysis.measure.costs import with_costs
from hip3_tasks.analysis.measure.facts import Facts
from hip3_tasks.analysis.measure.grouping import Grouping
from hip3_tasks.analysis.measure.horizons import QUANTILES, SUMS, half_life, horizon
from hip3_tasks.analysis.measure.quantiles import ALL, BIN_WIDTHS, Quantiles, binned_quantiles, quantiles
from hip3_tasks.analysis.measure.resampler import Resampler
from hip3_tasks.analysis.measure.threshold_search import AtPriorityFee, MarketStats, ThresholdSearch, Trials
from hip3_tasks.analysis.measure.trip_measures import TRIP_SUMS, Trip, trip
from hip3_tasks.analysis.reporting.model import Coverage, Group, LatenessQuantiles, Report, Taken
from hip3_tasks.analysis.reporting.plan import ANYBODY, Trader, find_span_ms, make_plan
from hip3_tasks.analysis.sums.day_sums import DaySums, aggregates_of
from hip3_tasks.domain.capture import DAY_MS, MINUTE_MS
from hip3_tasks.errors import Unavailable
from hip3_tasks.stats.cluster_totals import Totals

PRIORITY_FEES_BPS = (2.0, 4.0, 8.0)
"""Up to the venue's most, 8 bps of the notional (November 2026)."""


def build_report(
    data: Data,
    *,
    by: By | Sequence[By],
    cost_bps: float | None = None,
    trader: Trader = ANYBODY,
    days: Sequence[DaySums] = (),
    at_ms: int,
    advance: Advance = lambda _: None,
    also: Advance = lambda _: None,
    is_last: bool = False,
) -> Report:
    """Build the report on loaded data, made `at_ms`, grouped by one or two properties.

    `cost_bps` is short for that of a trader. `days` are finished days whose records are not in the data.

    `advance` is called with the number of bytes of each part that is read; before that, `also` with those of the tape
    that are to be read as well. With `is_last`, the data lose their follow-ups, and the memory that they take. Raises
    Unavailable when there is nothing to report on or a file cannot be read.
    """
    if cost_bps is not None:
        trader = replace(trader, cost_bps=cost_bps)
    data = replace(data, signals=with_costs(data.signals, fees=trader.fees, slippage_bps=trader.slippage_bps))
    facts = Facts.united([Facts.from_data(data), *(day.about.facts for day in days)])
    first_ms, last_ms = span_ms = find_span_ms(data, facts)
    if not facts.followups:
        raise Unavailable(f"there is no follow-up of {data.signals.height:,} signals: nothing to report on")
    grouping = Grouping.from_signals([by] if isinstance(by, By) else by, data.signals)
    plan = make_plan(
        data,
        facts,
        trader,
        span_ms=span_ms,
        by=grouping,
        cluster_ms=cluster_ms(first_ms, last_ms),
        binned_by=[grouping] if days else [],
    )
    also(plan.orders.size_bytes)
    parts = [aggregate(data, plan, advance, is_last=is_last), *([aggregates_of(days, plan)] if days else [])]
    return ReportBuilder(data, trader, first_ms, last_ms, plan, Aggregates.united(parts), len(days)).report(at_ms)


@dataclass(frozen=True, slots=True)
class ReportBuilder:
    """Computes the parts of a report from loaded data and the sums of the pass."""

    data: Data
    trader: Trader
    first_ms: int
    last_ms: int
    plan: AggregationPlan
    aggregates: Aggregates
    summed_days: int

    def report(self, at_ms: int) -> Report:
        resampler = Resampler(self.aggregates.sums)
        with ThreadPoolExecutor(THREADS) as threads:
            markouts = threads.submit(self._quantiles, "markout_bps", QUANTILES)
            retained = threads.submit(self._quantiles, "retained", (0.5,))
            trips = threads.submit(self._trips, resampler)
            offsets_ms = self.aggregates.offsets_ms
            totals = resampler.totals_by_group(self.aggregates.sums, SUMS, by="offset_ms", keys=offsets_ms)
            thresholds = self._search(resampler, totals)
            judged = self._judged(resampler)
            groups = self._groups(totals, trips.result(), judged, markouts.result(), retained.result())
        return Report(
            made_at_ms=at_ms,
            first_ms=self.first_ms,
            last_ms=self.last_ms,
            by=str(self.plan.by),
            cost_bps=self.trader.cost_bps,
            fees=self.trader.fees,
            fees_assumed=int(self.aggregates.signals["without_fee"].sum()),
            taken=self._taken(),
            cluster_ms=self.plan.levels.cluster_ms,
            summed_days=self.summed_days,
            markout_quantiles_within_bps=self._error("markout_bps"),
            retention_median_within=self._error("retained"),
            notes=self.data.notes,
            coverage=self._coverage(),
            lateness=[LatenessQuantiles.from_counts(self.aggregates.lateness, ms) for ms in offsets_ms],
            total=groups.pop(ALL),
            groups=list(groups.values()),
            search=thresholds,
        )

    def _quantiles(self, measure: str, shares: Sequence[float]) -> Quantiles:
        """The quantiles by group and offset; none where no value is known."""
        if self.aggregates.samples:
            return quantiles(self.aggregates.samples[measure], shares)
        counts = self.aggregates.bins.lazy().filter(measure=measure)
        known = binned_quantiles(counts, shares, BIN_WIDTHS[measure])
        return defaultdict(lambda: [None] * len(shares), known)

    def _error(self, measure: str) -> float:
        """The greatest error of the quantiles."""
        return 0.0 if self.aggregates.samples else BIN_WIDTHS[measure] / 2

    def _trips(self, resampler: Resampler) -> dict[Any, list[Trip]]:
        """The orders of all signals and of each group that has any, by latency and time held."""
        sums = self.aggregates.trip_sums
        held = sums["held_ms"].unique().sort().to_list()
        result: dict[Any, list[Trip]] = {}
        for (latency_ms, by_tape), orders in sorted(sums.partition_by("latency_ms", "by_tape", as_dict=True).items()):
            for key, totals in resampler.totals_by_group(orders, TRIP_SUMS, by="held_ms", keys=held).items():
                trips = [
                    trip(latency_ms, held_ms, total, days=self._days, by_tape=by_tape)
                    for held_ms, total in totals.items()
                ]
                result.setdefault(key, []).extend(trips)
        return result

    @property
    def _days(self) -> float:
        return max(self.last_ms - self.first_ms, MINUTE_MS) / DAY_MS

    def _judged(self, resampler: Resampler) -> dict[Any, Trip]:
        """The orders by which the report judges, of all signals and of each group that has any."""
        taken, rows = self._taken(), self._judged_sums.with_columns(one=pl.lit(0))
        if taken is None:
            return {}
        return {
            key: trip(taken.latency_ms, taken.held_ms, total[0], days=self._days, by_tape=taken.by_tape > 0)
            for key, total in resampler.totals_by_group(rows, TRIP_SUMS, by="one", keys=[0]).items()
            if total
        }

    @property
    def _judged_sums(self) -> pl.DataFrame:
        sums, parts = self.aggregates.trip_sums, []
        for by_tape in (False, True):
            latency_ms, held_ms = self.plan.trips.judged(by_tape=by_tape)
            parts.append(sums.filter(by_tape=by_tape, latency_ms=latency_ms, held_ms=held_ms))
        return pl.concat(parts)

    def _taken(self) -> Taken | None:
        sums, plan = self.aggregates.trip_sums, self.plan.trips
        if sums.is_empty():
            return None
        numbers = self.aggregates.orders.sum()
        by_tape, others = int(numbers["by_tape"].item()), not sums["by_tape"].all()
        latency_ms, held_ms = plan.judged(by_tape=by_tape > 0)
        return Taken(
            latency_ms=latency_ms,
            held_ms=held_ms,
            min_notional_usd=self.trader.min_notional_usd,
            too_small=int(numbers["too_small"].item()),
            by_tape=by_tape,
            by_followups=plan.judged(by_tape=False) if others else None,
        )

    def _groups(
        self,
        totals: Mapping[Any, dict[int, Totals]],
        trips: Mapping[Any, list[Trip]],
        judged: Mapping[Any, Trip],
        markouts: Quantiles,
        retained: Quantiles,
    ) -> dict[Any, Group]:
        counts = self._counts()
        groups = {}
        for key, name in self._names(counts).items():
            by_offset = totals.get(key, {})
            captured, bought = (sum(total[name] for total in by_offset.values()) for name in ("n", "bought"))
            groups[key] = Group(
                name=name,
                **counts.get(key, {"signals": 0, "expected": 0, "cost_bps": self.trader.cost_bps}),
                captured=round(captured),
                one_sided=max(bought, captured - bought) / captured if captured else None,
                half_life=half_life(by_offset),
                horizons=[
                    horizon(
                        offset_ms,
                        total,
                        markout_quantiles_bps=markouts[key, offset_ms],
                        retention_median=retained[key, offset_ms][0],
                    )
                    for offset_ms, total in by_offset.items()
                ],
                trips=trips.get(key, []),
                judged=judged.get(key),
            )
        return groups

    def _names(self, counts: Mapping[Any, Any]) -> dict[Any, str]:
        """The names of all signals, then of the groups that have signals or follow-ups, in their order."""
        present = {key for key in counts if key is not ALL}.union(self.aggregates.sums["group"].unique())
        return {ALL: "all", **self.plan.by.names(present)}

    def _counts(self) -> dict[Any, dict[str, Any]]:
        """The numbers of a group that its signals alone determine, of all signals and of each group."""
        signals = self.aggregates.signals
        groups = {ALL: signals} | {key: rows for (key,), rows in signals.partition_by("group", as_dict=True).items()}
        return {key: self._count(rows) for key, rows in groups.items()}

    def _count(self, signals: pl.DataFrame) -> dict[str, Any]:
        n, cost_bps = int(signals["n"].sum()), self.trader.cost_bps
        if cost_bps is None and n:  # rounded once, so that the order of the rows does not matter
            costs = signals.group_by("cost_bps").agg(pl.col("n").sum())
            cost_bps = fsum(bps * number for bps, number in costs.iter_rows()) / n
        return {"signals": n, "expected": signals.select(self._expected).item(), "cost_bps": cost_bps}

    @property
    def _expected(self) -> pl.Expr:
        """The number of expected follow-ups of signals: one for each offset if a foreign signal does not say."""
        return (pl.col("expected") + pl.col("unsaid") * len(self.aggregates.offsets_ms)).sum()

    def _coverage(self) -> Coverage:
        signals, missed, watched = self.aggregates.signals, self.aggregates.missed, self.data.notes.watched
        expected = signals.group_by("market_key").agg(n=self._expected)
        open_ = self._open(expected)
        unowed = -int(open_.filter(open_ < 0).sum())
        reasons = missed.group_by("reason").agg(pl.col("n").sum()).sort("n", "reason", descending=[True, False])
        return Coverage(
            signals=int(signals["n"].sum()),
            expected=int(expected["n"].sum()),
            expected_is_assumed=signals["unsaid"].sum() > 0,
            captured=round(self.aggregates.sums["n"].sum()),
            missed=dict(reasons.iter_rows()),
            unowed=unowed,
            open=None if unowed else int(open_.sum()),
            markets_with_signals=expected.height,
            markets_watched=None if watched is None else len(watched),
        )

    def _open(self, expected: pl.DataFrame) -> pl.Series:
        """Follow-ups of each market that are neither captured nor missed; negative if their signals are missing."""
        market_key, n = pl.col("market_key"), pl.col("n").cast(pl.Int64)
        fewer = [rows.select(market_key, -n) for rows in (self.aggregates.sums, self.aggregates.missed)]
        return pl.concat([expected.select(market_key, n), *fewer]).group_by("market_key").sum()["n"]

    def _search(self, resampler: Resampler, known: Mapping[Any, dict[int, Totals]]) -> ThresholdSearch | None:
        """Search thresholds at the longest offset; None if no round trip is known."""
        aggregates = self.aggregates
        if not aggregates.trip_sums["trip_n"].sum():
            return None
        offset_ms = aggregates.offsets_ms[-1]
        rows = aggregates.sums.filter(offset_ms=offset_ms)
        coins = rows["market_key"].unique().sort()
        recorded = self.plan.levels.recording_threshold_bps[codes(coins.cast(COIN))]
        if self.plan.by.parts == (By.MARKET,):  # a third of the time of a report over many days
            totals = {coin: known[code][offset_ms] for coin, code in zip(coins, codes(coins.cast(COIN)), strict=True)}
        else:
            totals = resampler.totals(rows, SUMS, by="market_key", keys=coins.to_list())
        trip_rows = self._judged_sums.filter(pl.col("market_key").is_in(coins.implode()))
        trips = resampler.totals(trip_rows, TRIP_SUMS, by="market_key", keys=coins.to_list())
        min_edges = dict(aggregates.min_edges.select("market_key", "edge_bps").iter_rows())
        markets = [
            MarketStats.from_totals(
                coin, totals[coin], trips.get(coin), recorded_bps=bps if bps > -inf else min_edges[coin]
            )
            for coin, bps in zip(coins, recorded.tolist(), strict=True)
        ]
        trials = Trials(self.plan.levels.in_samples(aggregates.level_sums), markets, resampler)
        search = trials.search(offset_ms=offset_ms, split_at_ms=self.plan.levels.split_at_ms)
        if self.trader.cost_bps is None and search.recommended_bps():
            paid_bps = self.trader.fees.priority_fee_bps
            works = {fee_bps: trials.count_working(2 * (fee_bps - paid_bps)) for fee_bps in PRIORITY_FEES_BPS}
            search.at_priority_fees = [AtPriorityFee(priority_fee_bps=bps, works=n) for bps, n in works.items()]
        return search
