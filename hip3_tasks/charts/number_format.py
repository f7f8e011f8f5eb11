"""Number formats for people: the terminal and the page show the same number in the same way."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from hip3_tasks.domain.capture import HOUR_MS, MINUTE_MS
from hip3_tasks.stats.bootstrap import REPLICATES, Estimate

MISSING = "–"
MINUS = "\N{MINUS SIGN}"
GAP = "\N{NO-BREAK SPACE}"
"""Stands between a number and its unit, so that no line breaks there."""

Format = Callable[[Any], str]


def bps(value: float | None) -> str:
    """A move or a result in bps, with its sign: `+1.20`, `−0.35`. A value that rounds to 0 has no sign."""
    return MISSING if value is None else _signed(f"{value:+,.2f}")


def level(value: float | None) -> str:
    """A level in bps, such as a threshold or a cost: `6.90`."""
    return MISSING if value is None else f"{value:,.2f}".replace("-", MINUS)


def ratio(value: float | None) -> str:
    """A ratio, for example of two edges: `0.62`, `−0.10`."""
    return MISSING if value is None else _signed(f"{value:+,.2f}").removeprefix("+")


def share(value: float | None) -> str:
    """A measured share of 1 in percent: `61.2 %`."""
    return MISSING if value is None else f"{value * 100:.1f}{GAP}%"


def percent(value: float | None) -> str:
    """A chosen share of 1 in percent, such as a level: `90 %`."""
    return MISSING if value is None else f"{value * 100:g}{GAP}%"


def count(value: float | None) -> str:
    return MISSING if value is None else f"{value:,.0f}"


def usd(value: float | None) -> str:
    """An amount of dollars, with a minus sign where it was lost: `2,140`, `−3.20`."""
    if value is None:
        return MISSING
    return _signed(f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}")


def ms(value: float | None) -> str:
    return MISSING if value is None else f"{value:,.0f}{GAP}ms"


def horizon(offset_ms: int) -> str:
    """The time from the signal to a follow-up: `1 s`, `0.25 s`."""
    return f"{offset_ms / 1000:,.10g}{GAP}s"


def seconds(value: float | None) -> str:
    """`1.4 s`"""
    return MISSING if value is None else f"{value:,.1f}{GAP}s"


def chance(p: float | None) -> str:
    """A probability from replicates: `0.012`, or `< 0.001` if it is below one replicate's share."""
    if p is None:
        return MISSING
    return f"{p:.3f}" if p >= 1 / REPLICATES else f"<{GAP}{1 / REPLICATES:.3f}"


def band(estimate: Estimate, format: Format) -> str:
    """The ends of the band: `−0.35 … +0.41`, or missing."""
    if estimate.low is None or estimate.high is None:
        return MISSING
    return f"{format(estimate.low)}{GAP}…{GAP}{format(estimate.high)}"


def instant(at_ms: int) -> str:
    """`2026-01-20 14:30:05 UTC`"""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}{GAP}UTC"


def duration(span_ms: int) -> str:
    """A length of time in its two greatest units: `48 h 24 min`, `24 min 0 s`, `12 s`."""
    hours, minutes, secs = span_ms // HOUR_MS, span_ms // MINUTE_MS % 60, span_ms // 1000 % 60
    if hours:
        return f"{hours:,}{GAP}h {minutes}{GAP}min"
    return f"{minutes}{GAP}min {secs}{GAP}s" if minutes else f"{secs}{GAP}s"


def _signed(text: str) -> str:
    if not text.strip("+-0.,"):
        return text.lstrip("+-")
    return text.replace("-", MINUS)
