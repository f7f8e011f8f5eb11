"""Requests of a client on the websocket, parsed once: a ping, or a subscription to one of the venue's channels."""

from typing import Any, NamedTuple

import orjson

from simulator.candles import INTERVALS_MS


class Subscription(NamedTuple):
    """One channel of one coin; `detail` is a candle's interval, the dex of `allMids`, or `fast` for a short book."""

    type: str
    coin: str
    detail: str = ""

    def as_json(self) -> dict[str, Any]:
        """The subscription as the venue repeats it, with its defaults filled in."""
        match self.type:
            case "allMids":
                return {"type": self.type} | ({"dex": self.detail} if self.detail else {})
            case "candle":
                return {"type": self.type, "coin": self.coin, "interval": self.detail}
            case "l2Book":
                defaults = {"nSigFigs": None, "mantissa": None, "fast": self.detail == FAST}
                return {"type": self.type, "coin": self.coin} | defaults
        return {"type": self.type, "coin": self.coin}


FAST = "fast"


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
        if request["method"] not in ("subscribe", "unsubscribe"):
            raise RequestError(text)
        return Request(request["method"], _READERS[request["subscription"]["type"]](request["subscription"]))
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise RequestError(text) from error


def quoted(subscription: Subscription) -> str:
    """The JSON of a subscription, as error frames quote it."""
    return orjson.dumps(subscription.as_json()).decode()


def _coin(wanted: dict[str, Any]) -> Subscription:
    return Subscription(wanted["type"], _text(wanted["coin"]))


def _l2_book(wanted: dict[str, Any]) -> Subscription:
    if wanted.get("nSigFigs") is not None or wanted.get("mantissa") is not None:
        raise TypeError("aggregated books are not simulated")
    return Subscription("l2Book", _text(wanted["coin"]), FAST if wanted.get("fast") is True else "")


def _candle(wanted: dict[str, Any]) -> Subscription:
    if wanted["interval"] not in INTERVALS_MS:
        raise TypeError("no interval of the venue")
    return Subscription("candle", _text(wanted["coin"]), wanted["interval"])


def _all_mids(wanted: dict[str, Any]) -> Subscription:
    return Subscription("allMids", "", _text(wanted.get("dex") or ""))


# The real venue has more types; the simulated one rejects them.
_READERS = {
    "bbo": _coin,
    "activeAssetCtx": _coin,
    "trades": _coin,
    "l2Book": _l2_book,
    "candle": _candle,
    "allMids": _all_mids,
}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not text")
    return value
