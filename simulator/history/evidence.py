"""The columns of signals and outcomes that say how current their state was, added to finished frames.

They have a random generator of their own, so that a seed makes the same prices and outcomes with or without them.
"""

import numpy as np
import polars as pl

from hip3_tasks.domain.conditions import Trigger
from simulator.history.markets import SLIPPAGE_BPS

CTX_PERIOD_MS = 3000
LAG_MS = 250.0
"""Median lag; it is at least half of that."""
IMPACT_BPS = 1.0
"""Distance of the impact prices from the touch."""


def with_evidence(rows: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """The rows with the columns that signals and follow-ups share. A changed oracle comes with a ctx."""
    lag_ms = np.rint(LAG_MS / 2 * (1 + rng.lognormal(0.0, 0.4, len(rows)))).astype(np.int64)
    ctx_age_ms = np.minimum(rng.integers(0, CTX_PERIOD_MS, len(rows)), rows["oracle_age_ms"].to_numpy())
    return rows.with_columns(
        lag_ms=lag_ms,
        ctx_age_ms=ctx_age_ms,
        oracle_age_max_ms=ctx_age_ms + CTX_PERIOD_MS,
        ctx_mid_px=(pl.col("bid_px") + pl.col("ask_px")) / 2,
        impact_bid_px=(pl.col("bid_px") * (1 - IMPACT_BPS / 1e4)).round_sig_figs(6),
        impact_ask_px=(pl.col("ask_px") * (1 + IMPACT_BPS / 1e4)).round_sig_figs(6),
    )


def with_trigger_and_costs(signals: pl.DataFrame) -> pl.DataFrame:
    """The signals with their own columns: the oracle makes the first signal of an event, the book its copies."""
    cost_bps = pl.col("raw_edge_bps") - pl.col("net_edge_bps")
    is_by_ctx = pl.col("oracle_age_ms") == 0
    return signals.with_columns(
        trigger=pl.when(is_by_ctx).then(pl.lit(str(Trigger.CTX))).otherwise(pl.lit(str(Trigger.BBO))),
        taker_fee_bps=(cost_bps - SLIPPAGE_BPS).round(9),
        slippage_bps=pl.lit(SLIPPAGE_BPS),
    )
