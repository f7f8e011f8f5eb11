"""A history as frames, with the columns of the records and their types."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import polars as pl

from hip3_tasks.analysis.loading.columns import columns_of
from hip3_tasks.domain.records import Followup, Missed, Record, Signal
from simulator.history.arrivals import arrivals
from simulator.history.markets import Market, markets_of
from simulator.history.outcomes import missed_reasons, outcomes_of, with_reasons
from simulator.history.plan import Chunk, Plan
from simulator.history.prices import prices
from simulator.history.quotes import Quotes
from simulator.history.signals import signals_of

_columns = cache(columns_of)


@dataclass(frozen=True, slots=True)
class Frames:
    """Each in the order in which its lines would be appended."""

    signals: pl.DataFrame
    followups: pl.DataFrame
    missed: pl.DataFrame


def frames(plan: Plan) -> Frames:
    """A whole history at once; for small ones."""
    markets = markets_of(plan)
    parts = [frames_of(plan, markets, chunk) for chunk in plan.chunks()]
    return Frames(
        signals=pl.concat([part.signals for part in parts]),
        followups=in_order_of_capture(pl.concat([part.followups for part in parts])),
        missed=in_order_of_capture(pl.concat([part.missed for part in parts])),
    )


def frames_of(plan: Plan, markets: Sequence[Market], chunk: Chunk) -> Frames:
    """One chunk; the same plan and chunk give the same frames."""
    rng = np.random.default_rng([plan.seed, chunk.number])
    when = arrivals(plan, chunk, np.array([market.activity for market in markets]), rng)
    found = prices(markets, when, rng)
    quotes = Quotes([market.decimals for market in markets], when.market[when.event], rng)
    signals = signals_of(markets, when, found, quotes)
    outcomes = with_reasons(outcomes_of(signals, when, found, quotes), missed_reasons(plan, when, rng))
    is_missed = pl.col("reason").is_not_null()
    return Frames(
        signals=_typed(signals, Signal),
        followups=in_order_of_capture(_typed(outcomes.filter(~is_missed), Followup)),
        missed=in_order_of_capture(_typed(outcomes.filter(is_missed), Missed)),
    )


def in_order_of_capture(outcomes: pl.DataFrame) -> pl.DataFrame:
    return outcomes.sort("captured_at_ms", maintain_order=True)


def _typed(frame: pl.DataFrame, kind: type[Record]) -> pl.DataFrame:
    return frame.select(pl.col(name).cast(dtype) for name, dtype in _columns(kind).items())
