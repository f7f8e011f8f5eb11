"""The models of a report, whose fields are its JSON. `hip3_tasks.analysis.reporting.build` fills them in."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from math import ceil
from typing import Any, Self, TypeVar

import numpy as np
import polars as pl
from pydantic import BaseModel

from hip3_tasks.analysis.loading.quality import DataQuality
from hip3_tasks.analysis.measure.horizons import QUANTILES, HalfLife, Horizon
from hip3_tasks.analysis.measure.threshold_search import ThresholdSearch
from hip3_tasks.analysis.measure.trip_measures import Trip
from hip3_tasks.charts.number_format import horizon, level
from hip3_tasks.domain.fees import NO_DISCOUNTS, TakerFees
from hip3_tasks.stats.bootstrap import LEVEL, Estimate

LATENESS_QUANTILES = (0.5, 0.9, 0.99, 0.999, 1.0)

T = TypeVar("T")

MAX_ROWS = 250
"""Rows that a reader still looks through in a table or figure; the files of JSON and CSV have all of them."""


def largest(items: Sequence[T], size: Callable[[T], int]) -> list[T]:
    """MAX_ROWS of the items at most, the largest ones, in their order."""
    places = sorted(range(len(items)), key=lambda place: size(items[place]), reverse=True)[:MAX_ROWS]
    return [items[place] for place in sorted(places)]


def left_out(items: Sequence[Any]) -> str:
    """A sentence for items that `largest` leaves out; empty if there are none."""
    more = len(items) - MAX_ROWS
    return f"Shown: the {MAX_ROWS} with the most signals; {more:,} more are in the files." if more > 0 else ""


class Headline(StrEnum):
    """The answer to the question of the page: Were the signals right?"""

    YES = "Yes"
    NO = "No"
    NOT_PROVEN = "Not proven"
    NO_CLAIM = "No claim"
    """There is no band."""


class Coverage(BaseModel):
    """Counts of follow-ups. `expected` is captured + missed + open, if no signal is missing."""

    signals: int
    expected: int
    expected_is_assumed: bool
    """Some signals, of another program, do not say which follow-ups to expect: one is assumed for each offset."""
    captured: int
    missed: dict[str, int]
    unowed: int
    """The least number of follow-ups whose signals are missing."""
    open: int | None
    """None if signals are missing."""
    markets_with_signals: int
    markets_watched: int | None
    """None if the files do not record it."""

    @property
    def captured_share(self) -> float | None:
        """The captured share of the expected follow-ups; None if signals are missing."""
        return self.captured / self.expected if self.expected and not self.unowed else None


class LatenessQuantiles(BaseModel):
    """Quantiles of captured − due at one offset, over all follow-ups that were not replayed."""

    offset_ms: int
    n: int
    quantiles_ms: list[int | None]
    """The least lateness that a share of LATENESS_QUANTILES does not exceed, as in the live figures; None without n."""
    early: int = 0
    """The number that a worker captured before it was due, by its own clock."""

    @classmethod
    def from_counts(cls, counts: pl.DataFrame, offset_ms: int) -> Self:
        """The quantiles without replayed follow-ups, whose captured is their due time: no live one is read so early.

        `counts` has the number `n` of follow-ups per (offset_ms, lateness_ms).
        """
        rows = counts.filter(pl.col("lateness_ms") != 0, offset_ms=offset_ms).sort("lateness_ms")
        up_to = rows["n"].cast(pl.Int64).cum_sum().to_numpy()
        if not len(up_to):
            return cls(offset_ms=offset_ms, n=0, quantiles_ms=[None] * len(LATENESS_QUANTILES))
        indices = np.searchsorted(up_to, [ceil(share * up_to[-1]) for share in LATENESS_QUANTILES])
        late_ms, early = (
            rows["lateness_ms"].gather(indices).to_list(),
            rows.filter(pl.col("lateness_ms") < 0)["n"].sum(),
        )
        return cls(offset_ms=offset_ms, n=up_to[-1], quantiles_ms=late_ms, early=round(early))


class Group(BaseModel):
    """A group of signals, or all signals."""

    name: str
    signals: int
    expected: int
    captured: int
    cost_bps: float | None
    """Taker fee + slippage, the mean over its signals; or the cost asked for."""
    one_sided: float | None
    """The share of the more frequent side among its follow-ups."""
    half_life: HalfLife | None
    """None if the retention is unknown at some offset."""
    horizons: list[Horizon]
    """Empty if none of its signals has a follow-up."""
    trips: list[Trip] = []
    """Empty if it is not known what a taker would have had."""
    judged: Trip | None = None
    """The orders by which the report judges: of each signal those by the tape, or else by its follow-ups."""


class Taken(BaseModel):
    """How it was found out what a taker had, and by which orders the report judges."""

    latency_ms: int
    held_ms: int
    min_notional_usd: float
    """Orders below it are left out ..."""
    too_small: int
    """... those of this many signals."""
    by_tape: int = 0
    """The number of signals whose orders are exact, by the kept tape; `latency_ms` and `held_ms` are theirs."""
    by_followups: tuple[int, int] | None = None
    """The latency and the time held of the orders of others, by follow-ups alone; None if there are none."""

    def how(self) -> str:
        """One line that says by what the orders were worked out."""
        if not self.by_tape:
            return "worked out from follow-ups alone"
        exact = f"worked out exactly, by the kept tape, for {self.by_tape:,} signals"
        if self.by_followups is None:
            return exact
        latency, held = map(horizon, self.by_followups)
        return f"{exact}; from follow-ups alone for the others: in {latency} after T0, out {held} later"


class Report(BaseModel):
    """All numbers of a report. Bands are the middle 90 % of a bootstrap over clusters, a dex and a minute each."""

    made_at_ms: int
    first_ms: int
    """The time of the first signal."""
    last_ms: int
    """The time of the last signal."""
    by: str
    """The property of the groups, or two with a comma between them."""
    cost_bps: float | None
    """The cost asked for. None: taker fee + slippage as recorded with each signal."""
    fees: TakerFees = NO_DISCOUNTS
    """The taker's own fees, beside what each signal records of its market."""
    fees_assumed: int = 0
    """Signals that record no fee: it is what is left of their cost after slippage."""
    taken: Taken | None = None
    """None if it is not known what a taker would have had."""
    level: float = LEVEL
    cluster_ms: int
    summed_days: int = 0
    """The number of finished days that were taken from their kept sums."""
    row_by_row: str | None = None
    """The reason why other finished days were not, if there are many; None if all were, or need not be."""
    markout_quantiles_within_bps: float = 0.0
    """The greatest error of the quantiles of markouts; 0: they are exact."""
    retention_median_within: float = 0.0
    quantiles: tuple[float, ...] = QUANTILES
    lateness_quantiles: tuple[float, ...] = LATENESS_QUANTILES
    notes: DataQuality
    coverage: Coverage
    lateness: list[LatenessQuantiles]
    total: Group
    groups: list[Group]
    search: ThresholdSearch | None
    """The search for thresholds; None if no round trip is known."""

    @property
    def headline(self) -> Headline:
        """Whether the signals paid: the sign of the mean round trip when had, if its band does not hold 0."""
        judged = self.total.judged
        trip_bps = judged.round_trip_bps if judged else Estimate(value=None)
        if trip_bps.low is None or trip_bps.high is None:
            return Headline.NO_CLAIM
        return Headline.YES if trip_bps.low > 0 else Headline.NO if trip_bps.high < 0 else Headline.NOT_PROVEN

    def shown_trips(self) -> list[int]:
        """The places of all signals' trips for which tables have room: of several latencies, those held longest."""
        trips = self.total.trips
        held: dict[tuple[bool, int], int] = {}
        for trip in trips:
            held[trip.by_tape, trip.latency_ms] = max(trip.held_ms, held.get((trip.by_tape, trip.latency_ms), 0))
        shown = [n for n, trip in enumerate(trips) if trip.held_ms == held[trip.by_tape, trip.latency_ms]]
        return shown if len(held) > 1 else list(range(len(trips)))

    def costs(self) -> str:
        """One line that says which costs are counted."""
        if self.cost_bps is not None:
            return f"cost {level(self.cost_bps)} bps as asked for, of a round trip and of a markout alike"
        assumed = f" (not recorded with {self.fees_assumed:,} signals: cost less slippage)" if self.fees_assumed else ""
        return "; ".join([f"costs: each market's fee{assumed} and slippage as recorded", *self.fees.differences()])

    @property
    def longest_ms(self) -> int | None:
        """The longest offset of all."""
        return self.total.horizons[-1].offset_ms if self.total.horizons else None

    def at_longest(self, group: Group) -> Horizon | None:
        """The group's follow-ups at the longest offset of all, if it has any."""
        return next((horizon for horizon in group.horizons if horizon.offset_ms == self.longest_ms), None)

    def warnings(self) -> list[str]:
        """Faults of the data that a reader of the numbers must know."""
        unowed = self.coverage.unowed
        text = f"the signals of at least {unowed:,} follow-ups are missing: the number of open ones is unknown"
        return [*self.notes.sentences(), *([text] if unowed else []), *self._early()]

    def sums_used(self) -> list[str]:
        """Sentences about the kept sums of finished days, where there are many days."""
        bps, share = self.markout_quantiles_within_bps, self.retention_median_within
        text = (
            f"{self.summed_days:,} finished days by their kept sums:"
            f" quantiles within {bps:g} bps of a markout and {share:g} of the edge left"
        )
        return [*([text] if self.summed_days else []), *([self.row_by_row] if self.row_by_row else [])]

    def _early(self) -> list[str]:
        early = sum(row.early for row in self.lateness)
        when = f"{early:,} follow-ups were captured before they were due"
        text = f"{when}: a worker's clock is behind the feed's; its log names the host"
        return [text] if early else []
