"""The markets of a history: the planted effect of each, and the expected values that follow from it.

- `real`: the book moves to the oracle; the mid moves in the taker's favour by the edge less a constant.
- `structural`: a standing offset, always on one side. The edge stays about the same; the mid moves either way alike.
- `led`: the oracle moves to the book: the edge shrinks, and the mid does not move in the taker's favour.
- `noise`: the mid moves either way alike, far, and together with the other markets.

At T+1 s the oracle has not ticked again, so only the book changes an edge.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from simulator.history.plan import OFFSETS_MS, HistoryPlan

TICKERS = (
    *("TSLA", "NVDA", "XYZ100", "GOLD", "AAPL", "MSFT", "META", "AMZN", "GOOGL", "AMD", "COIN", "HOOD", "PLTR"),
    *("INTC", "MSTR", "SILVER", "NFLX", "ORCL", "MU", "CRCL", "SNDK", "COST", "LLY", "BABA", "RIVN", "TSM"),
    *("COPPER", "NATGAS", "JPY", "EUR", "SKHX", "SMSN"),
)
THRESHOLD_BPS = 6.0
MIN_MARGIN_BPS = 0.4
"""Margin of every edge over the threshold; more than a tick, so that a rounded edge still reaches the threshold."""
SLIPPAGE_BPS = 1.0
PATH = 0.4, 0.8, 1.0
"""Share of the move until T+5 s that a market has made at each offset."""


class MarketKind(StrEnum):
    REAL = "real"
    STRUCTURAL = "structural"
    LED = "led"
    NOISE = "noise"


_KINDS = (MarketKind.REAL, MarketKind.STRUCTURAL, MarketKind.LED, *[MarketKind.NOISE] * 5)
_GONE = {MarketKind.REAL: 0.9, MarketKind.STRUCTURAL: 0.0, MarketKind.LED: 0.8, MarketKind.NOISE: 0.3}
_SHOCK = {MarketKind.REAL: 0.6, MarketKind.STRUCTURAL: 0.5, MarketKind.LED: 0.4, MarketKind.NOISE: 1.0}


@dataclass(frozen=True, slots=True)
class PlantedMarket:
    """One market. Its expected values are exact: rounding, shocks and missed follow-ups do not change them."""

    market_key: str
    kind: MarketKind
    fee_bps: float
    excess_bps: float
    """Mean of the exponential part of the raw edge."""
    break_even_bps: float | None
    """Raw edge at which the expected markout at T+5 s equals the cost; None if no edge does."""
    side: int
    """+1: buys only, −1: sells only, 0: both."""
    activity: float
    """Weight of the market among all markets when events are drawn."""
    decimals: int
    """Decimals of the prices, which have five significant digits."""
    base_ticks: float
    """Price around which the oracle moves."""

    @property
    def cost_bps(self) -> float:
        """Taker fee + slippage: raw edge − net edge."""
        return self.fee_bps + SLIPPAGE_BPS

    @property
    def raw_edge_bps(self) -> float:
        """The expected raw edge of a signal."""
        return THRESHOLD_BPS + MIN_MARGIN_BPS + self.excess_bps

    @property
    def markout_bps(self) -> Mapping[int, float]:
        """The expected markout, by offset."""
        return {offset_ms: self.markout_bps_at(self.raw_edge_bps, offset_ms) for offset_ms in OFFSETS_MS}

    def markout_bps_at(self, raw_edge_bps: float, offset_ms: int) -> float:
        """The expected markout of signals with this raw edge, or with this mean raw edge."""
        return self.slopes[OFFSETS_MS.index(offset_ms)] * (raw_edge_bps - self.zero_bps)

    @property
    def shrink_share(self) -> Mapping[int, float]:
        """The expected share of follow-ups whose edge shrank, for the offsets where it is known."""
        gone = _GONE[self.kind]
        return {OFFSETS_MS[-1]: gone + (1 - gone) / 2}

    @property
    def slopes(self) -> tuple[float, ...]:
        """Slope of the expected markout over the raw edge, at each offset."""
        return PATH if self.break_even_bps is not None else (0.0,) * len(PATH)

    @property
    def zero_bps(self) -> float:
        """The raw edge at which the expected markout is zero."""
        return 0.0 if self.break_even_bps is None else self.break_even_bps - self.cost_bps

    @property
    def gone_share(self) -> tuple[float, ...]:
        """Share of events whose edge is gone at each offset, if the oracle has ticked by then."""
        return tuple(_GONE[self.kind] * share for share in PATH)

    @property
    def shock(self) -> float:
        """Scale of the market's random moves."""
        return _SHOCK[self.kind]

    def truth(self) -> dict[str, object]:
        """The planted and expected values, ready for JSON."""
        return {
            "market_key": self.market_key,
            "kind": self.kind,
            "cost_bps": self.cost_bps,
            "raw_edge_bps": self.raw_edge_bps,
            "break_even_bps": self.break_even_bps,
            "markout_bps": self.markout_bps,
            "shrink_share": self.shrink_share,
        }


def planted_markets(plan: HistoryPlan) -> list[PlantedMarket]:
    """The markets of a plan. In eight, one is real, one structural and one led; of 32, eight are in growth mode."""
    rng = np.random.default_rng([plan.seed, 1 << 32])
    return [_market(number, rng) for number in range(plan.markets)]


def truths(plan: HistoryPlan) -> dict[str, PlantedMarket]:
    """The markets of a plan with their expected values, by market_key."""
    return {market.market_key: market for market in planted_markets(plan)}


def _market(number: int, rng: np.random.Generator) -> PlantedMarket:
    kind = _KINDS[number % len(_KINDS)]
    is_growth = number // len(_KINDS) % 4 == 1
    return PlantedMarket(
        market_key=f"xyz:{TICKERS[number] if number < len(TICKERS) else f'M{number}'}",
        kind=kind,
        fee_bps=0.9 if is_growth else 9.0,
        excess_bps=float(rng.uniform(4, 8)),
        break_even_bps=(8.0 if is_growth else 12.0) if kind is MarketKind.REAL else None,
        side=int(rng.choice([-1, 1])) if kind is MarketKind.STRUCTURAL else 0,
        activity=float(rng.uniform(0.6, 1.4)),
        decimals=int(rng.choice([1, 2, 2, 3, 4])),
        base_ticks=float(rng.uniform(32_000, 88_000)),
    )
