"""Candles of the simulated markets, by the minute since the venue's start; longer intervals are computed from them."""

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from simulator.numerals import numeral

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
INTERVALS_MS = {
    **{f"{minutes}m": minutes * MINUTE_MS for minutes in (1, 3, 5, 15, 30)},
    **{f"{hours}h": hours * HOUR_MS for hours in (1, 2, 4, 8, 12)},
    "1d": DAY_MS,
    "3d": 3 * DAY_MS,
    "1w": 7 * DAY_MS,
    "1M": 30 * DAY_MS,
}
MAX_MINUTES = 1_500
SZ_DECIMALS = 4


@dataclass(slots=True)
class Minute:
    """Prices as text, as they were traded."""

    opened_at_ms: int
    open_px: str
    high_px: str
    low_px: str
    close_px: str
    volume: float
    trades: int


class CandleHistory:
    """The last minutes of each coin that had a trade."""

    def __init__(self) -> None:
        self._by_coin: defaultdict[str, deque[Minute]] = defaultdict(lambda: deque(maxlen=MAX_MINUTES))

    def add(self, coin: str, *, px: str, sz: str, time_ms: int) -> None:
        minutes = self._by_coin[coin]
        opened_at_ms = time_ms - time_ms % MINUTE_MS
        if not minutes or minutes[-1].opened_at_ms < opened_at_ms:
            minutes.append(Minute(opened_at_ms, px, px, px, px, 0.0, 0))
        minute = minutes[-1]
        if float(px) > float(minute.high_px):
            minute.high_px = px
        elif float(px) < float(minute.low_px):
            minute.low_px = px
        minute.close_px = px
        minute.volume += float(sz)
        minute.trades += 1

    def between(self, coin: str, interval: str, *, from_ms: int, until_ms: int) -> list[dict[str, Any]]:
        """The candles that overlap the time span, as the venue writes them, oldest first."""
        span_ms = INTERVALS_MS[interval]
        minutes = self._by_coin.get(coin, ())
        groups = groupby(minutes, key=lambda minute: minute.opened_at_ms // span_ms * span_ms)
        return [
            _candle(coin, interval, opened_at_ms, group)
            for opened_at_ms, group in groups
            if opened_at_ms + span_ms > from_ms and opened_at_ms <= until_ms
        ]

    def newest(self, coin: str, interval: str) -> dict[str, Any] | None:
        """The candle of the last trade; None without one."""
        if coin not in self._by_coin:
            return None
        last_ms = self._by_coin[coin][-1].opened_at_ms
        return self.between(coin, interval, from_ms=last_ms, until_ms=last_ms)[-1]


def _candle(coin: str, interval: str, opened_at_ms: int, group: Iterable[Minute]) -> dict[str, Any]:
    minutes = list(group)
    return {
        "t": opened_at_ms,
        "T": opened_at_ms + INTERVALS_MS[interval] - 1,
        "s": coin,
        "i": interval,
        "o": minutes[0].open_px,
        "c": minutes[-1].close_px,
        "h": max((minute.high_px for minute in minutes), key=float),
        "l": min((minute.low_px for minute in minutes), key=float),
        "v": numeral(sum(minute.volume for minute in minutes), SZ_DECIMALS),
        "n": sum(minute.trades for minute in minutes),
    }
