"""Values for tests, right in every number unless a test changes one on purpose."""

from typing import Any

from hip3_tasks.capture import Capture, signal_id_of
from hip3_tasks.edge import Side, edge_bps
from hip3_tasks.followups import measure
from hip3_tasks.market import Entry, Market
from hip3_tasks.records import Followup, Missed, MissedReason, Signal

T0_MS = 1_795_338_701_358
"""2026-11-22 09:11:41.358 UTC."""
DAY = "2026-11-22"


def a_market(*, at_ms: int = T0_MS, **changes: Any) -> Market:
    """A two-sided book whose ask is 20 bps under the oracle, as received at an instant."""
    values: dict[str, Any] = {
        "bid_px": 249.0,
        "bid_sz": 3.0,
        "ask_px": 249.5,
        "ask_sz": 2.0,
        "oracle_px": 250.0,
        "mark_px": 249.75,
        "bbo_time_ms": at_ms - 250,
        "bbo_at_ms": at_ms,
        "oracle_at_ms": at_ms - 900,
        "oracle_updates": 7,
    }
    return Market(**(values | changes))


def a_calm_market(*, at_ms: int = T0_MS, **changes: Any) -> Market:
    """A book around its oracle: no side is priced through it."""
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
    """A signal on a market; on `a_market` by default, mirrored at the oracle for a sell."""
    if market is None:
        mirrored = {"bid_px": 250.5, "ask_px": 251.0} if side is Side.SELL else {}
        market = a_market(at_ms=at_ms, **mirrored)
    touch_px, oracle_px = market.touch_px(side), market.oracle_px
    assert touch_px is not None and oracle_px is not None
    raw_edge_bps = edge_bps(side, touch_px=touch_px, oracle_px=oracle_px)
    values: dict[str, Any] = {
        "timestamp_ms": at_ms,
        "market_key": coin,
        "side": side,
        "raw_edge_bps": raw_edge_bps,
        "net_edge_bps": raw_edge_bps - 10.0,
        "oracle_px": oracle_px,
        "best_px": touch_px,
        "best_size": market.touch_sz(side),
        "signal_id": signal_id_of(coin, at_ms),
        "bid_px": market.bid_px,
        "bid_sz": market.bid_sz,
        "ask_px": market.ask_px,
        "ask_sz": market.ask_sz,
        "mark_px": market.mark_px,
        "bbo_age_ms": at_ms - market.bbo_at_ms,
        "oracle_age_ms": at_ms - market.oracle_at_ms,
        "threshold_bps": 15.0,
        "offsets_ms": (1000, 3000, 5000),
    }
    return Signal(**(values | changes))


def a_capture(signal: Signal | None = None, offset_ms: int = 1000) -> Capture:
    signal = signal or a_signal()
    return Capture(signal.signal_id, offset_ms, signal.market_key, signal.timestamp_ms)


def a_followup(signal: Signal | None = None, offset_ms: int = 1000, **changes: Any) -> Followup:
    """What a worker records when the book has come half-way to the oracle by the due time."""
    signal = signal or a_signal()
    capture = a_capture(signal, offset_ms)
    state_at_ms = capture.due_at_ms - 40
    nearer = {"ask_px": 249.75, "bid_px": 249.25} if signal.side is Side.BUY else {"bid_px": 250.25, "ask_px": 250.75}
    due = Entry(state_at_ms, a_market(at_ms=state_at_ms, oracle_updates=8, **nearer))
    t0 = Entry(signal.timestamp_ms, a_market(at_ms=signal.timestamp_ms))
    found = measure(signal, capture, due=due, t0=t0, at_ms=capture.due_at_ms + 3)
    assert isinstance(found, Followup)
    return found.model_copy(update=changes)


def a_missed(
    signal: Signal | None = None,
    offset_ms: int = 1000,
    *,
    reason: MissedReason = MissedReason.FEED_GAP,
    **changes: Any,
) -> Missed:
    signal = signal or a_signal()
    capture = a_capture(signal, offset_ms)
    values: dict[str, Any] = {
        "signal_id": signal.signal_id,
        "market_key": signal.market_key,
        "side": signal.side,
        "signal_timestamp_ms": signal.timestamp_ms,
        "offset_ms": offset_ms,
        "captured_at_ms": capture.due_at_ms + 3,
        "due_at_ms": capture.due_at_ms,
        "reason": reason,
        "detail": "connection lost" if reason is MissedReason.FEED_GAP else None,
    }
    return Missed(**(values | changes))
