"""The venue's frames and books, parsed once at the edge: every byte of them may be wrong.

A frame becomes one of the types below or a MalformedFrame with its kind; nothing else leaves `parse_frame`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from hip3_tasks.errors import MalformedFrame

GREETING = "Websocket connection established."
_is_number = re.compile(r"(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,24})?(?:[eE][-+]?[0-2]?[0-9])?", re.ASCII).fullmatch
MAX_NUMBER = 50
"""Characters of a number."""
_MAX_TIME_MS = 10**13
_ODD = (KeyError, IndexError, TypeError, ValueError, AttributeError)
"""The errors of reading fields of data that may have any form."""


class Level(NamedTuple):
    """The best price of one side and the size there; both positive and finite."""

    px: float
    sz: float


class Bbo(NamedTuple):
    """The touch of a coin as of a block; an empty side is None."""

    coin: str
    time_ms: int
    bid: Level | None
    ask: Level | None


class Ctx(NamedTuple):
    """Oracle, mark and a sample of the book of a coin; it has no time of the venue."""

    coin: str
    oracle_px: float | None
    mark_px: float | None
    mid_px: float | None = None
    impact_bid_px: float | None = None
    """The mean price at which the venue's impact notional could be sold."""
    impact_ask_px: float | None = None


@dataclass(frozen=True, slots=True)
class Ack:
    """The venue's confirmation of a subscription."""

    type: str
    coin: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """An `error` frame of the venue; the socket stays open."""

    text: str


@dataclass(frozen=True, slots=True)
class Other:
    """A valid frame that the feed only counts: pong, greeting, unsubscription, or an unknown channel."""

    kind: str


Frame = Bbo | Ctx | Ack | Refusal | Other


def parse_frame(raw: str | bytes) -> Frame:
    """Parse a frame. Raises MalformedFrame, and no other error, for data that is no frame of the venue."""
    if raw == GREETING:
        return Other("greeting")
    try:
        frame = orjson.loads(raw)
    except ValueError:
        raise MalformedFrame("not_json", raw) from None
    return read_frame(frame, raw)


def read_frame(frame: Any, raw: str | bytes) -> Frame:
    """Read a frame whose JSON was parsed already, from this text. Raises MalformedFrame, and no other error."""
    channel = frame.get("channel") if isinstance(frame, dict) else None
    if not isinstance(channel, str):
        raise MalformedFrame("no_channel", raw)
    parse = _PARSERS.get(channel)
    if parse is None:
        return Other("unknown_channel")
    try:
        return parse(frame)
    except _ODD:
        raise MalformedFrame(f"bad_{channel}", raw, channel=channel, coin=_coin_of(frame)) from None


def touch_of(answer: Any, coin: str) -> Bbo:
    """Read the best levels and the block time of an `l2Book` answer, by the rules for a frame. Raises ValueError."""
    try:
        bids, asks = answer["levels"]
        touch = [levels[0] if levels else None for levels in (bids, asks)]
        book = _bbo({"data": answer | {"bbo": touch}})
    except _ODD:
        raise ValueError("the answer is no book") from None
    if book.coin != coin:
        raise ValueError("the answer is the book of another coin")
    return book


def _coin_of(frame: Mapping[str, Any]) -> str | None:
    data = frame.get("data")
    coin = data.get("coin") if isinstance(data, dict) else None
    return coin if isinstance(coin, str) else None


def decimal(text: Any) -> float:
    """Parse a number as the venue writes it: text of digits, with or without point and exponent. Raises ValueError."""
    number = _parsed(text) if isinstance(text, str) and len(text) <= MAX_NUMBER else None
    if number is None:
        raise ValueError(f"not a plain number: {text!r}")
    return number


@lru_cache(maxsize=16_384)
def _parsed(text: str) -> float | None:
    """The number in a text; None if it is none. Prices and sizes repeat, so most texts were seen before."""
    return float(text) if _is_number(text) else None


def _bbo(frame: Mapping[str, Any]) -> Bbo:
    data = frame["data"]
    sides = data["bbo"]
    if not isinstance(sides, list) or len(sides) > 2:
        raise ValueError("bbo is a list of bid and ask")
    # The venue has sent a list of one element: the bid, without an ask.
    bid, ask = [*map(_level, sides), None, None][:2]
    return Bbo(_text(data["coin"]), _time_ms(data["time"]), bid, ask)


def _ctx(frame: Mapping[str, Any]) -> Ctx:
    data = frame["data"]
    ctx = data["ctx"]
    impact_bid, impact_ask = _pair(ctx.get("impactPxs"))
    return Ctx(
        _text(data["coin"]),
        _price(ctx["oraclePx"]),
        *map(_price_if_usable, (ctx.get("markPx"), ctx.get("midPx"), impact_bid, impact_ask)),
    )


def _subscription_response(frame: Mapping[str, Any]) -> Ack | Other:
    data = frame["data"]
    if data["method"] != "subscribe":
        return Other("unsubscribed")
    subscription = data["subscription"]
    return Ack(_text(subscription["type"]), _text(subscription["coin"]))


_PARSERS: dict[str, Callable[[Mapping[str, Any]], Frame]] = {
    "bbo": _bbo,
    "activeAssetCtx": _ctx,
    "subscriptionResponse": _subscription_response,
    "error": lambda frame: Refusal(_text(frame["data"])),
    "pong": lambda _: Other("pong"),
}


def _level(level: Any) -> Level | None:
    return None if level is None else Level(_number(level["px"]), _number(level["sz"]))


def _price(text: Any) -> float | None:
    return None if text is None else _number(text)


def _price_if_usable(text: Any) -> float | None:
    """A price that no signal rests on: unknown where it cannot be used."""
    number = _parsed(text) if isinstance(text, str) and len(text) <= MAX_NUMBER else None
    return number or None


def _pair(values: Any) -> list[Any]:
    return values if isinstance(values, list) and len(values) == 2 else [None, None]


def _number(text: Any) -> float:
    number = _parsed(text) if isinstance(text, str) and len(text) <= MAX_NUMBER else None
    if not number:
        raise ValueError(f"not a plain positive number: {text!r}")
    return number


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not text")
    return value


def _time_ms(value: Any) -> int:
    if type(value) is not int or not 0 < value < _MAX_TIME_MS:
        raise ValueError("not a time")
    return value
