"""Frames that are computed when a client wants them: whole books, all mids, recent trades and the open candle."""

from collections.abc import Callable

from simulator.depth import FAST_LEVELS, MAX_LEVELS, l2_book
from simulator.subscription import FAST, Subscription
from simulator.venue_data import VenueData
from simulator.wire import frame

MAX_RECENT_TRADES = 10


def snapshot(subscription: Subscription, data: VenueData, *, time_ms: int) -> bytes | None:
    """The current frame of a channel that stores none; None when there is nothing to send yet."""
    return _SNAPSHOTS[subscription.type](subscription, data, time_ms) if subscription.type in _SNAPSHOTS else None


def _l2_book(subscription: Subscription, data: VenueData, time_ms: int) -> bytes:
    coin, is_fast = subscription.coin, subscription.detail == FAST
    count = FAST_LEVELS if is_fast else MAX_LEVELS
    body = l2_book(coin, data.book(coin), sz_decimals=data.sz_decimals(coin), time_ms=time_ms, count=count)
    return frame("l2Book", body | ({"fast": True} if is_fast else {}))


def _all_mids(subscription: Subscription, data: VenueData, _: int) -> bytes:
    dex = {"dex": subscription.detail} if subscription.detail else {}
    return frame("allMids", dex | {"mids": data.mids(subscription.detail)})


def _trades(subscription: Subscription, data: VenueData, _: int) -> bytes | None:
    rows = data.trades.last(subscription.coin, MAX_RECENT_TRADES)
    return frame("trades", rows) if rows else None


def _candle(subscription: Subscription, data: VenueData, _: int) -> bytes | None:
    candle = data.candles.newest(subscription.coin, subscription.detail)
    return frame("candle", candle) if candle else None


_SNAPSHOTS: dict[str, Callable[[Subscription, VenueData, int], bytes | None]] = {
    "l2Book": _l2_book,
    "allMids": _all_mids,
    "trades": _trades,
    "candle": _candle,
}
