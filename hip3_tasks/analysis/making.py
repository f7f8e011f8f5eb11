"""From loaded data to the report: a few passes over the rows, then arithmetic on sums."""

from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from hip3_tasks.analysis.clustersums import SUMS, cluster_ms, cluster_sums
from hip3_tasks.analysis.grouping import By
from hip3_tasks.analysis.loading import Data
from hip3_tasks.analysis.measures import QUANTILES, half_life, horizon
from hip3_tasks.analysis.quantiles import Found, quantiles
from hip3_tasks.analysis.report import LATENESS_QUANTILES, Coverage, Group, Lateness, Report
from hip3_tasks.analysis.resampling import Resampler
from hip3_tasks.analysis.thresholds import MARKET_SUMS, Market, Search, search
from hip3_tasks.analysis.totals import Totals
from hip3_tasks.errors import Unavailable

Quantiles = Mapping[tuple[Any, int], Found]
_NAMES = tuple(SUMS)
_ALL = None
"""The group of all signals."""


def make(data: Data, *, by: By, cost_bps: float | None, at_ms: int) -> Report:
    """The report on what was loaded. Raises Unavailable where there is nothing to report on."""
    if data.signals.is_empty() and data.followups.is_empty():
        raise Unavailable("there is no signal in what was asked for: nothing to report on")
    if data.followups.is_empty():
        raise Unavailable(f"there is no follow-up of {data.signals.height:,} signals: nothing to report on")
    return _Making(data, by, cost_bps).report(at_ms)


@dataclass
class _Making:
    data: Data
    by: By
    cost_bps: float | None

    def __post_init__(self) -> None:
        times = self.data.signals["timestamp_ms"], self.data.followups["signal_timestamp_ms"]
        ends = [end for series in times for end in (series.min(), series.max()) if isinstance(end, int)]
        self.first_ms, self.last_ms = min(ends), max(ends)
        self.every_ms = cluster_ms(self.first_ms, self.last_ms)
        self.offsets_ms = self.data.followups["offset_ms"].unique().sort().to_list()

    def report(self, at_ms: int) -> Report:
        rows = self.by.label(self.data.followups, timestamp="signal_timestamp_ms", edge="t0_raw_edge_bps")
        with_costs = rows.join(self._costs().lazy(), on="market_key", how="left")
        # Beside each other, since neither passes over rows nor arithmetic on sums keep all cores busy.
        with ThreadPoolExecutor(1) as beside:
            finding = beside.submit(self._quantiles, rows)
            sums = cluster_sums(with_costs, by=["group", "offset_ms"], every_ms=self.every_ms)
            resampler = Resampler(sums)
            searching = beside.submit(self._search, with_costs, sums, resampler)
            groups = self._groups(self._totals(sums, resampler), finding.result())
            return Report(
                made_at_ms=at_ms,
                first_ms=self.first_ms,
                last_ms=self.last_ms,
                by=self.by,
                cost_bps=self.cost_bps,
                cluster_ms=self.every_ms,
                notes=self.data.notes,
                coverage=self._coverage(),
                lateness=self._lateness(),
                total=groups.pop(_ALL),
                groups=list(groups.values()),
                search=searching.result(),
            )

    def _costs(self) -> pl.DataFrame:
        """What a market costs: one figure, since a follow-up's line does not repeat its signal's."""
        if self.cost_bps is not None:
            return self.data.followups.select(pl.col("market_key").unique(), pl.lit(self.cost_bps).alias("cost_bps"))
        return self.data.signals.group_by("market_key").agg(pl.col("cost_bps").median())

    def _quantiles(self, rows: pl.LazyFrame) -> Quantiles:
        """By group and offset, and by offset alone; an offset at a time, for the memory's sake."""
        retained = pl.when(pl.col("t0_raw_edge_bps") > 0).then(pl.col("raw_edge_bps") / pl.col("t0_raw_edge_bps"))
        wanted = {"markout_bps": QUANTILES, "retained": (0.5,)}
        found: dict[tuple[Any, int], Found] = {}
        for offset_ms in self.offsets_ms:
            of_offset = rows.filter(pl.col("offset_ms") == offset_ms).select("group", "markout_bps", retained=retained)
            of_group = quantiles(of_offset.collect(engine="streaming"), wanted)
            found |= {(group, offset_ms): values for group, values in of_group.items()}
        return found

    def _totals(self, sums: pl.DataFrame, resampler: Resampler) -> dict[Any, dict[int, Totals]]:
        """Of all signals, then of each group in its order."""
        parts = _added(sums, "group", "offset_ms").partition_by("group", as_dict=True)
        order = [(key, parts[key,]) for key in sums["group"].unique().sort()]
        return {
            key: resampler.totals(part, _NAMES, by="offset_ms", keys=self.offsets_ms)
            for key, part in [(_ALL, _added(sums, "offset_ms")), *order]
        }

    def _groups(self, totals: Mapping[Any, dict[int, Totals]], quantiles: Quantiles) -> dict[Any, Group]:
        counts = self._counts()
        return {key: self._group(key, counts[key], by_offset, quantiles) for key, by_offset in totals.items()}

    def _group(self, key: Any, counts: dict[str, Any], by_offset: Mapping[int, Totals], quantiles: Quantiles) -> Group:
        followups = sum(totals["n"] for totals in by_offset.values())
        bought = sum(totals["bought"] for totals in by_offset.values())
        return Group(
            name="all" if key is _ALL else str(key),
            signals=counts["signals"],
            due=counts["due"],
            captured=round(followups),
            cost_bps=self.cost_bps if self.cost_bps is not None else counts["cost_bps"],
            one_sided=max(bought, followups - bought) / followups,
            half_life=half_life(by_offset),
            horizons=[horizon(offset_ms, totals, quantiles[key, offset_ms]) for offset_ms, totals in by_offset.items()],
        )

    def _counts(self) -> dict[Any, dict[str, Any]]:
        """Of the signals of each group, and of all."""
        rows = self.by.label(self.data.signals, timestamp="timestamp_ms", edge="raw_edge_bps")
        due = pl.col("due").fill_null(len(self.offsets_ms)).cast(pl.Int64).sum()
        wanted = {"signals": pl.len(), "due": due, "cost_bps": pl.col("cost_bps").mean()}
        of_group = rows.group_by("group").agg(**wanted).collect(engine="streaming")
        total = rows.select(**wanted).collect(engine="streaming").row(0, named=True)
        none = {"signals": 0, "due": 0, "cost_bps": None}
        return defaultdict(lambda: none, {row["group"]: row for row in of_group.iter_rows(named=True)}) | {_ALL: total}

    def _coverage(self) -> Coverage:
        signals, captured = self.data.signals, self.data.followups.height
        due = int(signals["due"].fill_null(len(self.offsets_ms)).cast(pl.Int64).sum())
        missed = dict(self.data.missed.group_by("reason").len("n").sort("n", descending=True).iter_rows())
        watched = self.data.notes.watched
        return Coverage(
            signals=signals.height,
            due=due,
            due_is_assumed=signals["due"].has_nulls(),
            captured=captured,
            missed=missed,
            open=due - captured - self.data.missed.height,
            markets_with_signals=signals["market_key"].n_unique(),
            markets_watched=None if watched is None else len(watched),
        )

    def _lateness(self) -> list[Lateness]:
        found = []
        for offset_ms in self.offsets_ms:
            of_offset = self.data.followups.lazy().filter(pl.col("offset_ms") == offset_ms).select("lateness_ms")
            late_ms = of_offset.collect(engine="streaming").to_series().to_numpy()
            quantiles_ms = np.quantile(late_ms, LATENESS_QUANTILES, method="inverted_cdf")
            found.append(Lateness(offset_ms=offset_ms, n=len(late_ms), quantiles_ms=quantiles_ms.tolist()))
        return found

    def _search(self, rows: pl.LazyFrame, sums: pl.DataFrame, resampler: Resampler) -> Search | None:
        if not self.offsets_ms or not self.data.followups["markout_bps"].count():
            return None
        at = pl.col("offset_ms") == self.offsets_ms[-1]
        coins = sums["market_key"].unique().sort().to_list()
        noted = self.data.signals.filter(pl.col("threshold_bps").is_not_null())
        least = dict(
            self.data.followups.lazy().group_by("market_key").agg(pl.col("t0_raw_edge_bps").min()).collect().iter_rows()
        ) | dict(noted.group_by("market_key").agg(pl.col("threshold_bps").min()).iter_rows())
        return search(
            rows.filter(at),
            [
                Market.of(str(coin), totals, recorded_bps=least[coin])
                for coin, totals in resampler.totals(
                    _added(sums.filter(at), "market_key"), MARKET_SUMS, by="market_key", keys=coins
                ).items()
            ],
            offset_ms=self.offsets_ms[-1],
            first_ms=self.first_ms,
            last_ms=self.last_ms,
            every_ms=self.every_ms,
        )


def _added(sums: pl.DataFrame, *by: str) -> pl.DataFrame:
    """One row for each dex, cluster and value of `by`."""
    return sums.group_by("dex", "cluster", *by).agg(pl.col(_NAMES).sum())
