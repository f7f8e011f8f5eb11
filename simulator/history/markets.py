"""The markets of a history, and the expected values that follow from their planted effects."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from hip3_tasks.domain.edge import round_trip_cost_bps
from simulator.history.effects import EFFECTS, GONE_PATH, MOVED_PATH, Effect, MarketKind
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
WIDE_SPREAD_BPS = 10.0
GROWTH_FEE_BPS, FULL_FEE_BPS = 0.9, 9.0
_KINDS = (*MarketKind, MarketKind.NOISE)


@dataclass(frozen=True, slots=True)
class PlantedMarket:
    """One market. Its expected values are exact: rounding, shocks and missed follow-ups do not change them.

    Those of round trips are exact to first order: a trip is in bps of its entry, the planted moves in bps of T0's mid.
    """

    market_key: str
    kind: MarketKind
    fee_bps: float
    spread_bps: float
    """Mean width of the book."""
    excess_bps: float
    """Mean of the exponential part of the raw edge."""
    later_bps: float
    """The book's expected move from T+1 s to T+5 s at a raw edge of 0, from which the kind's slope leads on."""
    side: int
    """+1: buys only, −1: sells only, 0: both."""
    activity: float
    """Weight of the market among all markets when events are drawn."""
    decimals: int
    """Decimals of the prices, which have five significant digits."""
    base_ticks: float
    """Price around which the oracle moves."""

    @property
    def effect(self) -> Effect:
        return EFFECTS[self.kind]

    @property
    def cost_bps(self) -> float:
        """Taker fee + slippage: raw edge − net edge."""
        return self.fee_bps + SLIPPAGE_BPS

    @property
    def round_trip_cost_bps(self) -> float:
        """All that a round trip costs: the width of the book, two fees and slippage."""
        return self.spread_bps + float(round_trip_cost_bps(self.fee_bps, SLIPPAGE_BPS))

    @property
    def raw_edge_bps(self) -> float:
        """The expected raw edge of a signal."""
        return self.raw_edge_above_bps(THRESHOLD_BPS)

    @property
    def break_even_bps(self) -> float | None:
        """Raw edge at which the expected round trip when had is 0 at T+5 s; None unless higher edges pay."""
        slope = self.effect.slope
        return (self.round_trip_cost_bps - self.later_bps) / slope if slope > 0 else None

    @property
    def had_share(self) -> float:
        """The expected share of orders that are had at T+1 s."""
        return self.effect.had_share

    @property
    def had_z(self) -> float:
        """The quantile of a standard normal number up to which an order is had."""
        return NormalDist().inv_cdf(self.had_share)

    @property
    def first_slope(self) -> float:
        """The slope over the raw edge of the touch's expected move until T+1 s; that move is 0 at an edge of 0."""
        return -self.had_z * self.effect.first_shock

    @property
    def markout_bps(self) -> Mapping[int, float]:
        """The expected markout, by offset."""
        return {offset_ms: self.markout_bps_at(self.raw_edge_bps, offset_ms) for offset_ms in OFFSETS_MS}

    @property
    def round_trip_bps(self) -> Mapping[int, float]:
        """The expected round trip when had, in at T+1 s, by offset of the way out."""
        return {offset_ms: self.round_trip_bps_at(self.raw_edge_bps, offset_ms) for offset_ms in OFFSETS_MS[1:]}

    @property
    def round_trip_at_t0_bps(self) -> float:
        """The expected round trip until T+5 s of one who is in at the touch of T0, without any latency."""
        return self.markout_bps[OFFSETS_MS[-1]] - self.round_trip_cost_bps

    def raw_edge_above_bps(self, threshold_bps: float) -> float:
        """The expected raw edge of signals that reach a threshold."""
        return max(threshold_bps, THRESHOLD_BPS + MIN_MARGIN_BPS) + self.excess_bps

    def markout_bps_at(self, raw_edge_bps: float, offset_ms: int) -> float:
        """The expected markout of signals with this raw edge, or with this mean raw edge."""
        return self.first_slope * raw_edge_bps + self._later_bps_at(raw_edge_bps, offset_ms)

    def round_trip_bps_at(self, raw_edge_bps: float, offset_ms: int) -> float:
        """The expected round trip when had of signals with this raw edge, or with this mean raw edge."""
        return self._later_bps_at(raw_edge_bps, offset_ms) - self.round_trip_cost_bps

    def _later_bps_at(self, raw_edge_bps: float, offset_ms: int) -> float:
        return MOVED_PATH[OFFSETS_MS.index(offset_ms)] * (self.later_bps + self.effect.slope * raw_edge_bps)

    @property
    def shrink_share(self) -> Mapping[int, float]:
        """The expected share of follow-ups whose edge shrank, for the offsets where it is known."""
        gone = self.effect.gone
        return {OFFSETS_MS[-1]: gone + (1 - gone) / 2}

    @property
    def gone_share(self) -> tuple[float, ...]:
        """Share of events whose edge is gone at each offset, if the oracle has ticked by then."""
        return tuple(self.effect.gone * share for share in GONE_PATH)

    def truth(self) -> dict[str, object]:
        """The planted and expected values, ready for JSON."""
        return {
            "market_key": self.market_key,
            "kind": self.kind,
            "cost_bps": self.cost_bps,
            "raw_edge_bps": self.raw_edge_bps,
            "break_even_bps": self.break_even_bps,
            "markout_bps": self.markout_bps,
            "had_share": self.had_share,
            "spread_bps": self.spread_bps,
            "round_trip_bps": self.round_trip_bps,
            "round_trip_at_t0_bps": self.round_trip_at_t0_bps,
            "shrink_share": self.shrink_share,
        }


def planted_markets(plan: HistoryPlan) -> list[PlantedMarket]:
    """The markets of a plan. In eight, two are noise, and each other kind is one; of 32, eight are in growth mode,
    and besides all real and fleeting ones."""
    rng = np.random.default_rng([plan.seed, 1 << 32])
    return [_market(number, rng) for number in range(plan.markets)]


def truths(plan: HistoryPlan) -> dict[str, PlantedMarket]:
    """The markets of a plan with their expected values, by market_key."""
    return {market.market_key: market for market in planted_markets(plan)}


def _market(number: int, rng: np.random.Generator) -> PlantedMarket:
    kind = _KINDS[number % len(_KINDS)]
    is_growth = number // len(_KINDS) % 4 == 1
    is_cheap = is_growth or kind in (MarketKind.REAL, MarketKind.FLEETING)
    market = PlantedMarket(
        market_key=f"xyz:{TICKERS[number] if number < len(TICKERS) else f'M{number}'}",
        kind=kind,
        fee_bps=GROWTH_FEE_BPS if is_cheap else FULL_FEE_BPS,
        spread_bps=WIDE_SPREAD_BPS if is_growth and kind is MarketKind.COSTLY else float(rng.uniform(1.0, 2.2)),
        excess_bps=float(rng.uniform(4, 8)),
        later_bps=0.0,
        side=int(rng.choice([-1, 1])) if kind is MarketKind.STRUCTURAL else 0,
        activity=float(rng.uniform(0.6, 1.4)),
        decimals=int(rng.choice([1, 2, 2, 3, 4])),
        base_ticks=float(rng.uniform(32_000, 88_000)),
    )
    if kind is MarketKind.REAL:
        return replace(market, later_bps=market.round_trip_cost_bps - (8.0 if is_growth else 12.0))
    if market.effect.trip_bps is not None:
        return replace(market, later_bps=market.round_trip_cost_bps + market.effect.trip_bps)
    return market
