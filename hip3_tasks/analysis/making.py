"""From loaded data to the report: a pass over the rows, then arithmetic on sums."""

from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil, nan
from typing import Any

import numpy as np
import polars as pl

from hip3_tasks.analysis.ahead import THREADS, ahead
from hip3_tasks.analysis.bootstrap import Array
from hip3_tasks.analysis.clustersums import SUMS, cluster_ms
from hip3_tasks.analysis.gathering import Gathered, Terms, gather
from hip3_tasks.analysis.grouping import By
from hip3_tasks.analysis.jsonl import Advance
from hip3_tasks.analysis.loading import Data
from hip3_tasks.analysis.measures import QUANTILES, half_life, horizon
from hip3_tasks.analysis.quantiles import ALL, Quantiles, quantiles
from hip3_tasks.analysis.report import LATENESS_QUANTILES, Coverage, Group, Lateness, Report
from hip3_tasks.analysis.resampling import Resampler
from hip3_tasks.analysis.thresholds import Market, Search, search, split_ms
from hip3_tasks.analysis.totals import Totals
from hip3_tasks.errors import Unavailable


def make(data: Data, *, by: By, cost_bps: float | None, at_ms: int, advance: Advance = lambda _: None) -> Report:
    """The report on what was found; `advance` is told how many bytes have been read of what had not been.

    Raises Unavailable where there is nothing to report on, or it cannot be read.
    """
    times_ms, offsets_ms = _extent(data)
    if not times_ms:
        raise Unavailable("there is no signal in what was asked for: nothing to report on")
    if not offsets_ms:
        raise Unavailable(f"there is no follow-up of {data.signals.height:,} signals: nothing to report on")
    return _Making(data, by, cost_bps, min(times_ms), max(times_ms), offsets_ms).report(at_ms, advance)


def _extent(data: Data) -> tuple[list[int], list[int]]:
    """The first and the last times of signals, if there are any, and the offsets of follow-ups."""
    timestamp_ms = pl.col("signal_timestamp_ms")
    wanted = timestamp_ms.min().alias("first"), timestamp_ms.max().alias("last"), pl.col("offset_ms").unique().implode()
    found = pl.concat(ahead(lambda part: part.read(*wanted), data.parts, threads=THREADS, steps=THREADS))
    times_ms = pl.concat([found["first"], found["last"], data.signals["timestamp_ms"]])
    ends = [at_ms for at_ms in (times_ms.min(), times_ms.max()) if isinstance(at_ms, int)]
    return ends, found["offset_ms"].explode().drop_nulls().unique().sort().to_list()


@dataclass(frozen=True, slots=True)
class _Making:
    data: Data
    by: By
    cost_bps: float | None
    first_ms: int
    last_ms: int
    offsets_ms: list[int]

    def report(self, at_ms: int, advance: Advance) -> Report:
        every_ms = cluster_ms(self.first_ms, self.last_ms)
        markets = self._markets()
        terms = Terms(
            by=self.by,
            offsets_ms=self.offsets_ms,
            costs_bps=self._costs(markets),
            every_ms=every_ms,
            split_at_ms=split_ms(self.first_ms, self.last_ms, every_ms=every_ms),
        )
        gathered = gather(self.data.parts, terms, advance)
        resampler = Resampler(gathered.sums)
        with ThreadPoolExecutor(THREADS) as beside:
            markouts = beside.submit(quantiles, gathered.markout_bps, QUANTILES)
            retained = beside.submit(quantiles, gathered.retained, (0.5,))
            found = self._search(gathered, markets, resampler, split_at_ms=terms.split_at_ms)
            totals = self._totals(gathered.sums, resampler)
            groups = self._groups(totals, markouts.result(), retained.result())
        return Report(
            made_at_ms=at_ms,
            first_ms=self.first_ms,
            last_ms=self.last_ms,
            by=self.by,
            cost_bps=self.cost_bps,
            cluster_ms=every_ms,
            notes=self.data.notes,
            coverage=self._coverage(gathered, markets),
            lateness=self._lateness(gathered),
            total=groups.pop(ALL),
            groups=list(groups.values()),
            search=found,
        )

    def _markets(self) -> pl.DataFrame:
        """Of each market what its signals say."""
        due = pl.col("due").fill_null(len(self.offsets_ms)).cast(pl.Int64)
        return (
            self.data.signals.lazy()
            .group_by("market_key")
            .agg(
                signals=pl.len(),
                due=due.sum(),
                due_is_assumed=pl.col("due").is_null().any(),
                cost_bps=pl.col("cost_bps").median(),
                threshold_bps=pl.col("threshold_bps").min(),
            )
            .collect(engine="streaming")
        )

    def _costs(self, markets: pl.DataFrame) -> Array:
        """What a market costs: one figure, since a follow-up's line does not repeat its signal's."""
        if self.cost_bps is not None:
            return np.array([self.cost_bps])
        numbers = markets["market_key"].to_physical().to_numpy()
        costs_bps = np.full(int(numbers.max(initial=0)) + 2, nan)
        costs_bps[numbers] = markets["cost_bps"].to_numpy()
        return costs_bps

    def _totals(self, sums: pl.DataFrame, resampler: Resampler) -> dict[Any, dict[int, Totals]]:
        """Of all signals, then of each group in its order."""
        parts = sums.partition_by("group", as_dict=True)
        order = [(key, parts[key,]) for key in sums["group"].unique().sort()]
        return {
            key: resampler.totals(part, SUMS, by="offset_ms", keys=self.offsets_ms)
            for key, part in [(ALL, sums), *order]
        }

    def _groups(
        self, totals: Mapping[Any, dict[int, Totals]], markouts: Quantiles, retained: Quantiles
    ) -> dict[Any, Group]:
        counts = self._counts()
        groups = {}
        for key, by_offset in totals.items():
            counted, followups = counts[key], sum(of_offset["n"] for of_offset in by_offset.values())
            bought = sum(of_offset["bought"] for of_offset in by_offset.values())
            groups[key] = Group(
                name="all" if key is ALL else str(key),
                signals=counted["signals"],
                due=counted["due"],
                captured=round(followups),
                cost_bps=self.cost_bps if self.cost_bps is not None else counted["cost_bps"],
                one_sided=max(bought, followups - bought) / followups,
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

    def _counts(self) -> dict[Any, dict[str, Any]]:
        """Of the signals of each group, and of all."""
        signals = self.data.signals
        rows = signals.with_columns(self.by.groups(signals, timestamp="timestamp_ms", edge="raw_edge_bps")).lazy()
        due = pl.col("due").fill_null(len(self.offsets_ms)).cast(pl.Int64).sum()
        wanted = {"signals": pl.len(), "due": due, "cost_bps": pl.col("cost_bps").mean()}
        of_group = rows.group_by("group").agg(**wanted).collect(engine="streaming")
        total = rows.select(**wanted).collect(engine="streaming").row(0, named=True)
        none = {"signals": 0, "due": 0, "cost_bps": None}
        return defaultdict(lambda: none, {row["group"]: row for row in of_group.iter_rows(named=True)}) | {ALL: total}

    def _coverage(self, gathered: Gathered, markets: pl.DataFrame) -> Coverage:
        due, captured = int(markets["due"].sum()), round(gathered.sums["n"].sum())
        missed = dict(self.data.missed.group_by("reason").len("n").sort("n", descending=True).iter_rows())
        watched = self.data.notes.watched
        return Coverage(
            signals=self.data.signals.height,
            due=due,
            due_is_assumed=markets["due_is_assumed"].any(),
            captured=captured,
            missed=missed,
            open=due - captured - self.data.missed.height,
            markets_with_signals=markets.height,
            markets_watched=None if watched is None else len(watched),
        )

    def _lateness(self, gathered: Gathered) -> list[Lateness]:
        found = []
        for offset_ms in self.offsets_ms:
            late = gathered.lateness.filter(pl.col("offset_ms") == offset_ms).sort("lateness_ms")
            upto = late["n"].cast(pl.Int64).cum_sum().to_numpy()
            places = np.searchsorted(upto, [ceil(share * upto[-1]) for share in LATENESS_QUANTILES])
            found.append(
                Lateness(offset_ms=offset_ms, n=upto[-1], quantiles_ms=late["lateness_ms"].gather(places).to_list())
            )
        return found

    def _search(
        self, gathered: Gathered, markets: pl.DataFrame, resampler: Resampler, *, split_at_ms: int
    ) -> Search | None:
        if not gathered.sums["markout_n"].sum():
            return None
        offset_ms = self.offsets_ms[-1]
        at_last = gathered.sums.filter(pl.col("offset_ms") == offset_ms)
        noted = markets.filter(pl.col("threshold_bps").is_not_null()).select("market_key", "threshold_bps")
        least_bps = gathered.least_edge_bps | dict(noted.iter_rows())
        coins = at_last["market_key"].unique().sort().to_list()
        totals = resampler.totals(at_last, SUMS, by="market_key", keys=coins)
        listed = [Market.of(coin, of_coin, recorded_bps=least_bps[coin]) for coin, of_coin in totals.items()]
        return search(gathered.rungs, listed, resampler, offset_ms=offset_ms, split_at_ms=split_at_ms)
