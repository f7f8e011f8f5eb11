"""The groups of signals."""

from datetime import UTC, datetime
from math import inf, nextafter
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hip3_tasks.analysis.measure.grouping import EDGE_BREAKS_BPS, EDGES, HOURS, By
from hip3_tasks.domain.sessions import session_at

NEW_YORK = ZoneInfo("America/New_York")


def ms(text: str, zone: Any = NEW_YORK) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


def groups(by: By, *, at_ms: list[int], edges_bps: list[float] | None = None) -> list[Any]:
    edges_bps = edges_bps or [10.0] * len(at_ms)
    frame = pl.DataFrame({"market_key": "xyz:A", "side": "buy", "at": at_ms, "edge": edges_bps}).cast(
        {"at": pl.Int64, "edge": pl.Float64, "market_key": pl.Categorical(), "side": pl.Enum(["buy", "sell"])}
    )
    column = by.groups(frame, timestamp="at", edge="edge")
    assert column.name == "group"
    return [str(group) for group in column.to_list()]


@pytest.mark.parametrize(
    ("there", "session"),
    [
        ("2026-11-23 09:29:59.999", "extended"),
        ("2026-11-23 09:30:00", "regular"),
        ("2026-11-23 15:59:59.999", "regular"),
        ("2026-11-23 16:00:00", "extended"),
        ("2026-11-24 00:00:00", "extended"),
        ("2026-11-27 15:59:59.999", "regular"),
        ("2026-11-27 19:59:59.999", "extended"),
        ("2026-11-27 20:00:00", "weekend"),
        ("2026-11-28 12:00:00", "weekend"),
        ("2026-11-29 19:59:59.999", "weekend"),
        ("2026-11-29 20:00:00", "extended"),
        # Clocks went forward on Sunday 2026-03-08 at 02:00 and back on Sunday 2026-11-01 at 02:00.
        ("2026-03-06 09:30:00", "regular"),
        ("2026-03-09 09:29:59.999", "extended"),
        ("2026-03-09 09:30:00", "regular"),
        ("2026-03-08 19:59:59.999", "weekend"),
        ("2026-03-08 20:00:00", "extended"),
        ("2026-10-30 09:30:00", "regular"),
        ("2026-11-02 09:29:59.999", "extended"),
        ("2026-11-02 09:30:00", "regular"),
        ("2026-11-02 16:00:00", "extended"),
        ("2026-11-01 01:30:00", "weekend"),
        ("2026-11-01 19:59:59.999", "weekend"),
        ("2026-11-01 20:00:00", "extended"),
    ],
)
def test_sessions_begin_and_end_by_the_clock_of_new_york(there: str, session: str) -> None:
    assert groups(By.SESSION, at_ms=[ms(there)]) == [session]


def test_summer_time_moves_the_opening_in_utc() -> None:
    before, after = ms("2026-03-06 14:30", UTC), ms("2026-03-09 13:30", UTC)
    assert groups(By.SESSION, at_ms=[before, before - 1, after, after - 1]) == ["regular", "extended"] * 2


@given(st.integers(ms("2026-01-01"), ms("2029-01-01")))
def test_a_session_by_half_hours_is_the_session_of_the_instant(at_ms: int) -> None:
    assert groups(By.SESSION, at_ms=[at_ms]) == [str(session_at(at_ms))]


@pytest.mark.parametrize(
    ("edge_bps", "name"),
    [
        (-3.0, "< 5 bps"),
        (0.0, "< 5 bps"),
        (nextafter(5.0, -inf), "< 5 bps"),
        (5.0, "5-7.5 bps"),
        (nextafter(7.5, -inf), "5-7.5 bps"),
        (7.5, "7.5-10 bps"),
        (nextafter(50.0, -inf), "30-50 bps"),
        (50.0, ">= 50 bps"),
        (1e6, ">= 50 bps"),
    ],
)
def test_an_edge_at_a_break_belongs_above_it(edge_bps: float, name: str) -> None:
    assert groups(By.EDGE, at_ms=[0], edges_bps=[edge_bps]) == [name]


def test_groups_of_edges_are_in_order_and_one_more_than_the_breaks() -> None:
    names = EDGES.categories.to_list()
    in_order = groups(By.EDGE, at_ms=[0] * 8, edges_bps=[0.0, *EDGE_BREAKS_BPS])
    assert in_order == names


def test_an_hour_is_of_utc() -> None:
    midnight_ms = ms("2026-11-22", UTC)
    hours = groups(By.HOUR, at_ms=[midnight_ms - 1, midnight_ms, midnight_ms + 3_599_999, midnight_ms + 3_600_000])
    assert hours == ["23:00", "00:00", "00:00", "01:00"]
    assert HOURS.categories.len() == 24


def test_market_and_side_group_by_their_values() -> None:
    assert groups(By.MARKET, at_ms=[0]) == ["xyz:A"]
    assert groups(By.SIDE, at_ms=[0]) == ["buy"]


@pytest.mark.parametrize("by", By)
def test_no_rows_have_no_groups(by: By) -> None:
    assert groups(by, at_ms=[], edges_bps=[]) == []
