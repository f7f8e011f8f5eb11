"""Measure one follow-up: from a signal and two tape entries of its market to a record."""

from typing import Any

from hip3_tasks.domain.capture import Capture
from hip3_tasks.domain.edge import change_bps, edge_bps, markout_bps, mid_px, moved_bps
from hip3_tasks.domain.evidence import evidence
from hip3_tasks.domain.market import Entry, Gap, Market
from hip3_tasks.domain.records import Followup, Missed, MissedReason, Signal


def measure(signal: Signal, capture: Capture, *, due: Entry | None, t0: Entry | None, at_ms: int) -> Followup | Missed:
    """The record of a capture: a follow-up, or why there can be none.

    `due` and `t0` are the newest tape entries at or before the due time and the signal's time, None where the
    tape does not reach back that far; `at_ms` is the wall clock when they were read. The watermark must have
    reached the due time.
    """
    if due is None:
        return _missed(signal, capture, MissedReason.EXPIRED, at_ms=at_ms)
    market = due.value
    if isinstance(market, Gap):
        return _missed(signal, capture, MissedReason.FEED_GAP, detail=market.cause, at_ms=at_ms)
    best_px, best_size = market.touch_px(signal.side), market.touch_sz(signal.side)
    if best_px is None or best_size is None:
        return _missed(signal, capture, MissedReason.NO_QUOTE, at_ms=at_ms)
    if market.oracle_px is None:
        return _missed(signal, capture, MissedReason.NO_ORACLE, at_ms=at_ms)
    raw_edge_bps = edge_bps(signal.side, touch_px=best_px, oracle_px=market.oracle_px)
    return Followup(
        **_ids(signal, capture, at_ms=at_ms),
        t0_oracle_px=signal.oracle_px,
        t0_best_px=signal.best_px,
        t0_raw_edge_bps=signal.raw_edge_bps,
        oracle_px=market.oracle_px,
        best_px=best_px,
        best_size=best_size,
        raw_edge_bps=raw_edge_bps,
        edge_change_bps=change_bps(t0_edge_bps=signal.raw_edge_bps, edge_bps=raw_edge_bps),
        oracle_moved_bps=moved_bps(from_px=signal.oracle_px, to_px=market.oracle_px),
        market_moved_bps=moved_bps(from_px=signal.best_px, to_px=best_px),
        state_at_ms=due.at_ms,
        bid_px=market.bid_px,
        bid_sz=market.bid_sz,
        ask_px=market.ask_px,
        ask_sz=market.ask_sz,
        mark_px=market.mark_px,
        bbo_age_ms=capture.due_at_ms - market.bbo_at_ms,
        oracle_age_ms=capture.due_at_ms - market.oracle_at_ms,
        oracle_updates=_oracle_updates(t0, market),
        markout_bps=markout_bps(signal.side, mid_t0_px=mid_px(signal.bid_px, signal.ask_px), mid_t_px=market.mid_px),
        **evidence(due, at_ms=capture.due_at_ms),
    )


def _oracle_updates(t0: Entry | None, market: Market) -> int | None:
    if t0 is None or isinstance(t0.value, Gap) or t0.value.oracle_updates > market.oracle_updates:
        return None
    return market.oracle_updates - t0.value.oracle_updates


def _missed(signal: Signal, capture: Capture, reason: MissedReason, *, detail: str | None = None, at_ms: int) -> Missed:
    return Missed(**_ids(signal, capture, at_ms=at_ms), reason=reason, detail=detail)


def _ids(signal: Signal, capture: Capture, *, at_ms: int) -> dict[str, Any]:
    """The fields that say which capture a record belongs to, and when it was made."""
    return {
        "signal_id": signal.signal_id,
        "market_key": signal.market_key,
        "side": signal.side,
        "signal_timestamp_ms": signal.timestamp_ms,
        "offset_ms": capture.offset_ms,
        "captured_at_ms": at_ms,
        "due_at_ms": capture.due_at_ms,
    }
