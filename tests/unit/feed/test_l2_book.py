from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed.wire import Bbo, Level, touch_of

TIME_MS = 1_795_338_701_358
BID, ASK = {"px": "99.5", "sz": "3.0", "n": 1}, {"px": "100.5", "sz": "4.0", "n": 2}


def answer(bids: Any, asks: Any, **other: Any) -> dict[str, Any]:
    return {"coin": "xyz:TSLA", "time": TIME_MS, "levels": [bids, asks]} | other


def test_the_touch_is_the_first_level_of_each_side() -> None:
    deep = {"px": "1.0", "sz": "1.0", "n": 1}
    assert touch_of(answer([BID, deep], [ASK, deep]), "xyz:TSLA") == Bbo(
        "xyz:TSLA", TIME_MS, Level(99.5, 3.0), Level(100.5, 4.0)
    )
    assert touch_of(answer([], []), "xyz:TSLA") == Bbo("xyz:TSLA", TIME_MS, None, None)


@pytest.mark.parametrize(
    "odd",
    [
        None,
        [],
        "book",
        {},
        answer([BID], {}, levels=[[BID]]),
        answer([BID], [ASK], coin="xyz:AAPL"),
        answer([BID], [ASK], coin=None),
        answer([BID], [ASK], time="now"),
        answer([BID], [{"px": 100.5, "sz": "4"}]),
        answer([BID], [{"px": "0.0", "sz": "4"}]),
        answer(7, [ASK]),
    ],
)
def test_an_answer_that_is_no_book_of_the_coin_is_an_error(odd: Any) -> None:
    with pytest.raises(ValueError, match="the answer is"):
        touch_of(odd, "xyz:TSLA")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["px", "sz", "coin", "time", "levels"]), inner),
)


@given(JSON | st.builds(answer, JSON, JSON))
def test_any_answer_is_a_touch_or_the_one_error(odd: Any) -> None:
    try:
        assert isinstance(touch_of(odd, "xyz:TSLA"), Bbo)
    except ValueError:
        pass
