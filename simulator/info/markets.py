"""Answers about prices: mids, whole books, recent trades, candles and past funding."""

from typing import Any

from simulator.candles import HOUR_MS, INTERVALS_MS
from simulator.depth import MAX_LEVELS, l2_book
from simulator.info.answer import Question, UnknownName, Unprocessable, number, text
from simulator.snapshots import MAX_RECENT_TRADES
from simulator.venue_data import VenueData

MAX_FUNDINGS = 500
SETTLEMENT_DELAY_MS = 39


def all_mids(question: Question, data: VenueData, _: int) -> dict[str, str]:
    dex = text(question, "dex") if question.get("dex") is not None else ""
    if dex and dex not in data.universe:
        raise UnknownName(dex)
    return data.mids(dex)


def book_of(question: Question, data: VenueData, now_ms: int) -> dict[str, Any] | None:
    """The whole book now; null for a coin that the venue does not have, as there."""
    coin = text(question, "coin")
    if not data.has(coin):
        return None
    sz_decimals = data.sz_decimals(coin)
    return l2_book(coin, data.book(coin), sz_decimals=sz_decimals, time_ms=now_ms, count=MAX_LEVELS)


def recent_trades(question: Question, data: VenueData, _: int) -> list[dict[str, Any]]:
    """The last trades of the coin, newest first."""
    return data.trades.last(_coin(question, data), MAX_RECENT_TRADES)[::-1]


def candles(question: Question, data: VenueData, now_ms: int) -> list[dict[str, Any]]:
    """The candles since the venue's start that overlap the time span of the question."""
    wanted = question.get("req")
    if not isinstance(wanted, dict):
        raise Unprocessable("req")
    coin, interval = _coin(wanted, data), text(wanted, "interval")
    if interval not in INTERVALS_MS:
        raise Unprocessable("interval")
    from_ms, until_ms = number(wanted, "startTime"), number(wanted, "endTime", now_ms)
    return data.candles.between(coin, interval, from_ms=from_ms, until_ms=until_ms)


def funding_history(question: Question, data: VenueData, now_ms: int) -> list[dict[str, Any]]:
    """One row for each full hour of the time span, all at the same rate."""
    coin, from_ms = _coin(question, data), number(question, "startTime")
    until_ms = min(number(question, "endTime", now_ms), now_ms)
    first_ms = -(-from_ms // HOUR_MS) * HOUR_MS
    hours = range(first_ms, until_ms + 1, HOUR_MS)[:MAX_FUNDINGS]
    row = {"coin": coin, "fundingRate": "0.00000625", "premium": "0.0001"}
    return [row | {"time": hour_ms + SETTLEMENT_DELAY_MS} for hour_ms in hours]


def _coin(question: Question, data: VenueData) -> str:
    coin = text(question, "coin")
    if not data.has(coin):
        raise UnknownName(coin)
    return coin
