"""Check that the numbers of a record follow from its own prices, and those of a follow-up from its signal's."""

import math
from collections.abc import Iterator

from hip3_tasks.audit.ledger import LedgerSignal
from hip3_tasks.domain.edge import Side, change_bps, edge_bps, markout_bps, mid_px, moved_bps
from hip3_tasks.domain.records import MAX_BPS, Followup, Missed, Signal

TOLERANCE = 1e-6
"""Relative tolerance, and absolute tolerance near zero."""
_BPS = {kind: [name for name in kind.model_fields if name.endswith("_bps")] for kind in (Signal, Followup, Missed)}


def faults_of_signal(signal: Signal) -> Iterator[str]:
    """The faults of a signal's own numbers, in words."""
    yield from _touch(signal)
    yield from _differences(
        signal, raw_edge_bps=edge_bps(signal.side, touch_px=signal.best_px, oracle_px=signal.oracle_px)
    )
    if signal.net_edge_bps > signal.raw_edge_bps + TOLERANCE:
        yield f"net_edge_bps {signal.net_edge_bps} is more than raw_edge_bps {signal.raw_edge_bps}"
    if signal.taker_fee_bps is not None and signal.slippage_bps is not None:
        cost_bps = signal.taker_fee_bps + signal.slippage_bps
        yield from _differences(signal, net_edge_bps=signal.raw_edge_bps - cost_bps)


def faults_of_followup(followup: Followup, basis: LedgerSignal) -> Iterator[str]:
    """The faults of a follow-up of a signal, in words."""
    yield from faults_of_ids(followup, basis)
    yield from _differences(
        followup, t0_oracle_px=basis.oracle_px, t0_best_px=basis.best_px, t0_raw_edge_bps=basis.raw_edge_bps
    )
    yield from _touch(followup)
    mid = mid_px(followup.bid_px, followup.ask_px)
    yield from _differences(
        followup,
        raw_edge_bps=edge_bps(followup.side, touch_px=followup.best_px, oracle_px=followup.oracle_px),
        edge_change_bps=change_bps(t0_edge_bps=followup.t0_raw_edge_bps, edge_bps=followup.raw_edge_bps),
        oracle_moved_bps=moved_bps(from_px=followup.t0_oracle_px, to_px=followup.oracle_px),
        market_moved_bps=moved_bps(from_px=followup.t0_best_px, to_px=followup.best_px),
        markout_bps=markout_bps(basis.side, mid_t0_px=basis.mid_px, mid_t_px=mid),
    )
    if followup.state_at_ms > followup.due_at_ms:
        yield f"state_at_ms {followup.state_at_ms} is after due_at_ms {followup.due_at_ms}"


def faults_of_ids(record: Followup | Missed, basis: LedgerSignal) -> Iterator[str]:
    """The faults of the fields that say which capture a record belongs to, in words."""
    if record.market_key != basis.market_key:
        yield f"market_key is {record.market_key}, the signal's is {basis.market_key}"
    if record.side is not basis.side:
        yield f"side is {record.side}, the signal's is {basis.side}"
    if record.signal_timestamp_ms != basis.timestamp_ms:
        yield f"signal_timestamp_ms is {record.signal_timestamp_ms}, the signal's is {basis.timestamp_ms}"
    due_at_ms = record.signal_timestamp_ms + record.offset_ms
    if record.due_at_ms != due_at_ms:
        yield f"due_at_ms is {record.due_at_ms}, expected {due_at_ms}"


def is_too_large(record: Signal | Followup | Missed) -> bool:
    """Whether a number follows from prices, but from ones so odd that the report does not use it."""
    return any(abs(getattr(record, name) or 0) > MAX_BPS for name in _BPS[type(record)])


def _touch(record: Signal | Followup) -> Iterator[str]:
    is_buy = record.side is Side.BUY
    px, size = (record.ask_px, record.ask_sz) if is_buy else (record.bid_px, record.bid_sz)
    return _differences(record, best_px=px, best_size=size)


def _differences(record: Signal | Followup, **expected: float | None) -> Iterator[str]:
    for name, value in expected.items():
        written: float | None = getattr(record, name)
        if written is None or value is None:
            is_same = written is value
        else:
            is_same = math.isclose(written, value, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        if not is_same:
            yield f"{name} is {written}, expected {value}"
