"""One listed market: its name, its starting state and its entry in `meta`."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

TAKER_FEE_BPS = 9.0
GROWTH_TAKER_FEE_BPS = 0.9
SLIPPAGE_BPS = 1.0
MIN_EDGE_BPS = 5.0
MAX_PX_DECIMALS = 6
SIGNIFICANT_FIGURES = 5
FEES_CHANGED_AT = "2025-11-23T17:37:10.033211662"
BUSY_BBO_PER_S = (1.9, 3.3)
QUIET_BBO_PER_S = (0.03, 0.06)

Universe: TypeAlias = dict[str, list[dict[str, Any]]]
"""The entries of `meta` by dex."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketListing:
    """State of a market before the first event; `bid_px` and `ask_px` are None without a book."""

    coin: str
    oracle_px: float
    mark_px: float
    bid_px: float | None
    ask_px: float | None
    px_decimals: int
    sz_decimals: int
    bbo_per_s: float
    growth_mode: bool = True
    is_delisted: bool = False

    @property
    def dex(self) -> str:
        return self.coin.partition(":")[0]

    @property
    def oracle_ticks(self) -> int:
        return round(self.oracle_px * 10.0**self.px_decimals)

    @property
    def threshold_bps(self) -> float:
        """Raw edge at which a detector with the project's default costs fires."""
        fee_bps = GROWTH_TAKER_FEE_BPS if self.growth_mode else TAKER_FEE_BPS
        return fee_bps + SLIPPAGE_BPS + MIN_EDGE_BPS

    def meta(self) -> dict[str, Any]:
        """The market's entry in `meta`; false flags are left out, as on the real venue."""
        entry: dict[str, Any] = {
            "szDecimals": self.sz_decimals,
            "name": self.coin,
            "maxLeverage": 20,
            "marginTableId": 20,
            "onlyIsolated": True,
            "marginMode": "noCross",
            "lastFeeScaleChangeTime": FEES_CHANGED_AT,
            "deployerFeeScale": "1.0",
        }
        if self.is_delisted:
            entry["isDelisted"] = True
        if self.growth_mode:
            entry["growthMode"] = "enabled"
        return entry


def px_decimals(px: float, *, sz_decimals: int) -> int:
    """Decimals of a price on the venue: five significant figures, but at most 6 - szDecimals decimals."""
    by_figures = SIGNIFICANT_FIGURES - 1 - math.floor(math.log10(px))
    return max(0, min(by_figures, MAX_PX_DECIMALS - sz_decimals))


def universe(listings: Iterable[MarketListing]) -> Universe:
    """The `meta` entries per dex, in the order of the listings."""
    by_dex: Universe = {}
    for listing in listings:
        by_dex.setdefault(listing.dex, []).append(listing.meta())
    return by_dex
