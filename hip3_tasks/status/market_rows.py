"""The markets as rows of a table: prices, edges, threshold, and whether the state is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import redis
from pydantic import ValidationError

from hip3_tasks.domain.edge import Side, edge_bps, spread_bps
from hip3_tasks.domain.market import Gap, Market
from hip3_tasks.domain.records import Dark
from hip3_tasks.errors import MalformedEntry
from hip3_tasks.store.market_facts import FeedMarkets, MarketFacts
from hip3_tasks.store.store import Store
from hip3_tasks.store.tape import Reading

STALE_MS = 3_000
"""With a watermark older than this the state of no market is known."""
BPS_DIGITS = 2
USD_DIGITS = 3
"""Significant ones: sizes change with every book, and a row is sent again when it changes."""


class MarketStatus(StrEnum):
    """Whether the state of a market is known."""

    LIVE = "live"
    GAP = "gap"
    DELISTED = "delisted"


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketRow:
    """One market; None is not known or not there. A gap has no prices."""

    coin: str
    state: MarketStatus
    why: str | None = None
    """The cause of a gap."""
    oracle_px: float | None = None
    mark_px: float | None = None
    bid_px: float | None = None
    ask_px: float | None = None
    spread_bps: float | None = None
    """The spread as a share of the mid."""
    buy_edge_bps: float | None = None
    sell_edge_bps: float | None = None
    buy_usd: float | None = None
    """The notional of the ask, which a buy takes."""
    sell_usd: float | None = None
    threshold_bps: float | None = None
    taker_fee_bps: float | None = None
    ctx_at_ms: int | None = None
    """The time at which its context was last received, by the feed's last report a second ago."""

    @property
    def side(self) -> Side:
        """The side with the greater edge."""
        buy_bps, sell_bps = self.buy_edge_bps, self.sell_edge_bps
        return Side.SELL if buy_bps is None or (sell_bps is not None and sell_bps > buy_bps) else Side.BUY

    @property
    def dislocation(self) -> float:
        """The greater edge as a share of the threshold: from 1 on there is a signal, unless the market is silent."""
        edges_bps = [edge for edge in (self.buy_edge_bps, self.sell_edge_bps) if edge is not None]
        if not edges_bps or not self.threshold_bps or self.threshold_bps < 0:
            return 0.0
        return max(edges_bps) / self.threshold_bps

    @property
    def label(self) -> str:
        """Coin, side and edge."""
        edge_bps = self.buy_edge_bps if self.side is Side.BUY else self.sell_edge_bps
        return f"{self.coin} {self.side} {edge_bps:.1f}" if edge_bps is not None else self.coin

    def unknown(self, why: str) -> "MarketRow":
        """The same market without a known state."""
        if self.state is MarketStatus.DELISTED:
            return self
        kept = {"threshold_bps": self.threshold_bps, "taker_fee_bps": self.taker_fee_bps}
        return MarketRow(coin=self.coin, state=MarketStatus.GAP, why=why, ctx_at_ms=self.ctx_at_ms, **kept)


class MarketTable(NamedTuple):
    """All markets, and the watermark up to which they are known."""

    watermark_ms: int | None
    rows: list[MarketRow]
    dark: list[Dark] | None = None
    """The markets that are not live although they are to be followed; None is not known."""


def markets_at(store: Store, *, at_ms: int) -> MarketTable:
    """Every market, by coin; none before a feed has run. Raises redis.RedisError or ValidationError."""
    listed = store.feed_markets() or FeedMarkets(markets={}, delisted=[])
    coins = sorted(listed.markets)
    watermark_ms, readings = store.tape.newest(coins)
    causes = {market.coin: market.cause for market in listed.dark or ()}
    rows = [
        _row(coin, listed.markets[coin], reading, at_ms, causes.get(coin))
        for coin, reading in zip(coins, readings, strict=True)
    ]
    gone = [
        MarketRow(coin=coin, state=MarketStatus.DELISTED)
        for coin in sorted(listed.delisted)
        if coin not in listed.markets
    ]
    return MarketTable(watermark_ms, rows + gone, listed.dark)


def markets_or_empty(store: Store, *, at_ms: int) -> MarketTable:
    """The markets, or none if Redis or its content is faulty."""
    try:
        return markets_at(store, at_ms=at_ms)
    except (redis.RedisError, ValidationError):
        return MarketTable(None, [])


def dislocated(rows: Sequence[MarketRow]) -> list[MarketRow]:
    """The markets whose edge is at the threshold or beyond, the farthest first."""
    return sorted((row for row in rows if row.dislocation >= 1), key=lambda row: -row.dislocation)


def _row(coin: str, facts: MarketFacts, reading: Reading, at_ms: int, dark_cause: str | None) -> MarketRow:
    market, why = _state(reading, at_ms, dark_cause)
    return MarketRow(
        coin=coin,
        state=MarketStatus.LIVE if market else MarketStatus.GAP,
        why=why,
        threshold_bps=round(facts.threshold_bps, BPS_DIGITS),
        taker_fee_bps=round(facts.taker_fee_bps, BPS_DIGITS),
        ctx_at_ms=facts.ctx_at_ms,
        **(_prices(market) if market else {}),
    )


def _prices(market: Market) -> dict[str, float | None]:
    return {
        "oracle_px": market.oracle_px,
        "mark_px": market.mark_px,
        "bid_px": market.bid_px,
        "ask_px": market.ask_px,
        "spread_bps": _spread_bps(market),
        "buy_edge_bps": _edge_bps(Side.BUY, market),
        "sell_edge_bps": _edge_bps(Side.SELL, market),
        "buy_usd": _touch_usd(Side.BUY, market),
        "sell_usd": _touch_usd(Side.SELL, market),
    }


def _state(reading: Reading, at_ms: int, dark_cause: str | None) -> tuple[Market | None, str | None]:
    """The market's state; if it is not known, None and the reason: in a gap the feed's present one, if it has one."""
    if not reading.is_complete_at(at_ms - STALE_MS):
        return None, "the watermark stands still"
    try:
        entry = reading.entry
    except MalformedEntry:
        return None, "its last entry does not decode"
    if entry is None:
        return None, "the tape has no entry of it"
    return (None, dark_cause or entry.value.cause) if isinstance(entry.value, Gap) else (entry.value, None)


def _edge_bps(side: Side, market: Market) -> float | None:
    touch_px = market.touch_px(side)
    if touch_px is None or market.oracle_px is None:
        return None
    return round(edge_bps(side, touch_px=touch_px, oracle_px=market.oracle_px), BPS_DIGITS)


def _touch_usd(side: Side, market: Market) -> float | None:
    px, sz = market.touch_px(side), market.touch_sz(side)
    return None if px is None or sz is None else float(f"{px * sz:.{USD_DIGITS}g}")


def _spread_bps(market: Market) -> float | None:
    if market.bid_px is None or market.ask_px is None:
        return None
    spread: float = spread_bps(market.bid_px, market.ask_px)
    return round(spread, BPS_DIGITS)
