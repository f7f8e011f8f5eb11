"""The groups of signals."""

from datetime import UTC, datetime
from math import inf, nextafter
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hip3_tasks.analysis.loading.schemas import KEY, SIGNALS
from hip3_tasks.analysis.measure.by import By, parse_by
from hip3_tasks.analysis.measure.grouping import BANDS, Grouping
from hip3_tasks.domain.sessions import session_at
from hip3_tasks.errors import BadSelection

NEW_YORK = ZoneInfo("America/New_York")


def ms(text: str, zone: Any = NEW_YORK) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


def signals(**columns: Any) -> pl.DataFrame:
    """Signals of one market with these values, and nulls."""
    empty = SIGNALS.empty(all_fields=False).drop(KEY)
    rows = pl.DataFrame({"market_key": "xyz:A", "side": "buy", **columns})
    return pl.concat([empty, rows.cast({name: empty.schema[name] for name in rows.columns})], how="diagonal")


def groups(
    *by: By, at_ms: list[int], edges_bps: list[float] | None = None, known: pl.DataFrame | None = None
) -> list[str]:
    edges_bps = edges_bps or [10.0] * len(at_ms)
    frame = pl.DataFrame({"market_key": "xyz:A", "side": "buy", "at": at_ms, "edge": edges_bps}).cast(
        {"at": pl.Int64, "edge": pl.Float64, "market_key": pl.Categorical(), "side": pl.Enum(["buy", "sell"])}
    )
    grouping = Grouping.from_signals(by, signals(timestamp_ms=at_ms) if known is None else known)
    group_codes = grouping.codes(frame, timestamp="at", edge="edge").tolist()
    names = grouping.names(group_codes)
    return [names[code] for code in group_codes]


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
    breaks = BANDS[By.EDGE].breaks
    in_order = groups(By.EDGE, at_ms=[0] * 8, edges_bps=[0.0, *breaks])
    assert in_order == BANDS[By.EDGE].names()[:-1]
    assert len(in_order) == len(breaks) + 1


def test_an_hour_is_of_utc() -> None:
    midnight_ms = ms("2026-11-22", UTC)
    hours = groups(By.HOUR, at_ms=[midnight_ms - 1, midnight_ms, midnight_ms + 3_599_999, midnight_ms + 3_600_000])
    assert hours == ["23:00", "00:00", "00:00", "01:00"]


def test_market_and_side_group_by_their_values() -> None:
    assert groups(By.MARKET, at_ms=[0]) == ["xyz:A"]
    assert groups(By.SIDE, at_ms=[0]) == ["buy"]


@pytest.mark.parametrize("by", By)
def test_no_rows_have_no_groups(by: By) -> None:
    assert groups(by, at_ms=[], edges_bps=[]) == []


@pytest.mark.parametrize(
    ("by", "column", "values", "names"),
    [
        (
            By.ORACLE_AGE,
            "oracle_age_ms",
            [0, 99, 100, 3000, None],
            ["< 100 ms", "< 100 ms", "100-300 ms", ">= 3000 ms"],
        ),
        (By.SPREAD, "spread_bps", [0.0, 1.0, 49.0, 50.0, None], ["< 1 bps", "1-2 bps", "20-50 bps", ">= 50 bps"]),
        (By.LAG, "lag_ms", [-3, 150, 999, 1000, None], ["< 150 ms", "150-250 ms", "500-1000 ms", ">= 1000 ms"]),
        (
            By.SIZE,
            "touch_usd",
            [9.0, 10.0, 1e4, 1e6, None],
            ["< 10 USD", "10-100 USD", "10000-100000 USD", ">= 100000 USD"],
        ),
        (By.TRIGGER, "trigger", ["bbo", "ctx", "bbo", "ctx", None], ["bbo", "ctx", "bbo", "ctx"]),
    ],
)
def test_a_property_of_the_signal_alone_is_found_by_market_and_time(
    by: By, column: str, values: list[Any], names: list[str]
) -> None:
    known = signals(timestamp_ms=[1, 2, 3, 4, 5], **{column: values})
    assert groups(by, at_ms=[1, 2, 3, 4, 5, 6], known=known) == [*names, "unknown", "unknown"]


def test_two_properties_make_one_group_in_the_order_of_both() -> None:
    known = signals(timestamp_ms=[1, 2], oracle_age_ms=[500, 50])
    assert groups(By.MARKET, By.ORACLE_AGE, at_ms=[1, 2], known=known) == ["xyz:A, 300-700 ms", "xyz:A, < 100 ms"]
    grouping = Grouping.from_signals((By.ORACLE_AGE, By.SIDE), known)
    assert list(grouping.names([5, 0, 3, 2])) == [0, 2, 3, 5]


@pytest.mark.parametrize("text", ["", "moon", "market,market", "market,side,hour", "market,", "Market"])
def test_no_other_words_are_properties(text: str) -> None:
    with pytest.raises(BadSelection, match=r"--by: expected one or two of market, side, .*, was '"):
        parse_by(text)
    assert parse_by("market,oracle-age") == (By.MARKET, By.ORACLE_AGE)
