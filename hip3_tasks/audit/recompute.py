"""Check that the numbers of a record follow from its own prices, and those of a follow-up from its signal's."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from hip3_tasks.domain.edge import Side, change_bps, edge_bps, markout_bps, mid_px, moved_bps
from hip3_tasks.domain.records import Followup, Missed, Signal

TOLERANCE = 1e-6
"""Relative, and absolute near zero."""


@dataclass(frozen=True, slots=True)
class Basis:
    """The values of a signal against which its follow-ups are measured."""

    market_key: str
    timestamp_ms: int
    side: Side
    oracle_px: float
    best_px: float
    raw_edge_bps: float
    mid_px: float | None


def faults_of_signal(signal: Signal) -> Iterator[str]:
    """The faults of a signal's own numbers, in words."""
    yield from _touch(signal)
    edge = edge_bps(signal.side, touch_px=signal.best_px, oracle_px=signal.oracle_px)
    yield from _differs("raw_edge_bps", signal.raw_edge_bps, edge)
    if signal.net_edge_bps > signal.raw_edge_bps + TOLERANCE:
        yield f"net_edge_bps {signal.net_edge_bps} is more than raw_edge_bps {signal.raw_edge_bps}"


def faults_of_followup(followup: Followup, basis: Basis) -> Iterator[str]:
    """The faults of a follow-up of a signal, in words."""
    yield from _identity(followup, basis)
    yield from _differs("t0_oracle_px", followup.t0_oracle_px, basis.oracle_px)
    yield from _differs("t0_best_px", followup.t0_best_px, basis.best_px)
    yield from _differs("t0_raw_edge_bps", followup.t0_raw_edge_bps, basis.raw_edge_bps)
    yield from _touch(followup)
    edge = edge_bps(followup.side, touch_px=followup.best_px, oracle_px=followup.oracle_px)
    yield from _differs("raw_edge_bps", followup.raw_edge_bps, edge)
    change = change_bps(t0_edge_bps=followup.t0_raw_edge_bps, edge_bps=followup.raw_edge_bps)
    yield from _differs("edge_change_bps", followup.edge_change_bps, change)
    oracle_moved = moved_bps(from_px=followup.t0_oracle_px, to_px=followup.oracle_px)
    yield from _differs("oracle_moved_bps", followup.oracle_moved_bps, oracle_moved)
    market_moved = moved_bps(from_px=followup.t0_best_px, to_px=followup.best_px)
    yield from _differs("market_moved_bps", followup.market_moved_bps, market_moved)
    mid = mid_px(followup.bid_px, followup.ask_px)
    markout = markout_bps(basis.side, mid_t0_px=basis.mid_px, mid_t_px=mid)
    yield from _differs("markout_bps", followup.markout_bps, markout)
    if followup.state_at_ms > followup.due_at_ms:
        yield f"state_at_ms {followup.state_at_ms} is after due_at_ms {followup.due_at_ms}"


def faults_of_missed(missed: Missed, basis: Basis) -> Iterator[str]:
    yield from _identity(missed, basis)


def _identity(record: Followup | Missed, basis: Basis) -> Iterator[str]:
    if record.market_key != basis.market_key:
        yield f"market_key is {record.market_key}, the signal's is {basis.market_key}"
    if record.side is not basis.side:
        yield f"side is {record.side}, the signal's is {basis.side}"
    if record.signal_timestamp_ms != basis.timestamp_ms:
        yield f"signal_timestamp_ms is {record.signal_timestamp_ms}, the signal's is {basis.timestamp_ms}"
    due_at_ms = record.signal_timestamp_ms + record.offset_ms
    if record.due_at_ms != due_at_ms:
        yield f"due_at_ms is {record.due_at_ms}, expected {due_at_ms}"


def _touch(record: Signal | Followup) -> Iterator[str]:
    is_buy = record.side is Side.BUY
    yield from _differs("best_px", record.best_px, record.ask_px if is_buy else record.bid_px)
    yield from _differs("best_size", record.best_size, record.ask_sz if is_buy else record.bid_sz)


def _differs(name: str, written: float | None, expected: float | None) -> Iterator[str]:
    if written is None or expected is None:
        is_same = written is expected
    else:
        is_same = math.isclose(written, expected, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    if not is_same:
        yield f"{name} is {written}, expected {expected}"
