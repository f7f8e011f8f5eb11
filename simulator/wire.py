"""The venue's websocket protocol: the frames it sends and the requests it accepts."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

GREETING = b"Websocket connection established."
PONG = b'{"channel":"pong"}'
# The real venue has more types; the simulated one rejects them.
TYPES = ("bbo", "activeAssetCtx")


class BookLevel(NamedTuple):
    """One side of a book, as the venue writes it; a tuple (px, sz) or (px, sz, n) may replace it."""

    px: str
    sz: str
    n: int = 1


AnyLevel = BookLevel | tuple[str, str] | tuple[str, str, int]


class Subscription(NamedTuple):
    type: str
    coin: str


class Request(NamedTuple):
    """A client's request; a ping has no subscription."""

    method: str
    subscription: Subscription | None = None


class RequestError(Exception):
    """The text is not a request that the venue accepts."""


def read_request(text: str) -> Request:
    """Parse a client's text frame. Raises RequestError."""
    try:
        request = orjson.loads(text)
        if request["method"] == "ping":
            return Request("ping")
        wanted = request["subscription"]
        subscription = Subscription(wanted["type"], wanted["coin"])
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise RequestError(text) from error
    understood = request["method"] in ("subscribe", "unsubscribe") and subscription.type in TYPES
    if not understood or not isinstance(subscription.coin, str):
        raise RequestError(text)
    return Request(request["method"], subscription)


def bbo_frame(coin: str, bid: AnyLevel | None, ask: AnyLevel | None, *, time_ms: int) -> bytes:
    return _frame("bbo", {"coin": coin, "time": time_ms, "bbo": [_level(bid), _level(ask)]})


def ctx_frame(coin: str, ctx: dict[str, Any]) -> bytes:
    return _frame("activeAssetCtx", {"coin": coin, "ctx": ctx})


def ack_frame(method: str, subscription: Subscription) -> bytes:
    return _frame("subscriptionResponse", {"method": method, "subscription": subscription._asdict()})


def error_frame(message: str) -> bytes:
    return _frame("error", message)


def quoted(subscription: Subscription) -> str:
    """The JSON of a subscription, as error frames quote it."""
    return orjson.dumps(subscription._asdict()).decode()


def asset_ctx(
    *,
    oracle_px: str,
    mark_px: str | None = None,
    mid_px: str | None = None,
    impact_pxs: Sequence[str] | None = None,
    premium: str | None = None,
) -> dict[str, Any]:
    """A complete context with the given prices; the mark price defaults to the oracle price."""
    return {
        "funding": "0.00000625",
        "openInterest": "0.0",
        "prevDayPx": oracle_px,
        "dayNtlVlm": "0.0",
        "premium": premium,
        "oraclePx": oracle_px,
        "markPx": mark_px or oracle_px,
        "midPx": mid_px,
        "impactPxs": None if impact_pxs is None else list(impact_pxs),
        "dayBaseVlm": "0.0",
    }


def _frame(channel: str, data: Any) -> bytes:
    return orjson.dumps({"channel": channel, "data": data})


def _level(level: AnyLevel | None) -> dict[str, Any] | None:
    return None if level is None else BookLevel(*level)._asdict()
