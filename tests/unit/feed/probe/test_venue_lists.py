"""The venue's lists of markets."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed.probe.venue_lists import VenueLists, odd_fee, read_dex, read_dex_names

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.sampled_from(["name", "universe", "x"]), values),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("asset", "form"),
    [
        ({}, None),
        ({"deployerFeeScale": "1.0"}, None),
        ({"deployerFeeScale": None, "lastFeeScaleChangeTime": "2026-09-01T00:00:00"}, None),
        ({"deployerFeeScale": 1.0}, "float 1.0"),
        ({"deployerFeeScale": "x"}, "str 'x'"),
        ({"deployerFeeScale": "1000"}, "str '1000'"),
        ({"feeScale": "1.0"}, "no deployerFeeScale, but feeScale"),
    ],
)
def test_a_fee_form_that_is_not_documented_is_named(asset: dict[str, Any], form: str | None) -> None:
    assert odd_fee(asset) == form


def test_the_busiest_markets_are_those_with_the_largest_volume() -> None:
    universe = [{"name": f"xyz:{name}"} for name in "ABC"] + [{"name": "xyz:D", "isDelisted": True}, {"name": 7}]
    dex = read_dex({"universe": universe}, [{"dayNtlVlm": "5"}, {"dayNtlVlm": "70.5"}, {"dayNtlVlm": None}])
    lists = VenueLists(dexes={"xyz": 1}, lists={"xyz": dex})
    assert lists.busiest(2) == ["xyz:B", "xyz:A"] and (dex.delisted, dex.unnamed) == (1, 1)
    assert lists.summary()["subscriptions_needed"] == 6


def test_dexes_keep_their_positions_in_the_list() -> None:
    assert read_dex_names([None, {"name": "xyz"}, None, {"name": "para"}]) == {"xyz": 1, "para": 3}


@given(JSON, JSON)
def test_any_answer_is_read_or_refused_with_one_error(meta: Any, ctxs: Any) -> None:
    for read in (lambda: read_dex(meta, ctxs), lambda: read_dex_names(meta)):
        try:
            read()
        except ValueError:
            pass
