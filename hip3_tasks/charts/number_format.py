"""How numbers are written for people, in the terminal and on the page: the same number looks the same in both."""

from collections.abc import Callable
from datetime import UTC, datetime

from hip3_tasks.domain.capture import HOUR_MS, MINUTE_MS
from hip3_tasks.stats.bootstrap import REPLICATES, Estimate

MISSING = "–"
MINUS = "\N{MINUS SIGN}"
GAP = "\N{NO-BREAK SPACE}"
"""Between a number and its unit, which no line end may part."""

Form = Callable[[float | None], str]


def bps(value: float | None) -> str:
    """Signed, since a move or a result has a direction: `+1.20`, `−0.35`; what rounds to nothing has no sign."""
    return MISSING if value is None else _signed(f"{value:+,.2f}")


def level(value: float | None) -> str:
    """Bps that are a level and no change, such as a threshold or a cost: `6.90`."""
    return MISSING if value is None else f"{value:,.2f}".replace("-", MINUS)


def ratio(value: float | None) -> str:
    """Of two edges, say: `0.62`, `−0.10`."""
    return MISSING if value is None else _signed(f"{value:+,.2f}").removeprefix("+")


def share(value: float | None) -> str:
    """A share of 1 in percent: `61.2 %`."""
    return MISSING if value is None else f"{value * 100:.1f}{GAP}%"


def percent(value: float | None) -> str:
    """A share that was chosen, not measured: `90 %`."""
    return MISSING if value is None else f"{value * 100:g}{GAP}%"


def count(value: float | None) -> str:
    return MISSING if value is None else f"{value:,.0f}"


def ms(value: float | None) -> str:
    return MISSING if value is None else f"{value:,.0f}{GAP}ms"


def horizon(offset_ms: int) -> str:
    """A follow-up's distance from T0: `1 s`, `0.25 s`."""
    return f"{offset_ms / 1000:,.10g}{GAP}s"


def seconds(value: float | None) -> str:
    """`1.4 s`"""
    return MISSING if value is None else f"{value:,.1f}{GAP}s"


def chance(p: float | None) -> str:
    """`0.012`; what none of the replicates did is not impossible: `< 0.001`."""
    if p is None:
        return MISSING
    return f"{p:.3f}" if p >= 1 / REPLICATES else f"<{GAP}{1 / REPLICATES:.3f}"


def band(estimate: Estimate, form: Form) -> str:
    """From low to high, or missing: `−0.35 … +0.41`."""
    if estimate.low is None or estimate.high is None:
        return MISSING
    return f"{form(estimate.low)}{GAP}…{GAP}{form(estimate.high)}"


def instant(at_ms: int) -> str:
    """`2026-01-20 14:30:05 UTC`"""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}{GAP}UTC"


def duration(span_ms: int) -> str:
    """`48 h 24 min`, `24 min`, `12 s`: the two greatest units say enough."""
    hours, minutes, secs = span_ms // HOUR_MS, span_ms // MINUTE_MS % 60, span_ms // 1000 % 60
    if hours:
        return f"{hours:,}{GAP}h {minutes}{GAP}min"
    return f"{minutes}{GAP}min {secs}{GAP}s" if minutes else f"{secs}{GAP}s"


def _signed(text: str) -> str:
    if not text.strip("+-0.,"):
        return text.lstrip("+-")
    return text.replace("-", MINUS)
