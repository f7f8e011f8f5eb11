"""The signals of a chunk as a DataFrame."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from hip3_tasks.domain.edge import BPS
from simulator.history.arrivals import Arrivals
from simulator.history.markets import SLIPPAGE_BPS, THRESHOLD_BPS, PlantedMarket
from simulator.history.plan import OFFSETS_MS
from simulator.history.prices import Prices
from simulator.history.quotes import Quotes

BBO_AGE_MS = 300
"""Mean age of a book at T0 and at a follow-up."""


def make_signals(markets: Sequence[PlantedMarket], arrivals: Arrivals, prices: Prices, quotes: Quotes) -> pl.DataFrame:
    """The columns of a signal's record, in any order."""
    market = arrivals.market[arrivals.event]
    quoted = quotes.columns(prices.t0, prices.sign)
    raw_edge_bps = prices.sign * (quoted["oracle_px"] - quoted["best_px"]) / quoted["oracle_px"] * BPS
    oracle_age_ms = arrivals.at_ms - (arrivals.ticks_ms[arrivals.tick] + arrivals.delay_ms)[arrivals.event]
    bbo_age_ms = quotes.rng.exponential(BBO_AGE_MS, len(market)).astype(np.int64)
    return pl.DataFrame(
        {
            "timestamp_ms": arrivals.at_ms,
            "market_key": pl.Series([market.market_key for market in markets])[market],
            "side": pl.Series(["sell", "buy"])[(prices.sign + 1) // 2],
            "raw_edge_bps": raw_edge_bps,
            "net_edge_bps": raw_edge_bps - np.array([market.fee_bps for market in markets])[market] - SLIPPAGE_BPS,
            **quoted,
            # An oracle update causes the first signal of an event; changes of the book cause its copies.
            "bbo_age_ms": np.where(oracle_age_ms == 0, bbo_age_ms, 0),
            "oracle_age_ms": oracle_age_ms,
        }
    ).with_columns(
        pl.concat_str("market_key", pl.lit("-"), pl.col("timestamp_ms").cast(pl.String)).alias("signal_id"),
        pl.lit(THRESHOLD_BPS).alias("threshold_bps"),
        pl.lit(list(OFFSETS_MS), dtype=pl.List(pl.Int64)).alias("offsets_ms"),
    )
