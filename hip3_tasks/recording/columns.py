"""The columns of the kept tape: one row is one entry, and the entry is found in it again to the last bit."""

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from hip3_tasks.domain.conditions import NO_WITNESS, Conditions, CtxWitness, Fired, Memory, Trigger
from hip3_tasks.domain.edge import Side
from hip3_tasks.domain.market import Entry, Gap, Market

MAX_INTEGER = 2**61
"""No instant, age or count is greater, or it would not fit into a column."""
UNREADABLE = "an entry that cannot be read"

SCHEMA: dict[str, pl.DataType] = {
    "coin": pl.String(),
    "at_ms": pl.Int64(),
    "seq": pl.Int32(),
    "gap": pl.String(),
    "bid_px": pl.Float64(),
    "bid_sz": pl.Float64(),
    "ask_px": pl.Float64(),
    "ask_sz": pl.Float64(),
    "oracle_px": pl.Float64(),
    "mark_px": pl.Float64(),
    "bbo_lag_ms": pl.Int64(),
    "bbo_age_ms": pl.Int64(),
    "oracle_at_ms": pl.Int64(),
    "oracle_updates": pl.Int64(),
    "is_news": pl.Boolean(),
    "is_judged": pl.Boolean(),
    "is_doubted": pl.Boolean(),
    "trigger": pl.String(),
    "has_lag": pl.Boolean(),
    "ctx_age_ms": pl.Int64(),
    "taker_fee_bps": pl.Float64(),
    "threshold_bps": pl.Float64(),
    "ctx_mid_px": pl.Float64(),
    "impact_bid_px": pl.Float64(),
    "impact_ask_px": pl.Float64(),
    "ctx_period_ms": pl.Int64(),
    "ctx_limit_ms": pl.Int64(),
    "is_keyframe": pl.Boolean(),
    "fired_buy_at_ms": pl.Int64(),
    "fired_buy_oracle_px": pl.Float64(),
    "fired_sell_at_ms": pl.Int64(),
    "fired_sell_oracle_px": pl.Float64(),
}
"""In the order of the files. A file of an earlier version may lack the last ones."""
KEY = ("coin", "at_ms", "seq")
_NO_STATE, _NO_CONDITIONS, _NOT_FIRED = (None,) * 10, (None,) * 14, (None, None)

Row = tuple[Any, ...]


def row_of(coin: str, seq: int, entry: Entry) -> Row:
    """The row of an entry; a gap if its numbers are nonsense."""
    row = coin, entry.at_ms, seq, *_state(entry), *_conditions(entry)
    if any(type(value) is int and abs(value) > MAX_INTEGER for value in row):
        return row_of(coin, seq, Entry(entry.at_ms, Gap(UNREADABLE)))
    return row


def _state(entry: Entry) -> Row:
    market, at_ms = entry.value, entry.at_ms
    if isinstance(market, Gap):
        return market.cause, *_NO_STATE
    return (
        None,
        market.bid_px,
        market.bid_sz,
        market.ask_px,
        market.ask_sz,
        market.oracle_px,
        market.mark_px,
        market.bbo_at_ms - market.bbo_time_ms,
        at_ms - market.bbo_at_ms,
        market.oracle_at_ms,
        market.oracle_updates,
    )


def _conditions(entry: Entry) -> Row:
    how = entry.conditions
    if how is None:
        return *_NO_CONDITIONS, *_NOT_FIRED, *_NOT_FIRED
    memory = how.memory
    return (
        how.is_news,
        how.is_judged,
        how.is_doubted,
        how.trigger and how.trigger.value,
        how.has_lag,
        how.ctx_age_ms,
        how.taker_fee_bps,
        how.threshold_bps,
        *how.witness,
        memory is not None,
        *((memory and memory.fired.get(Side.BUY)) or _NOT_FIRED),
        *((memory and memory.fired.get(Side.SELL)) or _NOT_FIRED),
    )


def frame_of(rows: Iterable[Row]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=SCHEMA, orient="row")


def entry_of(row: Mapping[str, Any]) -> Entry:
    """The entry of a row: the inverse of `row_of`."""
    at_ms = row["at_ms"]
    return Entry(at_ms, _value(row, at_ms), _conditions_of(row))


def _value(row: Mapping[str, Any], at_ms: int) -> Market | Gap:
    if row["gap"] is not None:
        return Gap(row["gap"])
    bbo_at_ms = at_ms - row["bbo_age_ms"]
    return Market(
        bid_px=row["bid_px"],
        bid_sz=row["bid_sz"],
        ask_px=row["ask_px"],
        ask_sz=row["ask_sz"],
        oracle_px=row["oracle_px"],
        mark_px=row["mark_px"],
        bbo_time_ms=bbo_at_ms - row["bbo_lag_ms"],
        bbo_at_ms=bbo_at_ms,
        oracle_at_ms=row["oracle_at_ms"],
        oracle_updates=row["oracle_updates"],
    )


def _conditions_of(row: Mapping[str, Any]) -> Conditions | None:
    if row["is_news"] is None:
        return None
    witness = CtxWitness(
        row["ctx_mid_px"], row["impact_bid_px"], row["impact_ask_px"], row["ctx_period_ms"], row["ctx_limit_ms"]
    )
    return Conditions(
        is_news=row["is_news"],
        is_judged=row["is_judged"],
        is_doubted=row["is_doubted"],
        trigger=row["trigger"] and Trigger(row["trigger"]),
        has_lag=row["has_lag"],
        ctx_age_ms=row["ctx_age_ms"],
        taker_fee_bps=row["taker_fee_bps"],
        threshold_bps=row["threshold_bps"],
        memory=_memory(row) if row["is_keyframe"] else None,
        witness=NO_WITNESS if witness == NO_WITNESS else witness,
    )


def _memory(row: Mapping[str, Any]) -> Memory:
    memory = Memory()
    for side in Side:
        at_ms = row[f"fired_{side}_at_ms"]
        if at_ms is not None:
            memory.fired[side] = Fired(at_ms, row[f"fired_{side}_oracle_px"])
    return memory
