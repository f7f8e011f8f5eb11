"""The touch in an `l2Book` answer."""

from typing import Any

import orjson

from feed.wire import Bbo, parse_frame
from hip3_tasks.errors import MalformedFrame


def touch_of(answer: Any, coin: str) -> Bbo:
    """Read the best levels and the block time, by the rules for a bbo frame. Raises ValueError."""
    try:
        bids, asks = answer["levels"]
        sides = [levels[0] if levels else None for levels in (bids, asks)]
        data = {"coin": answer["coin"], "time": answer["time"], "bbo": sides}
        bbo = parse_frame(orjson.dumps({"channel": "bbo", "data": data}))
    except (KeyError, IndexError, TypeError, ValueError, MalformedFrame):
        raise ValueError("the answer is no book") from None
    if not isinstance(bbo, Bbo) or bbo.coin != coin:
        raise ValueError("the answer is the book of another coin")
    return bbo
