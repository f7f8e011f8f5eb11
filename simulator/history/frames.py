"""A history as DataFrames, with the columns and types of the records."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from hip3_tasks.analysis.loading.schemas import columns_of
from hip3_tasks.domain.records import Followup, Missed, Record, Signal
from simulator.history.arrivals import draw_arrivals
from simulator.history.evidence import with_evidence, with_trigger_and_costs
from simulator.history.markets import PlantedMarket, planted_markets
from simulator.history.outcomes import make_outcomes, missed_reasons, with_reasons
from simulator.history.plan import HistoryChunk, HistoryPlan
from simulator.history.prices import draw_prices
from simulator.history.quotes import Quotes
from simulator.history.signals import make_signals


@dataclass(frozen=True, slots=True)
class Frames:
    """The records of a history, each frame in the order in which its lines would be appended."""

    signals: pl.DataFrame
    followups: pl.DataFrame
    missed: pl.DataFrame


def frames(plan: HistoryPlan) -> Frames:
    """A complete history in memory; meant for small plans."""
    markets = planted_markets(plan)
    parts = [chunk_frames(plan, markets, chunk) for chunk in plan.chunks()]
    return Frames(
        signals=pl.concat([part.signals for part in parts]),
        followups=sorted_by_capture(pl.concat([part.followups for part in parts])),
        missed=sorted_by_capture(pl.concat([part.missed for part in parts])),
    )


def chunk_frames(plan: HistoryPlan, markets: Sequence[PlantedMarket], chunk: HistoryChunk) -> Frames:
    """Make one chunk; the same plan and chunk give the same frames."""
    rng = np.random.default_rng([plan.seed, chunk.number])
    arrivals = draw_arrivals(plan, chunk, np.array([market.activity for market in markets]), rng)
    prices = draw_prices(markets, arrivals, rng)
    quotes = Quotes([market.decimals for market in markets], arrivals.market[arrivals.event], rng)
    signals = make_signals(markets, arrivals, prices, quotes)
    outcomes = with_reasons(make_outcomes(signals, arrivals, prices, quotes), missed_reasons(plan, arrivals, rng))
    evidence_rng = np.random.default_rng([plan.seed, chunk.number, 1])
    signals = with_trigger_and_costs(with_evidence(signals, evidence_rng))
    outcomes = with_evidence(outcomes, evidence_rng)
    is_missed = pl.col("reason").is_not_null()
    return Frames(
        signals=_typed(signals, Signal),
        followups=sorted_by_capture(_typed(outcomes.filter(~is_missed), Followup)),
        missed=sorted_by_capture(_typed(outcomes.filter(is_missed), Missed)),
    )


def sorted_by_capture(outcomes: pl.DataFrame) -> pl.DataFrame:
    return outcomes.sort("captured_at_ms", maintain_order=True)


def _typed(frame: pl.DataFrame, kind: type[Record]) -> pl.DataFrame:
    return frame.select(pl.col(name).cast(dtype) for name, dtype in columns_of(kind).items())
