"""The fees of a taker, given the recorded fee of a market."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hip3_tasks.domain.fees import NO_DISCOUNTS, TakerFees


@given(recorded_bps=st.floats(0, 100))
def test_without_discounts_he_pays_the_recorded_fee(recorded_bps: float) -> None:
    assert NO_DISCOUNTS.fee_bps(recorded_bps) == recorded_bps
    assert NO_DISCOUNTS.differences() == []


def test_tier_and_discounts_multiply_and_other_fees_add_up() -> None:
    fees = TakerFees(
        tier_bps=2.4, staking_discount_pct=40, referral_discount_pct=4, builder_fee_bps=1.0, priority_fee_bps=8.0
    )
    assert fees.fee_bps(9.0) == pytest.approx(9.0 * (2.4 / 4.5) * 0.6 * 0.96 + 1 + 8)
    assert fees.differences() == [
        "your tier 2.4 bps",
        "staking discount 40 %",
        "referral discount 4 %",
        "builder's fee 1 bps an order",
        "priority fee 8 bps an order",
    ]
