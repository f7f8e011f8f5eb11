"""The frames that the venue sends on the websocket."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

GREETING = b"Websocket connection established."
PONG = b'{"channel":"pong"}'


class BookLevel(NamedTuple):
    """One side of a book, as the venue writes it; a tuple (px, sz) or (px, sz, n) may replace it."""

    px: str
    sz: str
    n: int = 1


AnyLevel = BookLevel | tuple[str, str] | tuple[str, str, int]


def bbo_frame(coin: str, bid: AnyLevel | None, ask: AnyLevel | None, *, time_ms: int) -> bytes:
    return frame("bbo", bbo_data(coin, bid, ask, time_ms=time_ms))


def bbo_data(coin: str, bid: AnyLevel | None, ask: AnyLevel | None, *, time_ms: int) -> dict[str, Any]:
    return {"coin": coin, "time": time_ms, "bbo": [_level(bid), _level(ask)]}


def ctx_frame(coin: str, ctx: dict[str, Any]) -> bytes:
    return frame("activeAssetCtx", {"coin": coin, "ctx": ctx})


def ack_frame(method: str, subscription: dict[str, Any]) -> bytes:
    return frame("subscriptionResponse", {"method": method, "subscription": subscription})


def error_frame(message: str) -> bytes:
    return frame("error", message)


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


def frame(channel: str, data: Any) -> bytes:
    return orjson.dumps({"channel": channel, "data": data})


def _level(level: AnyLevel | None) -> dict[str, Any] | None:
    # Written out, because `_asdict` took a tenth of a frame's time.
    return None if level is None else {"px": level[0], "sz": level[1], "n": level[2] if len(level) > 2 else 1}
