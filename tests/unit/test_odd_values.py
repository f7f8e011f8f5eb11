"""Impossible values in frames leave no data, and unusual ones no invalid number in the files."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hip3_tasks.domain.capture_result import CaptureResult
from hip3_tasks.domain.records import Followup, Missed, Signal
from tests.support.frame_pipeline import (
    NO_NUMBERS,
    ODD_NUMBERS,
    bbo_frame,
    ctx_frame,
    hold,
    impossible_frames,
    level,
    understood,
    wrong_in,
)

texts = st.text(alphabet="0123456789.eE+-_, \nxinfaN١１", max_size=40).map(json.dumps)
odd = st.sampled_from(ODD_NUMBERS)
values = odd | st.sampled_from([*NO_NUMBERS, "null"]) | texts
times = st.sampled_from(["1788330949235", "1788327349235", "1", "9999999999999", "10000000000000"]) | values


@st.composite
def frames(draw: st.DrawFn) -> str:
    """Frames; half of them have only valid numbers, so that they cause signals."""
    numbers = draw(st.sampled_from([odd, values]))
    if draw(st.booleans()):
        return ctx_frame(draw(numbers), draw(numbers))
    levels = draw(st.lists(st.builds(level, numbers, numbers) | st.just("null"), max_size=3))
    return bbo_frame(*levels, time_ms=draw(times))


def test_a_frame_with_one_impossible_number_is_refused_whole() -> None:
    assert [frame for frame in impossible_frames() if understood(frame) is not None] == []


@given(text=texts)
def test_a_text_is_a_number_only_as_the_venue_writes_it(text: str) -> None:
    understood(ctx_frame(text, "null"))
    understood(bbo_frame(level(text, text)))


@given(st.lists(frames(), max_size=12))
def test_no_frames_lead_to_an_invalid_number_in_a_line(frames: list[str]) -> None:
    hold(frames)


def book(bid_px: str, ask_px: str, *, time_ms: str = "1788330949235") -> str:
    return bbo_frame(level(bid_px, '"1"'), level(ask_px, '"1"'), time_ms=time_ms)


CALM, BOOK, TENFOLD = ctx_frame('"100"', '"100"'), book('"99.9"', '"100.1"'), ctx_frame('"1000"', '"100"')
CROSSED, NO_BID = book('"100.1"', '"99.9"'), bbo_frame("null", level('"100.1"', '"1"'))
NO_ASK, NO_ORACLE = bbo_frame(level('"99.9"', '"1"')), ctx_frame("null", "null")
EARLIER = book('"99.8"', '"100"', time_ms="1")


@pytest.mark.parametrize(
    ("frames", "outcomes"),
    [
        ([CALM, BOOK, TENFOLD], ["captured"] * 3),
        ([CALM, BOOK, TENFOLD, CROSSED], ["captured"] * 3),
        ([CALM, BOOK, TENFOLD, EARLIER], ["captured"] * 3),
        ([CALM, BOOK, TENFOLD, NO_BID], ["captured"] * 3),
        ([CALM, BOOK, TENFOLD, NO_ASK], ["missed: no_quote"] * 3),
        ([CALM, BOOK, TENFOLD, NO_ORACLE], ["missed: no_oracle"] * 3),
        ([CALM, BOOK, TENFOLD, *impossible_frames()], ["missed: feed_gap"] * 3),
        ([CALM, BOOK, TENFOLD, *list(impossible_frames())[:5], BOOK, BOOK], ["missed: feed_gap"] * 2 + ["captured"]),
        ([CALM, CROSSED, TENFOLD], []),
        ([CALM, NO_BID, TENFOLD], []),
    ],
    ids=[
        "tenfold",
        "crossed",
        "time back",
        "no bid",
        "no ask",
        "no oracle",
        "impossible",
        "known again",
        "crossed t0",
        "no bid t0",
    ],
)
def test_odd_legal_values_are_measured_or_missed_with_a_reason(frames: list[str], outcomes: list[str]) -> None:
    records = hold(frames)
    assert [str(CaptureResult.from_record(r)) for r in records if isinstance(r, Followup | Missed)] == outcomes
    assert sum(isinstance(record, Signal) for record in records) == len(outcomes) // 3


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-1.0", "0.0", "1e999", "null", '"1.0"', "1", "true", "[]"])
def test_an_invalid_price_in_a_line_is_detected(text: str) -> None:
    assert wrong_in(b'{"oracle_px":%s}' % text.encode())
    assert not wrong_in(b'{"oracle_px":1.5,"mark_px":null,"raw_edge_bps":-1.0}')
