from typing import Any

import pytest

from feed.universe import delisted, listings, taker_fee_bps


@pytest.mark.parametrize(
    ("asset", "fee_bps"),
    [
        ({}, 9.0),
        ({"deployerFeeScale": None}, 9.0),
        ({"deployerFeeScale": "1.0"}, 9.0),
        ({"deployerFeeScale": "1.0", "growthMode": "enabled"}, 0.9),
        ({"deployerFeeScale": "0.5"}, 6.75),
        ({"deployerFeeScale": "2.0", "growthMode": "disabled"}, 18.0),
        ({"deployerFeeScale": "0.0"}, 4.5),
    ],
)
def test_the_taker_fee_follows_from_scale_and_growth_mode(asset: dict[str, Any], fee_bps: float) -> None:
    assert taker_fee_bps(asset) == pytest.approx(fee_bps)


@pytest.mark.parametrize("scale", ["1_0", "١", "１", "NaN", "inf", "-1", "1e", " 1", "", "101", 0, 1.0, True, []])
def test_a_scale_that_is_no_plain_number_is_no_fee(scale: Any) -> None:
    with pytest.raises(ValueError, match=r"plain number|deployerFeeScale"):
        taker_fee_bps({"deployerFeeScale": scale})


def test_delisted_markets_and_names_that_are_no_coin_are_left_out() -> None:
    names: list[Any] = ["xyz:TSLA", "xyz:GONE", "BTC", "xyz:\nforged", "xyz:A|B", 7, "xyz:ODD"]
    universe: list[dict[str, Any]] = [{"name": name} for name in names]
    universe[1]["isDelisted"] = True
    universe[6]["deployerFeeScale"] = "nonsense"
    assert set(listings({"universe": universe})) == {"xyz:TSLA"}


def test_a_delisted_market_is_named_if_it_is_a_coin() -> None:
    names: list[Any] = ["xyz:TSLA", "xyz:GONE", "<b>", 7, None]
    universe = [{"name": name, "isDelisted": name != "xyz:TSLA"} for name in names]
    assert delisted({"universe": universe}) == ["xyz:GONE"]
