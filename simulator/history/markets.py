"""The markets of a history: what is planted in each, and what therefore is true of it.

- `real`: the book comes to the oracle, and the mid moves the taker's way by as much as the edge is wide, less some.
- `structural`: a standing offset, always on one side. The edge hovers; the mid moves either way alike.
- `led`: the oracle comes to the book: the edge shrinks, and the mid does not move the taker's way.
- `noise`: the mid moves either way alike, far, and together with the other markets'.

At T+1 s the oracle has not ticked again, and all that changes an edge is the book.
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
"""More than a tick, so that an edge rounded down to a tick still reaches the threshold."""
SLIPPAGE_BPS = 1.0
PATH = 0.4, 0.8, 1.0
"""How much of the way to T+5 s a market has gone at each offset."""


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
    """One market. What is expected is exact: no rounding, no shock and nothing that is missed changes it."""

    market_key: str
    kind: MarketKind
    fee_bps: float
    excess_bps: float
    """The mean of the exponential part of the raw edge."""
    break_even_bps: float | None
    """The raw edge at which the expected markout at T+5 s is the cost; None where there is none."""
    side: int
    """+1: buys only, −1: sells only, 0: both."""
    activity: float
    """How often it has events, beside the others."""
    decimals: int
    """Of its prices, which have five significant digits."""
    base_ticks: float
    """The price it wanders around."""

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
        """The expected markout of signals of this raw edge, or of this mean raw edge."""
        return self.slopes[OFFSETS_MS.index(offset_ms)] * (raw_edge_bps - self.zero_bps)

    @property
    def shrink_share(self) -> Mapping[int, float]:
        """The expected share of follow-ups whose edge shrank, by offset, where it is known."""
        gone = _GONE[self.kind]
        return {OFFSETS_MS[-1]: gone + (1 - gone) / 2}

    @property
    def slopes(self) -> tuple[float, ...]:
        """By how much the expected markout grows with the raw edge, at each offset."""
        return PATH if self.break_even_bps is not None else (0.0,) * len(PATH)

    @property
    def zero_bps(self) -> float:
        """The raw edge at which the expected markout is zero."""
        return 0.0 if self.break_even_bps is None else self.break_even_bps - self.cost_bps

    @property
    def gone_share(self) -> tuple[float, ...]:
        """The share of events whose edge is gone, at each offset by which the oracle has ticked."""
        return tuple(_GONE[self.kind] * way for way in PATH)

    @property
    def shock(self) -> float:
        """How strongly it follows what moves the dex."""
        return _SHOCK[self.kind]

    def truth(self) -> dict[str, object]:
        """All that is known of it beforehand, fit for JSON."""
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
    """The markets of a history: of eight, one is real, one structural and one led; eight of 32 are in growth mode."""
    rng = np.random.default_rng([plan.seed, 1 << 32])
    return [_market(number, rng) for number in range(plan.markets)]


def truths(plan: HistoryPlan) -> dict[str, PlantedMarket]:
    """What is true of each market of a history, by name."""
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
