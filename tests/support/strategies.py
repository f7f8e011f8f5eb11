"""Hypothesis strategies for all valid records, and for any JSON."""

from hypothesis import strategies as st

from hip3_tasks.domain.capture import MAX_OFFSET_MS, signal_id_of
from hip3_tasks.domain.conditions import Trigger
from hip3_tasks.domain.edge import Side
from hip3_tasks.domain.market import COIN
from hip3_tasks.domain.records import Followup, Missed, MissedReason, Signal

coins = st.from_regex(COIN, fullmatch=True)
sides = st.sampled_from(Side)
bps = st.floats(allow_nan=False, allow_infinity=False)
px = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
instants = st.integers(10**12, 10**13 - 1)
offsets = st.integers(1, MAX_OFFSET_MS)
ages = st.integers(0, 2**53)
book = {name: st.none() | px for name in ("bid_px", "bid_sz", "ask_px", "ask_sz", "mark_px")}
evidence = {
    "lag_ms": st.none() | st.integers(-(2**53), 2**53),
    "ctx_age_ms": st.none() | ages,
    "oracle_age_max_ms": st.none() | ages,
    "ctx_mid_px": st.none() | px,
    "impact_bid_px": st.none() | px,
    "impact_ask_px": st.none() | px,
}

signals = st.builds(
    lambda **values: Signal(signal_id=signal_id_of(values["market_key"], values["timestamp_ms"]), **values),
    timestamp_ms=instants,
    market_key=coins,
    side=sides,
    raw_edge_bps=bps,
    net_edge_bps=bps,
    oracle_px=px,
    best_px=px,
    best_size=px,
    **book,
    bbo_age_ms=ages,
    oracle_age_ms=ages,
    threshold_bps=bps,
    offsets_ms=st.lists(offsets, max_size=5).map(tuple),
    trigger=st.none() | st.sampled_from(Trigger),
    **evidence,
    taker_fee_bps=st.none() | bps,
    slippage_bps=st.none() | bps,
)
followups = st.builds(
    Followup,
    market_key=coins,
    side=sides,
    signal_timestamp_ms=instants,
    offset_ms=offsets,
    captured_at_ms=instants,
    t0_oracle_px=px,
    t0_best_px=px,
    t0_raw_edge_bps=bps,
    oracle_px=px,
    best_px=px,
    best_size=px,
    raw_edge_bps=bps,
    edge_change_bps=bps,
    oracle_moved_bps=bps,
    market_moved_bps=bps,
    due_at_ms=instants,
    state_at_ms=instants,
    **book,
    bbo_age_ms=ages,
    oracle_age_ms=ages,
    oracle_updates=st.none() | ages,
    markout_bps=st.none() | bps,
    **evidence,
)
missed = st.builds(
    Missed,
    market_key=coins,
    side=sides,
    signal_timestamp_ms=instants,
    offset_ms=offsets,
    captured_at_ms=instants,
    due_at_ms=instants,
    reason=st.sampled_from(MissedReason),
    detail=st.none() | st.text() | st.sampled_from(['":1e5,', '\\":1e-7}', '{"a":1e16}']),
)
records = signals | followups | missed
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=12) | st.dictionaries(st.text(), inner, max_size=12),
)
