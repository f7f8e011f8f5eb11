"""The selection of signals: from when, until when, of which coins."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Self

import polars as pl

from hip3_tasks.domain.capture import DAY_MS, HOUR_MS, MINUTE_MS
from hip3_tasks.domain.market import COIN
from hip3_tasks.errors import BadSelection

_AGO = re.compile(r"(\d{1,6})([smhd])", re.ASCII)
_UNIT_MS = {"s": 1000, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Signals at or after `since_ms`, before `until_ms`, of these coins; None does not restrict."""

    since_ms: int | None = None
    until_ms: int | None = None
    coins: tuple[str, ...] | None = None

    @classmethod
    def from_options(
        cls,
        *,
        date: str | date | None = None,
        since: str | date | None = None,
        until: str | date | None = None,
        coins: Sequence[str] = (),
        at_ms: int,
    ) -> Self:
        """Parse the user's words: ISO 8601, in UTC by default, or `90m`, `12h`, `3d` before `at_ms`; or take times.

        Raises BadSelection.
        """
        if date is not None:
            if since is not None or until is not None:
                raise BadSelection("expected either --date or --since and --until")
            return cls(since_ms=_day_ms(date), until_ms=_day_ms(date) + DAY_MS, coins=_coins(coins))
        since_ms, until_ms = _instant_ms(since, "--since", at_ms), _instant_ms(until, "--until", at_ms)
        if since_ms is not None and until_ms is not None and since_ms >= until_ms:
            raise BadSelection(f"--since {since} is not before --until {until}")
        return cls(since_ms=since_ms, until_ms=until_ms, coins=_coins(coins))

    def has_day(self, start_ms: int) -> bool:
        """Whether the UTC day that starts then may hold selected signals."""
        starts_in_time = self.until_ms is None or start_ms < self.until_ms
        return starts_in_time and (self.since_ms is None or start_ms + DAY_MS > self.since_ms)

    def is_whole_day(self, start_ms: int) -> bool:
        """Whether all signals of the UTC day that starts then are selected."""
        ends_in_time = self.until_ms is None or start_ms + DAY_MS <= self.until_ms
        return ends_in_time and (self.since_ms is None or start_ms >= self.since_ms) and self.coins is None

    def condition(self, timestamp: str) -> pl.Expr:
        """The selection as a condition on the market key and the signal's time, which is in the column `timestamp`."""
        conditions = [pl.lit(True)]
        if self.since_ms is not None:
            conditions.append(pl.col(timestamp) >= self.since_ms)
        if self.until_ms is not None:
            conditions.append(pl.col(timestamp) < self.until_ms)
        if self.coins is not None:
            conditions.append(pl.col("market_key").is_in(list(self.coins)))
        return pl.all_horizontal(conditions)


def _coins(words: Sequence[str]) -> tuple[str, ...] | None:
    """Each coin once; a word may hold several coins, with commas between them, as in HIP3_COINS."""
    coins = [coin for word in words for coin in word.split(",")]
    for coin in coins:
        if not COIN.fullmatch(coin):
            raise BadSelection(f"--coin: expected DEX:COIN, as in xyz:TSLA, was {coin!r}")
    return tuple(dict.fromkeys(coins)) or None


def _day_ms(text: str | date) -> int:
    if isinstance(text, date):
        return _ms(datetime(text.year, text.month, text.day, tzinfo=UTC))
    try:
        return _ms(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC))
    except (ValueError, TypeError):
        raise BadSelection(f"--date: expected a day like 2026-01-20, was {text!r}") from None


def _instant_ms(text: str | date | None, option: str, at_ms: int) -> int | None:
    if text is None:
        return None
    if isinstance(text, date) and not isinstance(text, datetime):
        return _day_ms(text)
    try:
        if not isinstance(text, datetime) and (ago := _AGO.fullmatch(text)):
            return at_ms - int(ago[1]) * _UNIT_MS[ago[2]]
        instant = text if isinstance(text, datetime) else datetime.fromisoformat(text)
    except (ValueError, TypeError):
        raise BadSelection(f"{option}: expected 2026-01-20, 2026-01-20T14:30 or 90m, 12h, 3d, was {text!r}") from None
    return _ms(instant if instant.tzinfo else instant.replace(tzinfo=UTC))


def _ms(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)
