"""The operator gets a notice for each name in the settings that the venue does not list."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed.notices import MAX_NAMED, Notices, assumed_fees, broken_dexes, notices
from feed.universe import Broken, Universe
from hip3_tasks.domain.market import dex_of
from hip3_tasks.settings import Settings

LIVE = dict.fromkeys(("xyz:TSLA", "xyz:NVDA"), 0.9)
UNIVERSE = Universe(dexes=frozenset({"xyz", "para"}), dexes_read=frozenset({"xyz"}), live=LIVE, delisted=("xyz:GONE",))


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
        ({"coins": ["para:A"], "thresholds": ["para:A"]}, []),  # that dex was not read
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


def test_nothing_is_missing_from_a_list_that_was_not_read() -> None:
    assert notices(Universe(), dexes=["xyz"], coins=["xyz:TSLA"], thresholds=["xyz:TSLA"]) == []


def broken(attempts: int) -> Broken:
    return Broken(cause="the venue answered 500", since_ms=1_795_338_701_358, attempts=attempts)


@pytest.mark.parametrize(
    ("dex", "attempts", "is_red", "effect"),
    [
        ("para", 1, False, "not followed"),
        ("para", 2, True, "not followed"),
        ("xyz", 9, False, "followed as last read"),
    ],
)
def test_a_dex_that_cannot_be_read_is_named_and_red_when_its_markets_are_not_followed(
    dex: str, attempts: int, is_red: bool, effect: str
) -> None:
    universe = Universe(dexes=UNIVERSE.dexes, dexes_read=frozenset({"xyz"}), broken={dex: broken(attempts)})
    notes = Notices(Settings())
    notes.update(universe)
    sentence = f"dex {dex}: the venue answered 500, since 09:11:41 UTC; its markets are {effect}"
    assert (notes.problems, notes.sentences) == (([sentence], []) if is_red else ([], [sentence]))
    assert notes.broken == [sentence]


def test_of_many_dexes_that_cannot_be_read_some_are_named_and_the_others_counted() -> None:
    universe = Universe(broken={f"t{number:03}": broken(2) for number in range(200)})
    sentences = broken_dexes(universe, are_red=True)
    assert len(sentences) == MAX_NAMED + 1
    assert sentences[-1] == "190 more dexes cannot be read"


def test_fees_that_are_assumed_are_named_with_their_markets() -> None:
    assumed = ["xyz:A", "xyz:B", "para:C"]
    universe = Universe(live={"xyz:A": 9.0, "xyz:B": 9.0, "para:C": 18.0}, assumed=frozenset(assumed))
    assert assumed_fees(universe, coins=()) == [
        "the taker fee of xyz:A, xyz:B is not understood; 9 bps is assumed",
        "the taker fee of para:C is not understood; 18 bps is assumed",
    ]
    assert assumed_fees(universe, coins=["xyz:B"]) == ["the taker fee of xyz:B is not understood; 9 bps is assumed"]


def test_dexes_that_are_still_to_be_read_and_a_venue_that_does_not_answer_are_told() -> None:
    notes = Notices(Settings())
    notes.update(Universe(dexes=frozenset("ab"), dexes_read=frozenset("a"), unread=frozenset("b"), trouble="429"))
    assert notes.sentences == ["the list of markets is not read at present: 429", "1 dex still to be read"]


COINS = st.lists(st.sampled_from(["xyz:A", "xyz:B", "para:A", "para:B", "moon:A"]), unique=True)


@given(live=COINS, idle=COINS, asked=COINS, dexes=st.lists(st.sampled_from(["xyz", "para", "moon"]), unique=True))
def test_each_coin_that_is_not_live_has_one_sentence_and_no_other_has(
    live: list[str], idle: list[str], asked: list[str], dexes: list[str]
) -> None:
    read = frozenset(dexes or ("xyz", "para", "moon"))
    listings = {coin: 0.9 for coin in live if dex_of(coin) in read}
    delisted = tuple(coin for coin in idle if dex_of(coin) in read)
    universe = Universe(dexes=frozenset({"xyz", "para", "moon"}), dexes_read=read, live=listings, delisted=delisted)
    sentences = notices(universe, dexes=dexes, coins=asked, thresholds=[])
    named = [next(coin for coin in sentence.replace(";", "").split() if coin in asked) for sentence in sentences]
    assert sorted(named) == sorted(coin for coin in asked if coin not in listings)
