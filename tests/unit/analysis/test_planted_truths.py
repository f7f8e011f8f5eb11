"""The report finds the effects that a generated history has, and none in noise."""

from functools import cache

import pytest

from hip3_tasks.analysis.measure.threshold_search import MarketChoice, ThresholdVerdict
from simulator.history import HistoryPlan, frames, truths
from simulator.history.report import report_on

PLAN = HistoryPlan(signals=40_000, hours=24, markets=16, copies=6.0, seed=3)


@cache
def choices() -> dict[str, MarketChoice]:
    history = frames(PLAN)
    search = report_on(history.signals, history.followups).search
    assert search is not None
    return {choice.market: choice for choice in search.choices}


def of_kind(kind: str) -> list[MarketChoice]:
    return [choices()[coin] for coin, truth in truths(PLAN).items() if truth.kind == kind]


def test_paying_markets_get_a_threshold_near_break_even() -> None:
    working = [choice for choice in of_kind("real") if choice.verdict is ThresholdVerdict.WORKS]
    assert len(working) * 2 >= len(of_kind("real"))
    for choice in working:
        begins_bps = truths(PLAN)[choice.market].break_even_bps
        assert choice.threshold_bps is not None and begins_bps is not None
        assert begins_bps - 4 <= choice.threshold_bps <= begins_bps + 4


def test_a_standing_offset_is_flagged() -> None:
    assert {choice.verdict for choice in of_kind("structural")} == {ThresholdVerdict.STRUCTURAL}


@pytest.mark.parametrize("kind", ["costly", "fleeting"])
def test_a_market_that_pays_only_at_the_mid_or_at_t0_is_not_recommended(kind: str) -> None:
    choices = of_kind(kind)
    assert not any(choice.verdict is ThresholdVerdict.WORKS for choice in choices)
    assert all(choice.net_bps.low is not None and choice.net_bps.low > 0 for choice in choices)


def test_noise_is_not_recommended_though_tuning_in_sample_would_have() -> None:
    noise = of_kind("noise") + of_kind("led") + of_kind("even")
    assert not any(choice.verdict is ThresholdVerdict.WORKS for choice in noise)
    assert any(choice.in_sample and (choice.in_sample.round_trip_bps.value or 0) > 0 for choice in noise)
