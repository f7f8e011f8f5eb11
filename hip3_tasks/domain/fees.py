"""Fees that a taker pays to the venue and to others, in bps of the notional; and the delay of his orders."""

from dataclasses import dataclass
from typing import NamedTuple

from hip3_tasks.domain.edge import Bps, round_trip_cost_bps

LOWEST_TIER_BPS = 4.5
"""The taker fee of the lowest volume tier, before a market's scale (Hyperliquid's fees page, 2026-09). The fee that
signals record is that of such a taker, without discounts."""

LATENCY_MS = 600
"""The time between T0 and the arrival of a taker's order: some 600 ms by the official API (Dwellir, May 2026)."""
LATENCIES_MS = (200, 600, 900)

LEAST_ORDER_USD = 10.0
"""The venue takes no order of less."""


class TakerCosts(NamedTuple):
    """The costs of taking a signal."""

    fee_bps: Bps
    """The fee of one order."""
    markout_bps: Bps
    """Fee + slippage, against which a markout is held."""
    round_trip_bps: Bps
    """Two fees, and slippage once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakerFees:
    """The fees of one taker, given the recorded fee of a market. By default he pays that."""

    tier_bps: float = LOWEST_TIER_BPS
    """The taker fee of his volume tier."""
    staking_discount_pct: float = 0.0
    referral_discount_pct: float = 0.0
    builder_fee_bps: float = 0.0
    """The fee of the front end that sends his orders."""
    priority_fee_bps: float = 0.0
    """The order priority fee of an IOC order on a HIP-3 market: he pays it twice a round trip."""

    def fee_bps(self, recorded_bps: Bps) -> Bps:
        """His fee for one order, given the recorded one; discounts are taken one after the other."""
        discounted = (1 - self.staking_discount_pct / 100) * (1 - self.referral_discount_pct / 100)
        share = self.tier_bps / LOWEST_TIER_BPS * discounted
        return recorded_bps * share + self.builder_fee_bps + self.priority_fee_bps

    def costs(self, recorded_cost_bps: Bps, recorded_fee_bps: Bps) -> TakerCosts:
        """His costs, given the recorded fee and the recorded cost, which is that fee and slippage."""
        fee_bps = self.fee_bps(recorded_fee_bps)
        trip_cost_bps = round_trip_cost_bps(fee_bps, recorded_cost_bps - recorded_fee_bps)
        return TakerCosts(fee_bps, recorded_cost_bps + (fee_bps - recorded_fee_bps), trip_cost_bps)

    def differences(self) -> list[str]:
        """A phrase for each thing in which he differs from a taker without discounts."""
        phrases = {
            f"your tier {self.tier_bps:g} bps": self.tier_bps != LOWEST_TIER_BPS,
            f"staking discount {self.staking_discount_pct:g} %": self.staking_discount_pct,
            f"referral discount {self.referral_discount_pct:g} %": self.referral_discount_pct,
            f"builder's fee {self.builder_fee_bps:g} bps an order": self.builder_fee_bps,
            f"priority fee {self.priority_fee_bps:g} bps an order": self.priority_fee_bps,
        }
        return [phrase for phrase, differs in phrases.items() if differs]


NO_DISCOUNTS = TakerFees()
