"""Captures and the ids they are parsed from."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hip3_tasks.domain.capture import (
    DAY_MS,
    MAX_OFFSET_MS,
    Capture,
    day_start_ms,
    parse_signal_id,
    signal_id_of,
    utc_day,
)
from hip3_tasks.domain.capture_result import DAY_CLOSED, PENDING, CaptureResult, CaptureStatus
from hip3_tasks.domain.market import COIN
from hip3_tasks.domain.records import MissedReason
from hip3_tasks.errors import BadCapture
from tests.support.factories import DAY, T0_MS, a_followup, a_missed

coins = st.from_regex(COIN, fullmatch=True)
instants = st.integers(10**12, 10**13 - 1)
offsets = st.integers(1, MAX_OFFSET_MS)


@given(coin=coins, at_ms=instants, offset_ms=offsets)
def test_a_capture_is_the_same_after_a_trip_through_its_member(coin: str, at_ms: int, offset_ms: int) -> None:
    capture = Capture.from_ids(signal_id_of(coin, at_ms), offset_ms)
    assert (capture.market_key, capture.timestamp_ms, capture.offset_ms) == (coin, at_ms, offset_ms)
    assert Capture.from_member(capture.member) == capture
    assert Capture.from_task_id(capture.task_id) == capture
    assert re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", capture.day), "the only part of an id that a path is built from"


@given(signal_id=st.text() | st.from_regex(r"[a-c:-]*-[0-9]{12,14}", fullmatch=True))
def test_any_text_is_a_signal_id_in_its_only_form_or_a_bad_capture(signal_id: str) -> None:
    try:
        assert signal_id_of(*parse_signal_id(signal_id)) == signal_id
    except BadCapture:
        pass


@given(member=st.text() | st.from_regex(r"xyz:A-[0-9]{13}\|[0-9]{1,9}", fullmatch=True))
def test_any_member_is_a_capture_in_its_only_form_or_a_bad_capture(member: str) -> None:
    try:
        assert Capture.from_member(member).member == member
    except BadCapture:
        pass


@given(task_id=st.text() | st.from_regex(r"xyz:A-[0-9]{13}:[0-9]{1,9}(:[a-f]{8})?", fullmatch=True))
def test_any_task_id_is_that_of_a_capture_or_a_bad_capture(task_id: str) -> None:
    try:
        assert Capture.from_task_id(task_id).task_id == task_id
    except BadCapture:
        pass


@pytest.mark.parametrize(
    "offset", ["", "01000", "+1000", "1000.0", "١٠٠٠", "1_000", " 1000", "1" * 5000, "3600001", "0"]
)
def test_an_offset_written_any_other_way_is_no_member(offset: str) -> None:
    with pytest.raises(BadCapture):
        Capture.from_member(f"xyz:TSLA-{T0_MS}|{offset}")


@pytest.mark.parametrize(
    "signal_id",
    [
        None,
        5,
        b"xyz:TSLA-1795338701358",
        "",
        "xyz:TSLA",
        "xyz:TSLA-",
        "xyz:TSLA-179533870135",
        "xyz:TSLA-17953387013580",
        "xyz:TSLA-0795338701358",
        "xyz:TSLA-1795338701358\n",
        "TSLA-1795338701358",
        "xyz:TSLA-179533870135٨",
        "../../etc/passwd-1795338701358",
        "xyz:../../etc/passwd-1795338701358",
        "xyz:..\\etc-1795338701358",
        "xyz:TSLA\x00-1795338701358",
        "xyz:TSLA-1795338701358/../../x",
        "xyz:TSLA\nforged-1795338701358",
        "xyz:\x1b[2J-1795338701358",
        ["xyz:TSLA-1795338701358"],
    ],
)
def test_anything_but_a_signal_id_is_a_bad_capture(signal_id: Any) -> None:
    with pytest.raises(BadCapture, match="signal_id: expected 'DEX:COIN-MILLISECONDS', was"):
        Capture.from_ids(signal_id, 1000)


@pytest.mark.parametrize("offset_ms", [None, "1000", 1000.0, True, 0, -1, MAX_OFFSET_MS + 1])
def test_anything_but_an_offset_is_a_bad_capture(offset_ms: Any) -> None:
    with pytest.raises(BadCapture, match="offset_ms: expected 1 to 3600000, was"):
        Capture.from_ids(f"xyz:TSLA-{T0_MS}", offset_ms)


@given(signal_id=st.text() | st.none() | st.integers(), offset_ms=st.integers() | st.text() | st.none())
def test_any_task_arguments_are_a_capture_or_a_bad_capture(signal_id: Any, offset_ms: Any) -> None:
    try:
        Capture.from_ids(signal_id, offset_ms)
    except BadCapture:
        pass


def test_a_coin_that_looks_like_an_id_is_still_a_coin() -> None:
    capture = Capture.from_ids("xyz:A-1795338701358-1795338701359", 1000)
    assert (capture.market_key, capture.timestamp_ms) == ("xyz:A-1795338701358", 1795338701359)


def test_a_capture_is_due_its_offset_after_its_signal() -> None:
    capture = Capture.from_ids(f"xyz:TSLA-{T0_MS}", 3000)
    assert capture.due_at_ms == T0_MS + 3000
    assert capture.task_id == f"xyz:TSLA-{T0_MS}:3000"


def test_the_day_is_the_signals_utc_day_even_when_the_follow_up_is_due_on_the_next() -> None:
    midnight_ms = 1_795_392_000_000
    assert utc_day(midnight_ms - 1) == DAY
    assert utc_day(midnight_ms) == "2026-11-23"
    assert Capture.from_ids(f"xyz:TSLA-{midnight_ms - 1}", 5000).day == DAY


@given(at_ms=instants)
def test_a_day_begins_at_most_a_day_before_each_of_its_instants(at_ms: int) -> None:
    start_ms = day_start_ms(utc_day(at_ms))
    assert start_ms <= at_ms < start_ms + DAY_MS
    assert (utc_day(start_ms), utc_day(start_ms - 1)) == (utc_day(at_ms), utc_day(at_ms - DAY_MS))


@pytest.mark.parametrize("day", ["2026-02-30", "2026-13-01", "2026-00-01", "today"])
def test_a_day_that_does_not_exist_is_a_value_error(day: str) -> None:
    with pytest.raises(ValueError, match=r"day|month|isoformat"):
        day_start_ms(day)


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (CaptureResult.from_record(a_followup()), "captured"),
        (CaptureResult.from_record(a_followup(), already=True), "already captured"),
        (CaptureResult.from_record(a_missed(reason=MissedReason.NO_QUOTE)), "missed: no_quote"),
        (CaptureResult.from_record(a_missed(), already=True), "already missed: feed_gap"),
        (CaptureResult(CaptureStatus.ALREADY_MISSED), "already missed"),
        (DAY_CLOSED, "day closed"),
        (PENDING, "left pending: the tape is not complete at its due time yet"),
    ],
)
def test_a_result_is_shown_as_a_plain_sentence_and_all_but_pending_are_final(result: CaptureResult, text: str) -> None:
    assert repr(str(result)) == repr(text)
    assert result.is_final is (result is not PENDING)
