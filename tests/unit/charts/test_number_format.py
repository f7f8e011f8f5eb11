"""Number formats: a sign for directions, a dash for missing values."""

import pytest

from hip3_tasks.charts import number_format as numerals
from hip3_tasks.stats.bootstrap import Estimate


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.2, "+1.20"), (-0.35, "−0.35"), (0.0, "0.00"), (-0.004, "0.00"), (0.004, "0.00"), (-1234.5, "−1,234.50")],
)
def test_bps_have_a_sign_unless_they_round_to_nothing(value: float, text: str) -> None:
    assert numerals.bps(value) == text


@pytest.mark.parametrize(
    "number_format",
    [
        numerals.bps,
        numerals.level,
        numerals.ratio,
        numerals.share,
        numerals.count,
        numerals.ms,
        numerals.seconds,
        numerals.chance,
    ],
)
def test_a_missing_value_is_a_dash_and_no_zero(number_format: numerals.Format) -> None:
    assert number_format(None) == "–"
    assert number_format(0.0) != "–"


def test_units_keep_to_their_numbers() -> None:
    assert numerals.share(0.6124) == "61.2\u00a0%"
    assert numerals.ms(12345) == "12,345\u00a0ms"
    assert [numerals.horizon(ms) for ms in (250, 1000, 60_000)] == [
        "0.25\u00a0s",
        "1\u00a0s",
        "60\u00a0s",
    ]
    assert numerals.seconds(1.44) == "1.4\u00a0s"
    assert numerals.count(4_402_100) == "4,402,100"


def test_a_ratio_shows_only_that_it_is_negative() -> None:
    assert [numerals.ratio(value) for value in (0.618, -0.1, -0.001)] == ["0.62", "−0.10", "0.00"]


def test_a_probability_is_never_shown_as_zero() -> None:
    assert [numerals.chance(p) for p in (0.5, 0.001, 0.0)] == ["0.500", "0.001", "<\u00a00.001"]


def test_a_band_is_two_numbers_or_none() -> None:
    assert numerals.band(Estimate(value=0.1, low=-0.35, high=0.41), numerals.bps) == "−0.35\u00a0…\u00a0+0.41"
    assert numerals.band(Estimate(value=0.1), numerals.bps) == "–"


def test_times_are_utc_and_spans_have_two_units() -> None:
    assert numerals.instant(1_768_919_405_999) == "2026-01-20 14:30:05\u00a0UTC"
    spans = [numerals.duration(ms) for ms in (174_240_000, 1_440_000, 12_000)]
    assert spans == [
        "48\u00a0h 24\u00a0min",
        "24\u00a0min 0\u00a0s",
        "12\u00a0s",
    ]
