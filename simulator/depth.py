"""The whole book of a market, as `l2Book` shows it: the touch, and invented levels behind it, one tick apart."""

from typing import Any, NamedTuple

from simulator.listing import px_decimals
from simulator.numerals import numeral
from simulator.wire import BookLevel

MAX_LEVELS = 20
FAST_LEVELS = 5


class ShownBook(NamedTuple):
    """The last touches of a market; a side without quotes is None."""

    bid: BookLevel | None
    ask: BookLevel | None


def l2_book(coin: str, book: ShownBook | None, *, sz_decimals: int, time_ms: int, count: int) -> dict[str, Any]:
    """The `data` of a whole book with at most `count` levels a side. A market without a book has two empty sides."""
    bid, ask = (book.bid, book.ask) if book else (None, None)
    sides = [_levels(bid, -1, sz_decimals, count), _levels(ask, 1, sz_decimals, count)]
    return {"coin": coin, "time": time_ms, "levels": sides}


def _levels(touch: BookLevel | None, direction: int, sz_decimals: int, count: int) -> list[dict[str, Any]]:
    if touch is None:
        return []
    px, sz = float(touch.px), float(touch.sz)
    decimals = px_decimals(px, sz_decimals=sz_decimals)
    tick = 10.0**-decimals
    behind = [(px + direction * step * tick, sz * (1 + step % 5), 1 + step % 4) for step in range(1, count)]
    levels = [
        {"px": numeral(level_px, decimals), "sz": numeral(level_sz, sz_decimals), "n": orders}
        for level_px, level_sz, orders in behind
        if level_px > 0
    ]
    return [touch._asdict(), *levels]
