"""From loaded data to the report: a pass over the rows, then arithmetic on sums."""

from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil, inf
from typing import Any

import numpy as np
import polars as pl

from hip3_tasks.analysis.loading.jsonl import Advance
from hip3_tasks.analysis.loading.load import Data
from hip3_tasks.analysis.loading.prefetch import THREADS
from hip3_tasks.analysis.loading.schemas import COIN
from hip3_tasks.analysis.measure.aggregate import Gathered, Terms, gather
from hip3_tasks.analysis.measure.cluster_sums import SUMS, cluster_ms
from hip3_tasks.analysis.measure.costs import Costs, recorded_bps
from hip3_tasks.analysis.measure.grouping import By
from hip3_tasks.analysis.measure.horizons import QUANTILES, half_life, horizon
from hip3_tasks.analysis.measure.quantiles import ALL, Quantiles, quantiles
from hip3_tasks.analysis.measure.resampler import Resampler
from hip3_tasks.analysis.measure.threshold_search import Market, Search, search, split_ms
from hip3_tasks.analysis.report.model import LATENESS_QUANTILES, Coverage, Group, Lateness, Report
from hip3_tasks.errors import Unavailable
from hip3_tasks.stats.cluster_totals import Totals


def make(data: Data, *, by: By, cost_bps: float | None, at_ms: int, advance: Advance = lambda _: None) -> Report:
    """The report on what was found; `advance` is told how many bytes have been read of what had not been.

    Raises Unavailable where there is nothing to report on, or it cannot be read.
    """
    ends_ms = _ends_ms(data)
    if ends_ms is None:
        said = "; ".join(data.notes.absences()) or "there is no signal in what was asked for"
        raise Unavailable(f"{said}: nothing to report on")
    every_ms, markets = cluster_ms(*ends_ms), _markets(data.signals)
    split_at_ms = split_ms(*ends_ms, every_ms=every_ms)
    terms = Terms(
        by=by,
        costs=Costs.recorded(data.signals) if cost_bps is None else Costs(np.array([cost_bps])),
        recorded_bps=recorded_bps(data.signals, split_at_ms=split_at_ms),
        every_ms=every_ms,
        split_at_ms=split_at_ms,
    )
    gathered = gather(data.chunks, terms, advance)
    if gathered is None:
        raise Unavailable(f"there is no follow-up of {data.signals.height:,} signals: nothing to report on")
    return _Making(data, cost_bps, ends_ms, terms, markets, gathered).report(at_ms)


def _ends_ms(data: Data) -> tuple[int, int] | None:
    """The first and the last time of a signal; by follow-ups where there are no signals."""
    times_ms = data.signals["timestamp_ms"]
    if times_ms.is_empty():
        times_ms = pl.concat(chunk.read(pl.col("signal_timestamp_ms")) for chunk in data.chunks).to_series()
    first_ms, last_ms = times_ms.min(), times_ms.max()
    return (first_ms, last_ms) if isinstance(first_ms, int) and isinstance(last_ms, int) else None


def _markets(signals: pl.DataFrame) -> pl.DataFrame:
    """Of each market what its signals say; `unsaid`: how many do not say what they are owed."""
    wanted = {
        "due": pl.col("due").cast(pl.Int64).sum(),
        "unsaid": pl.col("due").null_count(),
    }
    return signals.lazy().group_by("market_key").agg(**wanted).collect(engine="streaming")


@dataclass(frozen=True, slots=True)
class _Making:
    data: Data
    cost_bps: float | None
    ends_ms: tuple[int, int]
    terms: Terms
    markets: pl.DataFrame
    gathered: Gathered

    def report(self, at_ms: int) -> Report:
        resampler = Resampler(self.gathered.sums)
        with ThreadPoolExecutor(THREADS) as beside:
            markouts = beside.submit(quantiles, self.gathered.markout_bps, QUANTILES)
            retained = beside.submit(quantiles, self.gathered.retained, (0.5,))
            found = self._search(resampler)
            totals = self._totals(resampler)
            groups = self._groups(totals, markouts.result(), retained.result())
        first_ms, last_ms = self.ends_ms
        return Report(
            made_at_ms=at_ms,
            first_ms=first_ms,
            last_ms=last_ms,
            by=self.terms.by,
            cost_bps=self.cost_bps,
            cluster_ms=self.terms.every_ms,
            notes=self.data.notes,
            coverage=self._coverage(),
            lateness=self._lateness(),
            total=groups.pop(ALL),
            groups=list(groups.values()),
            search=found,
        )

    def _totals(self, resampler: Resampler) -> dict[Any, dict[int, Totals]]:
        """Of all signals, and of each group that has follow-ups."""
        sums, offsets_ms = self.gathered.sums, self.gathered.offsets_ms
        parts = {ALL: sums} | {key: part for (key,), part in sums.partition_by("group", as_dict=True).items()}
        return {key: resampler.totals(part, SUMS, by="offset_ms", keys=offsets_ms) for key, part in parts.items()}

    def _groups(
        self, totals: Mapping[Any, dict[int, Totals]], markouts: Quantiles, retained: Quantiles
    ) -> dict[Any, Group]:
        counts = self._counts()
        groups = {}
        for key in self._order(counts):
            by_offset = totals.get(key, {})
            counted, followups = counts[key], sum(of_offset["n"] for of_offset in by_offset.values())
            bought = sum(of_offset["bought"] for of_offset in by_offset.values())
            groups[key] = Group(
                name="all" if key is ALL else str(key),
                signals=counted["signals"],
                due=counted["due"],
                captured=round(followups),
                cost_bps=self.cost_bps if self.cost_bps is not None else counted["cost_bps"],
                one_sided=max(bought, followups - bought) / followups if followups else None,
                half_life=half_life(by_offset),
                horizons=[
                    horizon(
                        offset_ms,
                        of_offset,
                        markout_quantiles_bps=markouts[key, offset_ms],
                        retention_median=retained[key, offset_ms][0],
                    )
                    for offset_ms, of_offset in by_offset.items()
                ],
            )
        return groups

    def _order(self, counts: Mapping[Any, Any]) -> list[Any]:
        """All signals, then the groups that have signals or follow-ups, in their order."""
        of_signals = pl.Series([key for key in counts if key is not ALL], dtype=pl.String).cast(self.terms.by.kind)
        of_both = pl.concat([self.gathered.sums["group"], of_signals.alias("group")])
        return [ALL, *of_both.unique().sort()]

    def _counts(self) -> dict[Any, dict[str, Any]]:
        """Of the signals of each group, and of all."""
        signals = self.data.signals
        rows = signals.with_columns(self.terms.by.groups(signals, timestamp="timestamp_ms", edge="raw_edge_bps")).lazy()
        due = pl.col("due").fill_null(len(self.gathered.offsets_ms)).cast(pl.Int64).sum()
        wanted = {"signals": pl.len(), "due": due, "cost_bps": pl.col("cost_bps").mean()}
        of_group = rows.group_by("group").agg(**wanted).collect(engine="streaming")
        total = rows.select(**wanted).collect(engine="streaming").row(0, named=True)
        none = {"signals": 0, "due": 0, "cost_bps": None}
        return defaultdict(lambda: none, {row["group"]: row for row in of_group.iter_rows(named=True)}) | {ALL: total}

    def _coverage(self) -> Coverage:
        sums, signals = self.gathered.sums, self.markets
        due = signals["due"] + signals["unsaid"].cast(pl.Int64) * len(self.gathered.offsets_ms)
        open_ = self._open(signals.select("market_key", n=due))
        unowed = -int(open_.filter(open_ < 0).sum())
        missed = dict(self.data.missed.group_by("reason").len("n").sort("n", descending=True).iter_rows())
        watched = self.data.notes.watched
        return Coverage(
            signals=self.data.signals.height,
            due=int(due.sum()),
            due_is_assumed=int(signals["unsaid"].sum()) > 0,
            captured=round(sums["n"].sum()),
            missed=missed,
            unowed=unowed,
            open=None if unowed else int(open_.sum()),
            markets_with_signals=self.markets.height,
            markets_watched=None if watched is None else len(watched),
        )

    def _open(self, owed: pl.DataFrame) -> pl.Series:
        """Of each market, its follow-ups that are neither captured nor missed; below 0 where there are too many."""
        captured = self.gathered.sums.select(pl.col("market_key").cast(pl.String), n=-pl.col("n").cast(pl.Int64))
        missed = self.data.missed.select(pl.col("market_key").cast(pl.String), n=pl.lit(-1, pl.Int64))
        owed = owed.select(pl.col("market_key").cast(pl.String), pl.col("n").cast(pl.Int64))
        return pl.concat([owed, captured, missed]).group_by("market_key").agg(pl.col("n").sum())["n"]

    def _lateness(self) -> list[Lateness]:
        found = []
        for offset_ms in self.gathered.offsets_ms:
            late = self.gathered.lateness.filter(pl.col("offset_ms") == offset_ms).sort("lateness_ms")
            upto = late["n"].cast(pl.Int64).cum_sum().to_numpy()
            places = np.searchsorted(upto, [ceil(share * upto[-1]) for share in LATENESS_QUANTILES])
            found.append(
                Lateness(offset_ms=offset_ms, n=upto[-1], quantiles_ms=late["lateness_ms"].gather(places).to_list())
            )
        return found

    def _search(self, resampler: Resampler) -> Search | None:
        gathered = self.gathered
        if not gathered.sums["markout_n"].sum():
            return None
        offset_ms = gathered.offsets_ms[-1]
        at_last = gathered.sums.filter(pl.col("offset_ms") == offset_ms)
        coins = at_last["market_key"].unique().sort()
        recorded = np.take(self.terms.recorded_bps, coins.cast(COIN).to_physical().to_numpy(), mode="clip")
        totals = resampler.totals(at_last, SUMS, by="market_key", keys=coins.to_list())
        listed = [
            Market.of(coin, totals[coin], recorded_bps=bps if bps > -inf else gathered.least_edge_bps[coin])
            for coin, bps in zip(coins, recorded.tolist(), strict=True)
        ]
        return search(gathered.rungs, listed, resampler, offset_ms=offset_ms, split_at_ms=self.terms.split_at_ms)
