"""Values for tests, made by hip3_tasks.testing; a test may also make them wrong on purpose."""

from collections.abc import Iterable
from typing import Any

from hip3_tasks.domain.capture import Capture
from hip3_tasks.domain.capture_result import CaptureResult
from hip3_tasks.domain.edge import Side
from hip3_tasks.domain.market import Market
from hip3_tasks.domain.records import Followup, Missed, MissedReason, Record, Signal, line_of
from hip3_tasks.testing.samples import T0_MS, make_followup, make_market, make_missed, make_signal

__all__ = [
    "DAY",
    "T0_MS",
    "a_calm_market",
    "a_capture",
    "a_followup",
    "a_market",
    "a_missed",
    "a_signal",
    "released",
    "texts",
]

DAY = "2026-11-22"
"""The day of T0_MS."""

a_market = make_market


def a_calm_market(*, at_ms: int = T0_MS, **changes: Any) -> Market:
    """A book around its oracle, with no side priced through it."""
    values: dict[str, Any] = {"bid_px": 249.9, "ask_px": 250.1, "oracle_px": 250.0}
    return a_market(at_ms=at_ms, **(values | changes))


def a_signal(
    coin: str = "xyz:TSLA",
    *,
    at_ms: int = T0_MS,
    side: Side = Side.BUY,
    market: Market | None = None,
    **changes: Any,
) -> Signal:
    """A signal; a test may set values that contradict the others."""
    signal = make_signal(coin, at_ms=at_ms, side=side, market=market)
    return Signal(**(vars(signal) | changes)) if changes else signal


def a_capture(signal: Signal | None = None, offset_ms: int = 1000) -> Capture:
    signal = signal or a_signal()
    return Capture(signal.signal_id, offset_ms, signal.market_key, signal.timestamp_ms)


def a_followup(signal: Signal | None = None, offset_ms: int = 1000, **changes: Any) -> Followup:
    """A follow-up; a test may set values that contradict the others."""
    return make_followup(signal, offset_ms).model_copy(update=changes)


def a_missed(
    signal: Signal | None = None,
    offset_ms: int = 1000,
    *,
    reason: MissedReason = MissedReason.FEED_GAP,
    **changes: Any,
) -> Missed:
    return make_missed(signal, offset_ms, reason=reason).model_copy(update=changes)


def released(record: Record) -> bytes:
    """The line that the first release would have written: without the fields that came later."""
    count = min(record.RELEASED, default=len(type(record).model_fields))
    return line_of(dict(list(vars(record).items())[:count]))


def texts(results: Iterable[CaptureResult | Exception]) -> list[str]:
    """Results as Flower and `celery call` show them."""
    return [str(result) for result in results]
