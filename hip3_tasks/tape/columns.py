"""The columns of the kept tape: one row is one entry, and the entry is found in it again to the last bit."""

from collections.abc import Iterable
from operator import attrgetter
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
_PRICES, _HOW = tuple(SCHEMA)[4:10], tuple(SCHEMA)[14:22]
_prices_of, _how_of = attrgetter(*_PRICES), attrgetter(*_HOW)
_TRIGGERS = {None: None} | {trigger.value: trigger for trigger in Trigger}
_NO_STATE, _NO_CONDITIONS, _NOT_FIRED = (None,) * 10, (None,) * 18, (None, None)

Row = tuple[Any, ...]


def row_of(coin: str, seq: int, entry: Entry) -> Row:
    """The row of an entry; a gap if its numbers are nonsense."""
    row = coin, entry.at_ms, seq, *_state(entry), *_conditions(entry)
    if any(type(value) is int and abs(value) > MAX_INTEGER for value in row):
        return row_of(coin, seq, Entry(entry.at_ms, Gap(UNREADABLE)))
    return row


def _state(entry: Entry) -> Row:
    market = entry.value
    if isinstance(market, Gap):
        return market.cause, *_NO_STATE
    lag_ms, age_ms = market.bbo_at_ms - market.bbo_time_ms, entry.at_ms - market.bbo_at_ms
    return None, *_prices_of(market), lag_ms, age_ms, market.oracle_at_ms, market.oracle_updates


def _conditions(entry: Entry) -> Row:
    how = entry.conditions
    if how is None:
        return _NO_CONDITIONS
    fired = how.memory.fired if how.memory else {}
    each_side = (value for side in Side for value in fired.get(side, _NOT_FIRED))
    return *_how_of(how), *how.witness, how.memory is not None, *each_side


def frame_of(rows: Iterable[Row]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=SCHEMA, orient="row")


def is_hole(row: Row) -> bool:
    """Whether the recording has nothing from a row on."""
    return bool(row[2] == HOLE_SEQ)


def entry_of(row: Row) -> Entry:
    """The entry of a row: the inverse of `row_of`."""
    at_ms, gap = row[1], row[3]
    return Entry(at_ms, _market(at_ms, *row[4:14]) if gap is None else Gap(gap), _conditions_of(*row[14:]))


def _market(at_ms: int, *state: Any) -> Market:
    *prices, lag_ms, age_ms, oracle_at_ms, oracle_updates = state
    return Market(
        **dict(zip(_PRICES, prices, strict=True)),
        bbo_time_ms=at_ms - age_ms - lag_ms,
        bbo_at_ms=at_ms - age_ms,
        oracle_at_ms=oracle_at_ms,
        oracle_updates=oracle_updates,
    )


def _conditions_of(*values: Any) -> Conditions | None:
    how, witness, (is_keyframe, *fired) = dict(zip(_HOW, values[:8], strict=True)), values[8:13], values[13:]
    if how["is_news"] is None:
        return None
    how["trigger"] = _TRIGGERS[how["trigger"]]
    return Conditions(
        **how,
        memory=_memory(*fired) if is_keyframe else None,
        witness=NO_WITNESS if witness == NO_WITNESS else CtxWitness._make(witness),
    )


def _memory(buy_at_ms: int | None, buy_oracle_px: Any, sell_at_ms: int | None, sell_oracle_px: Any) -> Memory:
    last = {Side.BUY: (buy_at_ms, buy_oracle_px), Side.SELL: (sell_at_ms, sell_oracle_px)}
    return Memory({side: Fired(at_ms, px) for side, (at_ms, px) in last.items() if at_ms is not None})
