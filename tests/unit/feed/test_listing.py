"""A `meta` answer becomes a listing, however odd its markets are."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed.listing import Listing, dex_of_meta, read_listing, taker_fee_bps


@pytest.mark.parametrize(
    ("asset", "fee_bps"),
    [
        ({}, 9.0),
        ({"deployerFeeScale": None}, 9.0),
        ({"deployerFeeScale": "1.0"}, 9.0),
        ({"deployerFeeScale": 1.0}, 9.0),
        ({"deployerFeeScale": 0}, 4.5),
        ({"deployerFeeScale": "1.0", "growthMode": "enabled"}, 0.9),
        ({"deployerFeeScale": "0.5"}, 6.75),
        ({"deployerFeeScale": "2.0", "growthMode": "disabled"}, 18.0),
        ({"deployerFeeScale": "0.0"}, 4.5),
        ({"deployerFeeScale": "1.0", "lastFeeScaleChangeTime": "2026-09-01T00:00:00"}, 9.0),
        ({"lastFeeScaleChangeTime": "1970-01-01T00:00:00"}, 9.0),
    ],
)
def test_the_taker_fee_follows_from_scale_and_growth_mode(asset: dict[str, Any], fee_bps: float) -> None:
    assert taker_fee_bps(asset) == pytest.approx(fee_bps)


ODD_SCALES = ["x", "1_0", "١", "１", "NaN", "inf", "-1", "1e", " 1", "", "101", -2, 101.0, float("nan"), True, [], {}]


@pytest.mark.parametrize("scale", ODD_SCALES)
def test_a_scale_that_is_no_plain_number_is_no_fee(scale: Any) -> None:
    with pytest.raises(ValueError, match=r"plain number|deployerFeeScale"):
        taker_fee_bps({"deployerFeeScale": scale})


@pytest.mark.parametrize("field", ["feeScale", "takerFeeScale", "deployer_fee_scale", "feeRate", "takerFeeBps"])
def test_a_scale_under_another_name_is_no_fee(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        taker_fee_bps({field: "1.0"})


def test_a_market_whose_fee_is_not_understood_has_the_highest_fee_of_its_dex() -> None:
    def listing(*scales: Any) -> Listing:
        markets = [{"name": f"xyz:M{number}", "deployerFeeScale": scale} for number, scale in enumerate(scales)]
        return read_listing({"universe": markets})

    assert listing("0.5", "x").live == {"xyz:M0": 6.75, "xyz:M1": 9.0}
    assert listing("2.0", "x", []).live == {"xyz:M0": 18.0, "xyz:M1": 18.0, "xyz:M2": 18.0}
    assert listing("2.0", "x", []).assumed == {"xyz:M1", "xyz:M2"}


def test_delisted_markets_and_names_that_are_no_coin_are_left_out() -> None:
    names: list[Any] = ["xyz:TSLA", "xyz:GONE", "BTC", "xyz:\nforged", "xyz:A|B", 7, None]
    assets: list[Any] = [{"name": name} for name in names]
    assets[1]["isDelisted"] = True
    listing = read_listing({"universe": [*assets, None, "xyz:TEXT", {}]})
    assert (set(listing.live), listing.delisted) == ({"xyz:TSLA"}, ("xyz:GONE",))


@pytest.mark.parametrize(
    "meta", [None, [], "html", 7, {}, {"universe": None}, {"universe": {}}, {"universe": [{"coin": "xyz:A"}]}]
)
def test_an_answer_without_a_market_that_can_be_read_is_no_listing(meta: Any) -> None:
    assert dex_of_meta(meta) is None
    with pytest.raises(ValueError, match="the answer"):
        read_listing(meta)


def test_an_empty_list_is_a_listing() -> None:
    assert read_listing({"universe": []}) == Listing(live={})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["name", "universe"]), inner),
)
FIELDS = ["name", "isDelisted", "deployerFeeScale", "growthMode", "feeScale"]
ASSETS = st.dictionaries(st.sampled_from(FIELDS), JSON | st.sampled_from(["xyz:A", "xyz:B", "1.0", "enabled"]))


@given(JSON | st.fixed_dictionaries({"universe": st.lists(ASSETS | JSON)}))
def test_any_answer_is_a_listing_with_positive_fees_or_the_one_error(meta: Any) -> None:
    try:
        listing = read_listing(meta)
    except ValueError:
        return
    assert all(fee_bps > 0 for fee_bps in listing.live.values())
    assert listing.assumed <= listing.live.keys()


def listing_of(count: int, first: int = 0) -> Listing:
    return Listing(live={f"xyz:M{number}": 9.0 for number in range(first, first + count)})


@pytest.mark.parametrize(
    ("before", "after", "is_too_much"),
    [
        (listing_of(2), listing_of(1), False),
        (listing_of(20), listing_of(17), False),
        (listing_of(20), listing_of(16), True),
        (listing_of(100), listing_of(90), False),
        (listing_of(100), listing_of(89), True),
        (listing_of(1), listing_of(0), True),
        (listing_of(4), listing_of(4, first=4), True),
        (listing_of(0), listing_of(0), False),
        (listing_of(5), listing_of(50), False),
    ],
)
def test_a_few_markets_may_be_dropped_by_one_reading(before: Listing, after: Listing, is_too_much: bool) -> None:
    assert before.drops_too_much(after) is is_too_much


COINS = st.frozensets(st.sampled_from([f"xyz:M{number}" for number in range(8)]))


@given(COINS, COINS)
def test_two_readings_drop_only_what_neither_has(first: frozenset[str], second: frozenset[str]) -> None:
    readings = [Listing(live=dict.fromkeys(coins, 9.0), assumed=coins) for coins in (first, second)]
    confirmed = readings[0].confirmed_by(readings[1])
    assert confirmed.live.keys() == confirmed.assumed == first | second
