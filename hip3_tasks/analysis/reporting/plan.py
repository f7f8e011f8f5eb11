"""The taker for whom a report is, and the plan of the pass over his signals and their follow-ups."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import polars as pl

from hip3_tasks.analysis.loading.load import Data
from hip3_tasks.analysis.measure.aggregate import AggregationPlan
from hip3_tasks.analysis.measure.costs import Costs, recording_threshold_bps
from hip3_tasks.analysis.measure.facts import Facts
from hip3_tasks.analysis.measure.grouping import Grouping
from hip3_tasks.analysis.measure.levels import LevelPlan, split_ms
from hip3_tasks.analysis.measure.signal_index import SignalIndex
from hip3_tasks.analysis.measure.trips import TripPlan, usual_offsets_ms
from hip3_tasks.analysis.orders.by_tape import OrderPlan
from hip3_tasks.analysis.orders.find import find_orders
from hip3_tasks.domain.detector import SLIPPAGE_BPS
from hip3_tasks.domain.fees import LATENCIES_MS, LATENCY_MS, LEAST_ORDER_USD, NO_DISCOUNTS, TakerFees
from hip3_tasks.errors import BadSelection, Unavailable
from hip3_tasks.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Trader:
    """The taker whose results a report gives."""

    fees: TakerFees = NO_DISCOUNTS
    slippage_bps: float = SLIPPAGE_BPS
    """For signals that do not record theirs."""
    cost_bps: float | None = None
    """The whole cost of a trade, in place of fees and slippage."""
    min_notional_usd: float = LEAST_ORDER_USD
    latency_ms: int = LATENCY_MS
    """The time between T0 and the arrival of his order; the report judges by it ..."""
    latencies_ms: tuple[int, ...] = LATENCIES_MS
    """... and shows these beside it."""

    @classmethod
    def from_settings(cls, settings: Settings, **options: Any) -> Self:
        """The user, with the options of one report."""
        return cls(
            fees=settings.taker_fees, slippage_bps=settings.slippage_bps, latency_ms=settings.latency_ms, **options
        )

    def __post_init__(self) -> None:
        if self.latency_ms <= 0:
            raise BadSelection(f"latency: expected more than 0 ms, was {self.latency_ms}: no taker is in at once")

    @property
    def all_latencies_ms(self) -> tuple[int, ...]:
        return tuple(sorted({self.latency_ms, *self.latencies_ms}))


ANYBODY = Trader()


def make_plan(
    data: Data,
    facts: Facts,
    trader: Trader,
    *,
    span_ms: tuple[int, int],
    by: Grouping,
    cluster_ms: int,
    binned_by: Sequence[Grouping],
) -> AggregationPlan:
    """The plan of a pass over data whose signals have the trader's costs, given facts about all selected days."""
    signals, split_at_ms = data.signals, split_ms(*span_ms, cluster_ms=cluster_ms)
    offsets_ms = usual_offsets_ms(facts.followups)
    wanted = OrderPlan(trader.all_latencies_ms, tuple(offsets_ms))
    orders = find_orders(data.notes.dirs, signals, wanted, judged_ms=trader.latency_ms)
    return AggregationPlan(
        by=by,
        costs=Costs.from_signals(signals) if trader.cost_bps is None else Costs.from_constant(trader.cost_bps),
        levels=LevelPlan(
            recording_threshold_bps=recording_threshold_bps(signals, facts.thresholds_bps, split_at_ms=split_at_ms),
            split_at_ms=split_at_ms,
            cluster_ms=cluster_ms,
        ),
        trips=TripPlan(
            offsets_ms=offsets_ms,
            t0_usd=SignalIndex.from_signals(signals, signals["touch_usd"]),
            min_notional_usd=trader.min_notional_usd,
            by_tape=orders.index(),
            latency_ms=trader.latency_ms,
        ),
        orders=orders,
        last_ms=max(facts.followups),
        binned_by=binned_by,
    )


def find_span_ms(data: Data, facts: Facts) -> tuple[int, int]:
    """The times of the first and the last signal, from follow-ups if there are no signals."""
    first_ms, last_ms = facts.first_ms, facts.last_ms
    if first_ms is None:
        times_ms = pl.concat(chunk.read(pl.col("signal_timestamp_ms")) for chunk in data.chunks).to_series()
        first_ms, last_ms = times_ms.min(), times_ms.max()  # type: ignore[assignment]
    if not isinstance(first_ms, int) or not isinstance(last_ms, int):
        reason = "; ".join(data.notes.absences()) or "there is no signal in what was asked for"
        raise Unavailable(f"{reason}: nothing to report on")
    return first_ms, last_ms
