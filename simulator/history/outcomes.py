"""Outcomes of signals at each offset, as a DataFrame: first all as if captured, then some are marked as missed."""

import numpy as np
import polars as pl

from hip3_tasks.domain.edge import BPS
from hip3_tasks.domain.records import MissedReason
from simulator.history.arrivals import GAP_SHARE, Arrivals, Floats, Ints
from simulator.history.plan import OFFSETS_MS, HistoryPlan
from simulator.history.prices import Prices
from simulator.history.quotes import Quotes
from simulator.history.signals import BBO_AGE_MS

GAP_DETAIL = "closed by the venue: 1000 Expired"
LATENESS_MS = 10.0
"""Median lateness; one capture in two hundred is ten times later."""


def make_outcomes(signals: pl.DataFrame, arrivals: Arrivals, prices: Prices, quotes: Quotes) -> pl.DataFrame:
    """The columns of a follow-up's record, in any order, with a row per signal and offset."""
    row = np.repeat(np.arange(len(signals)), len(OFFSETS_MS))
    offset_ms = np.tile(np.array(OFFSETS_MS), len(signals))
    due_at_ms = arrivals.at_ms[row] + offset_ms
    oracle_age_ms = prices.oracle_age_ms.ravel()
    bbo_age_ms = np.minimum(quotes.rng.exponential(BBO_AGE_MS, len(row)).astype(np.int64), offset_ms - 1)
    quoted = quotes.columns(prices.due, prices.sign)
    columns = {
        "offset_ms": offset_ms,
        "captured_at_ms": due_at_ms + _lateness_ms(len(row), quotes.rng),
        "due_at_ms": due_at_ms,
        "state_at_ms": due_at_ms - np.minimum(bbo_age_ms, oracle_age_ms),
        "bbo_age_ms": bbo_age_ms,
        "oracle_age_ms": oracle_age_ms,
        "oracle_updates": prices.updates.ravel(),
        **quoted,
        **_measured(signals, quoted, row, prices.sign[row]),
    }
    signal_columns = signals.select("signal_id", "market_key", "side", signal_timestamp_ms="timestamp_ms")
    return signal_columns[row].hstack(pl.DataFrame(columns))


def missed_reasons(plan: HistoryPlan, arrivals: Arrivals, rng: np.random.Generator) -> pl.Series:
    """Reason why each outcome is missed, null where it is not; independent of the outcome's values."""
    empty_share = (1 - GAP_SHARE) * plan.missed_share
    is_empty = (rng.random((len(arrivals.tick), len(OFFSETS_MS))) < empty_share)[arrivals.event]
    in_gap = np.searchsorted(arrivals.gaps_ms, arrivals.at_ms[:, None] + np.array(OFFSETS_MS), side="right") % 2
    names = pl.Series([None, str(MissedReason.NO_QUOTE), str(MissedReason.FEED_GAP)])
    return names[np.where(in_gap, 2, is_empty).ravel()]


def with_reasons(outcomes: pl.DataFrame, reasons: pl.Series) -> pl.DataFrame:
    """The outcomes with the columns `reason` and `detail` of a missed record."""
    in_gap = pl.col("reason") == str(MissedReason.FEED_GAP)
    detail = pl.when(in_gap).then(pl.lit(GAP_DETAIL))
    return outcomes.with_columns(reason=reasons).with_columns(detail=detail)


def _measured(signals: pl.DataFrame, quoted: dict[str, Floats], row: Ints, sign: Ints) -> dict[str, Floats]:
    """Columns measured against the signal, by the formulas of hip3_tasks.domain.edge; float64, (outcomes,)."""
    names = "oracle_px", "best_px", "raw_edge_bps", "bid_px", "ask_px"
    t0 = (signals[name].to_numpy()[row] for name in names)
    t0_oracle_px, t0_best_px, t0_edge_bps, t0_bid_px, t0_ask_px = t0
    oracle_px, best_px = quoted["oracle_px"], quoted["best_px"]
    raw_edge_bps = sign * (oracle_px - best_px) / oracle_px * BPS
    t0_mid_px, mid_px = (t0_bid_px + t0_ask_px) / 2, (quoted["bid_px"] + quoted["ask_px"]) / 2
    return {
        "t0_oracle_px": t0_oracle_px,
        "t0_best_px": t0_best_px,
        "t0_raw_edge_bps": t0_edge_bps,
        "raw_edge_bps": raw_edge_bps,
        "edge_change_bps": raw_edge_bps - t0_edge_bps,
        "oracle_moved_bps": (oracle_px - t0_oracle_px) / t0_oracle_px * BPS,
        "market_moved_bps": (best_px - t0_best_px) / t0_best_px * BPS,
        "markout_bps": sign * ((mid_px - t0_mid_px) / t0_mid_px * BPS),
    }


def _lateness_ms(count: int, rng: np.random.Generator) -> Ints:
    slow = np.where(rng.random(count) < 0.005, 10.0, 1.0)
    return np.ceil(rng.lognormal(np.log(LATENESS_MS), 0.45, count) * slow).astype(np.int64)
