"""The selection that a user types."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hip3_tasks.analysis.loading.selection import Selection
from hip3_tasks.errors import BadSelection
from tests.support.factories import T0_MS

DAY_MS = 86_400_000
MIDNIGHT_MS = T0_MS // DAY_MS * DAY_MS
"""The start of 2026-11-22."""


@pytest.mark.parametrize(
    ("text", "since_ms"),
    [
        ("2026-11-22", MIDNIGHT_MS),
        ("2026-11-22T00:00", MIDNIGHT_MS),
        ("2026-11-22 09:11:41.358", T0_MS),
        ("2026-11-22T09:11:41.358Z", T0_MS),
        ("2026-11-22T04:11:41.358-05:00", T0_MS),
        ("20261122", MIDNIGHT_MS),
        ("90s", T0_MS - 90_000),
        ("90m", T0_MS - 5_400_000),
        ("12h", T0_MS - 43_200_000),
        ("3d", T0_MS - 3 * DAY_MS),
        ("0s", T0_MS),
    ],
)
def test_an_instant_is_absolute_in_utc_or_relative_to_now(text: str, since_ms: int) -> None:
    assert Selection.from_options(since=text, at_ms=T0_MS) == Selection(since_ms=since_ms)
    assert Selection.from_options(until=text, at_ms=T0_MS) == Selection(until_ms=since_ms)


def test_a_date_is_from_midnight_to_midnight() -> None:
    assert Selection.from_options(date="2026-11-22", at_ms=0) == Selection(
        since_ms=MIDNIGHT_MS, until_ms=MIDNIGHT_MS + DAY_MS
    )


def test_a_word_may_hold_several_coins() -> None:
    selection = Selection.from_options(coins=["xyz:TSLA,xyz:NVDA", "io:A,xyz:TSLA"], at_ms=0)
    assert selection.coins == ("xyz:TSLA", "xyz:NVDA", "io:A")


def test_no_option_selects_all() -> None:
    selection = Selection.from_options(at_ms=T0_MS)
    assert selection == Selection()
    assert selection.has_day(0) and selection.has_day(MIDNIGHT_MS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"date": "22.11.2026"}, "--date: expected a day like 2026-01-20, was '22.11.2026'"),
        ({"date": "2026-02-30"}, "--date"),
        ({"date": ""}, "--date"),
        ({"date": "2026-11-22T12:00"}, "--date"),
        ({"date": "2026-11-22", "since": "2026-11-22"}, "either --date or --since and --until"),
        ({"date": "2026-11-22", "until": "3d"}, "either --date or --since and --until"),
        ({"since": "yesterday"}, "--since: expected 2026-01-20, 2026-01-20T14:30 or 90m, 12h, 3d, was 'yesterday'"),
        ({"until": "-3d"}, "--until"),
        ({"until": "3w"}, "--until"),
        ({"until": "9999999d"}, "--until"),
        ({"since": "٣d"}, "--since"),
        ({"since": "2026-11-22", "until": "2026-11-22"}, "--since 2026-11-22 is not before --until 2026-11-22"),
        ({"since": "1h", "until": "2h"}, "--since 1h is not before --until 2h"),
        ({"coins": ["TSLA"]}, "--coin: expected DEX:COIN, as in xyz:TSLA, was 'TSLA'"),
        ({"coins": ["xyz:TSLA", ""]}, "--coin"),
        ({"coins": ["xyz:TSLA "]}, "--coin"),
        ({"coins": ["xyz:TSLA,NVDA"]}, "--coin: expected DEX:COIN, as in xyz:TSLA, was 'NVDA'"),
    ],
)
def test_a_malformed_option_is_an_error(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadSelection) as raised:
        Selection.from_options(**options, at_ms=T0_MS)
    assert message in str(raised.value)


@given(st.text(max_size=30))
def test_any_text_is_an_instant_or_an_error(text: str) -> None:
    try:
        assert isinstance(Selection.from_options(since=text, at_ms=T0_MS).since_ms, int)
    except BadSelection as error:
        assert "--since" in str(error)


@given(st.integers(0, 3 * DAY_MS), st.integers(1, 3 * DAY_MS), st.integers(0, 6 * DAY_MS))
def test_a_day_is_read_exactly_if_it_may_hold_selected_signals(since_ms: int, length_ms: int, at_ms: int) -> None:
    selection = Selection(since_ms=since_ms, until_ms=since_ms + length_ms)
    days = [day for day in range(7) if selection.has_day(day * DAY_MS)]
    assert days == list(range(since_ms // DAY_MS, (since_ms + length_ms - 1) // DAY_MS + 1))
    if since_ms <= at_ms < since_ms + length_ms:
        assert at_ms // DAY_MS in days
