"""The columns of the kept tape: one row is one entry, and the entry is found in it again to the last bit."""

from collections.abc import Iterable
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
HOLE_SEQ = -2
"""The place of a gap in the recording, before every entry of its millisecond."""
_TRIGGERS = {None: None} | {trigger.value: trigger for trigger in Trigger}
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


def is_hole(row: Row) -> bool:
    """Whether the recording has nothing from a row on."""
    return bool(row[2] == HOLE_SEQ)


def entry_of(row: Row) -> Entry:
    """The entry of a row: the inverse of `row_of`."""
    _, at_ms, _, gap, *state = row[:14]
    return Entry(at_ms, _market(at_ms, *state) if gap is None else Gap(gap), _conditions_of(*row[14:]))


def _market(
    at_ms: int,
    bid_px: float | None,
    bid_sz: float | None,
    ask_px: float | None,
    ask_sz: float | None,
    oracle_px: float | None,
    mark_px: float | None,
    bbo_lag_ms: int,
    bbo_age_ms: int,
    oracle_at_ms: int,
    oracle_updates: int,
) -> Market:
    bbo_at_ms = at_ms - bbo_age_ms
    return Market(
        bid_px=bid_px,
        bid_sz=bid_sz,
        ask_px=ask_px,
        ask_sz=ask_sz,
        oracle_px=oracle_px,
        mark_px=mark_px,
        bbo_time_ms=bbo_at_ms - bbo_lag_ms,
        bbo_at_ms=bbo_at_ms,
        oracle_at_ms=oracle_at_ms,
        oracle_updates=oracle_updates,
    )


def _conditions_of(
    is_news: bool | None,
    is_judged: bool,
    is_doubted: bool,
    trigger: str | None,
    has_lag: bool,
    ctx_age_ms: int | None,
    taker_fee_bps: float | None,
    threshold_bps: float | None,
    *more: Any,
) -> Conditions | None:
    if is_news is None:
        return None
    witness, is_keyframe, fired = more[:5], more[5], more[6:]
    return Conditions(
        is_news=is_news,
        is_judged=is_judged,
        is_doubted=is_doubted,
        trigger=_TRIGGERS[trigger],
        has_lag=has_lag,
        ctx_age_ms=ctx_age_ms,
        taker_fee_bps=taker_fee_bps,
        threshold_bps=threshold_bps,
        memory=_memory(*fired) if is_keyframe else None,
        witness=NO_WITNESS if witness == NO_WITNESS else CtxWitness._make(witness),
    )


def _memory(buy_at_ms: int | None, buy_oracle_px: Any, sell_at_ms: int | None, sell_oracle_px: Any) -> Memory:
    memory = Memory()
    if buy_at_ms is not None:
        memory.fired[Side.BUY] = Fired(buy_at_ms, buy_oracle_px)
    if sell_at_ms is not None:
        memory.fired[Side.SELL] = Fired(sell_at_ms, sell_oracle_px)
    return memory
