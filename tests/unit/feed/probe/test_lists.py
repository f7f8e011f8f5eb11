"""The venue's lists of markets."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed.info_requests import UniverseError
from feed.probe.probe import MAX_DEXES, VenueLists

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.sampled_from(["name", "universe", "x"]), values),
    max_leaves=12,
)


class Info:
    """An info endpoint with these dexes that gives one answer to all other questions."""

    def __init__(self, dexes: list[str], answer: Any) -> None:
        self._dexes, self._answer = dexes, answer
        self.questions: list[str] = []

    async def dex_names(self) -> dict[str, Any]:
        return dict.fromkeys(self._dexes)

    async def ask(self, question: dict[str, str]) -> Any:
        self.questions.append(question["type"])
        if question["type"] == "allPerpMetas":
            raise UniverseError("URL: allPerpMetas: the venue answered 422", why="the venue answered 422")
        return self._answer


def read(answer: Any, dexes: list[str]) -> VenueLists:
    lists = VenueLists()
    asyncio.run(lists.read(Info(dexes, answer)))  # type: ignore[arg-type]
    return lists


def test_the_busiest_markets_are_those_with_the_largest_volume() -> None:
    universe: list[dict[str, Any]] = [{"name": f"xyz:{name}"} for name in "ABC"]
    universe += [{"name": "xyz:D", "isDelisted": True}, {"name": 7}]
    lists = read([{"universe": universe}, [{"dayNtlVlm": "5"}, {"dayNtlVlm": "70.5"}, None]], ["xyz"])
    assert lists.busiest(2) == ["xyz:B", "xyz:A"] and lists.delisted == 1
    assert lists.summary()["subscriptions_needed"] == 6
    assert lists.broken == {"allPerpMetas": "the venue answered 422"}


@pytest.mark.parametrize(
    ("asset", "form"),
    [
        ({}, None),
        ({"deployerFeeScale": "1.0"}, None),
        ({"deployerFeeScale": 1.0}, None),
        ({"deployerFeeScale": None, "lastFeeScaleChangeTime": "2026-09-01T00:00:00"}, None),
        ({"deployerFeeScale": "x"}, "deployerFeeScale 'x'"),
        ({"feeScale": "1.0"}, "feeScale '1.0'"),
    ],
)
def test_a_fee_that_a_feed_would_not_understand_is_named(asset: dict[str, Any], form: str | None) -> None:
    lists = read([{"universe": [{"name": "xyz:A"} | asset]}, []], ["xyz"])
    assert lists.odd_fees.get("xyz:A") == form


def test_a_venue_with_very_many_dexes_is_not_asked_for_all() -> None:
    lists = read(None, [f"d{number}" for number in range(MAX_DEXES + 9)])
    reasons = list(lists.broken.values())
    assert reasons.count("not asked, since there are many") == 9
    assert reasons.count("the answer is no pair of meta and contexts") == MAX_DEXES


@given(JSON, JSON)
def test_any_answer_is_read_or_named_as_broken(meta: Any, ctxs: Any) -> None:
    lists = read([meta, ctxs], ["xyz"])
    assert lists.live or lists.delisted or lists.broken["xyz"]
