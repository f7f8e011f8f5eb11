"""The operator gets a notice for each name in the settings that the venue does not list."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed.notices import MAX_NAMED, notices
from feed.universe import Universe, dex_of

LIVE = dict.fromkeys(("xyz:TSLA", "xyz:NVDA"), 0.9)
UNIVERSE = Universe(
    dexes=frozenset({"xyz", "para"}), dexes_read=frozenset({"xyz"}), live=LIVE, listed=frozenset({*LIVE, "xyz:GONE"})
)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, []),
        ({"dexes": ["xyz"], "coins": ["xyz:TSLA"], "thresholds": ["xyz:NVDA"]}, []),
        ({"dexes": ["xyz", "moon"]}, ["HIP3_DEXES: the venue has no dex moon"]),
        ({"dexes": ["paras"]}, ["HIP3_DEXES: the venue has no dex paras; did you mean para?"]),
        ({"coins": ["xyz:NOPE"]}, ["HIP3_COINS: the venue lists no xyz:NOPE"]),
        ({"coins": ["xyz:tsla"]}, ["HIP3_COINS: the venue lists no xyz:tsla; did you mean xyz:TSLA?"]),
        ({"coins": ["moon:TSLA"]}, ["HIP3_COINS: the venue lists no moon:TSLA"]),
        ({"coins": ["xyz:GONE"]}, ["HIP3_COINS: the venue lists, but does not trade, xyz:GONE"]),
        ({"dexes": ["xyz"], "coins": ["para:A"]}, ["HIP3_COINS: HIP3_DEXES has not the dex of para:A"]),
        ({"thresholds": ["xyz:TLSA"]}, ["HIP3_THRESHOLDS: the venue lists no xyz:TLSA; did you mean xyz:TSLA?"]),
        ({"thresholds": ["xyz:GONE"]}, []),
        ({"thresholds": ["moon:A"]}, ["HIP3_THRESHOLDS: the venue lists no moon:A"]),
        ({"thresholds": ["para:A"]}, []),  # that dex was not read
        (
            {"coins": [f"moon:{number:03}" for number in range(MAX_NAMED + 2)]},
            [
                *(f"HIP3_COINS: the venue lists no moon:{number:03}" for number in range(MAX_NAMED)),
                "HIP3_COINS: the venue lists no 2 more",
            ],
        ),
    ],
)
def test_a_name_that_the_venue_does_not_list_has_a_sentence(settings: dict[str, Any], expected: list[str]) -> None:
    assert notices(UNIVERSE, **{"dexes": [], "coins": [], "thresholds": [], **settings}) == expected


COINS = st.lists(st.sampled_from(["xyz:A", "xyz:B", "para:A", "para:B", "moon:A"]), unique=True)


@given(live=COINS, idle=COINS, asked=COINS, dexes=st.lists(st.sampled_from(["xyz", "para", "moon"]), unique=True))
def test_each_coin_that_is_not_live_has_one_sentence_and_no_other_has(
    live: list[str], idle: list[str], asked: list[str], dexes: list[str]
) -> None:
    read = frozenset(dexes or ("xyz", "para", "moon"))
    listings = {coin: 0.9 for coin in live if dex_of(coin) in read}
    listed = frozenset(listings) | {coin for coin in idle if dex_of(coin) in read}
    universe = Universe(dexes=frozenset({"xyz", "para", "moon"}), dexes_read=read, live=listings, listed=listed)
    sentences = notices(universe, dexes=dexes, coins=asked, thresholds=[])
    named = [next(coin for coin in sentence.replace(";", "").split() if coin in asked) for sentence in sentences]
    assert sorted(named) == sorted(coin for coin in asked if coin not in listings)
