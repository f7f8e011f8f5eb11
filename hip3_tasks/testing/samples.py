"""Markets, signals and follow-ups for tests, computed by the product's code, so that their numbers are consistent."""

from dataclasses import replace

from hip3_tasks.domain.capture import Capture
from hip3_tasks.domain.conditions import Conditions, CtxWitness, Trigger
from hip3_tasks.domain.detector import Rules, signal_on
from hip3_tasks.domain.edge import Side
from hip3_tasks.domain.market import Entry, Gap, Market
from hip3_tasks.domain.measure import measure
from hip3_tasks.domain.records import Followup, Missed, MissedReason, Signal

T0_MS = 1_795_338_701_358
"""2026-11-22 09:11:41.358 UTC."""
STATE_AGE_MS = 40
"""Age of the state in a sample follow-up, at its due time."""
LATENESS_MS = 3
"""Lateness of a sample follow-up."""


def make_market(
    *,
    at_ms: int = T0_MS,
    bid_px: float | None = 249.0,
    bid_sz: float | None = 3.0,
    ask_px: float | None = 249.5,
    ask_sz: float | None = 2.0,
    oracle_px: float | None = 250.0,
    mark_px: float | None = 249.75,
    bbo_time_ms: int | None = None,
    bbo_at_ms: int | None = None,
    oracle_at_ms: int | None = None,
    oracle_updates: int = 7,
) -> Market:
    """A market as received at `at_ms`. By default its ask is 20 bps below the oracle, which makes it a buy signal.

    Pass None for both price and size of an empty side.
    """
    return Market(
        bid_px=bid_px,
        bid_sz=bid_sz,
        ask_px=ask_px,
        ask_sz=ask_sz,
        oracle_px=oracle_px,
        mark_px=mark_px,
        bbo_time_ms=at_ms - 250 if bbo_time_ms is None else bbo_time_ms,
        bbo_at_ms=at_ms if bbo_at_ms is None else bbo_at_ms,
        oracle_at_ms=at_ms - 900 if oracle_at_ms is None else oracle_at_ms,
        oracle_updates=oracle_updates,
    )


def make_signal(
    coin: str = "xyz:TSLA",
    *,
    at_ms: int = T0_MS,
    side: Side = Side.BUY,
    market: Market | None = None,
    rules: Rules | None = None,
    taker_fee_bps: float = 9.0,
) -> Signal:
    """The signal on a market: by default on `make_market()`, or on its mirror image around the oracle for a sell.

    Threshold, net edge and offsets follow from the detector's `rules`; the edge may be below the threshold. Raises
    ValueError when the market has no oracle price or no quote on that side.
    """
    if market is None:
        market = make_market(at_ms=at_ms) if side is Side.BUY else make_market(at_ms=at_ms, bid_px=250.5, ask_px=251.0)
    if None in (market.touch_px(side), market.touch_sz(side), market.oracle_px):
        touch = "ask" if side is Side.BUY else "bid"
        raise ValueError(f"make_signal: a {side} signal needs {touch}_px, {touch}_sz and oracle_px, was {market}")
    rules = rules or Rules()
    threshold_bps = rules.threshold_bps(coin, taker_fee_bps)
    conditions = replace(_conditions(market), taker_fee_bps=taker_fee_bps, threshold_bps=threshold_bps)
    return signal_on(Entry(at_ms, market, conditions), coin, side, rules=rules)


def make_followup(signal: Signal | None = None, offset_ms: int = 1000, *, market: Market | None = None) -> Followup:
    """The follow-up of a signal, 3 ms late; by default the touch has moved half-way to the oracle.

    Raises ValueError when the market has no oracle price or no quote on the signal's side: use make_missed.
    """
    signal = signal or make_signal()
    state_at_ms = signal.timestamp_ms + offset_ms - STATE_AGE_MS
    market = market or _half_way_back(signal, at_ms=state_at_ms)
    outcome = _measured(signal, offset_ms, Entry(state_at_ms, market, _conditions(market)))
    if isinstance(outcome, Missed):
        raise ValueError(f"make_followup: this market gives a missed follow-up ({outcome.reason}), use make_missed")
    return outcome


def make_missed(
    signal: Signal | None = None, offset_ms: int = 1000, *, reason: MissedReason = MissedReason.FEED_GAP
) -> Missed:
    """A missed follow-up of a signal, with any reason."""
    signal = signal or make_signal()
    state_at_ms = signal.timestamp_ms + offset_ms - STATE_AGE_MS
    causes: dict[MissedReason, Market | Gap] = {
        MissedReason.FEED_GAP: Gap("connection lost"),
        MissedReason.NO_QUOTE: make_market(bid_px=None, bid_sz=None, ask_px=None, ask_sz=None),
        MissedReason.NO_ORACLE: make_market(oracle_px=None),
    }
    cause = causes.get(reason)
    outcome = _measured(signal, offset_ms, None if cause is None else Entry(state_at_ms, cause))
    assert isinstance(outcome, Missed)
    return outcome


def _conditions(market: Market) -> Conditions:
    """The conditions of a market whose book has just changed, 400 ms after a ctx that agrees with it."""
    witness = CtxWitness(market.mid_px, market.bid_px, market.ask_px, period_ms=3000, limit_ms=9000)
    return Conditions(is_news=True, is_judged=True, trigger=Trigger.BBO, has_lag=True, ctx_age_ms=400, witness=witness)


def _measured(signal: Signal, offset_ms: int, due: Entry | None) -> Followup | Missed:
    capture = Capture.from_ids(signal.signal_id, offset_ms)
    t0 = Entry(signal.timestamp_ms, make_market(at_ms=signal.timestamp_ms))
    return measure(signal, capture, due=due, t0=t0, at_ms=capture.due_at_ms + LATENESS_MS)


def _half_way_back(signal: Signal, *, at_ms: int) -> Market:
    """The signal's book, moved so that its touch is half as far from the oracle, after one oracle update."""
    moved_px = (signal.oracle_px - signal.best_px) / 2
    return make_market(
        at_ms=at_ms,
        bid_px=None if signal.bid_px is None else signal.bid_px + moved_px,
        bid_sz=signal.bid_sz,
        ask_px=None if signal.ask_px is None else signal.ask_px + moved_px,
        ask_sz=signal.ask_sz,
        oracle_px=signal.oracle_px,
        mark_px=signal.mark_px,
        oracle_updates=8,
    )
