"""Decides when a market's touch is priced so far through its oracle that it is a signal.

Laws, under any sequence of updates:
- a signal fires only on an update whose edge reaches the threshold;
- a (market, side) fires at most once per oracle value change, and at most once per cooldown;
- a market fires at most once per millisecond;
- nothing fires on a book that is one-sided or crossed, or when no oracle came for more than `ctx_max_age_ms`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hip3_tasks.domain.capture import signal_id_of
from hip3_tasks.domain.edge import Side, edge_bps, reaches
from hip3_tasks.domain.market import Market
from hip3_tasks.domain.records import Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The settings of the detector. The threshold of a market is fee + slippage + min edge, in bps."""

    min_edge_bps: float = 5.0
    slippage_bps: float = 1.0
    thresholds_bps: Mapping[str, float] = field(default_factory=dict)
    """Thresholds given per market, instead of the sum."""
    cooldown_ms: int = 500
    ctx_max_age_ms: int = 8000
    offsets_ms: tuple[int, ...] = (1000, 3000, 5000)

    def threshold_bps(self, coin: str, taker_fee_bps: float) -> float:
        given = self.thresholds_bps.get(coin)
        return taker_fee_bps + self.slippage_bps + self.min_edge_bps if given is None else given


@dataclass(slots=True)
class _Memory:
    """The signals of a market that decide whether the next one may fire."""

    oracle_px: float | None = None
    fired_at_ms: dict[Side, int] = field(default_factory=dict)
    spent: set[Side] = field(default_factory=set)


class Detector:
    """Turns updates into signals. Not thread-safe; the feed's event loop owns it."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.dropped_same_ms = 0
        self._memory: dict[str, _Memory] = {}

    def resume(self, signals: Iterable[Signal]) -> None:
        """Continue after these signals, oldest first, so that a restart repeats none."""
        for signal in signals:
            memory = self._memory.setdefault(signal.market_key, _Memory())
            self._note_oracle(memory, signal.oracle_px)
            self._note_fired(memory, signal.side, signal.timestamp_ms)

    def observe(self, coin: str, market: Market, *, taker_fee_bps: float, ctx_at_ms: int, at_ms: int) -> Signal | None:
        """The signal that this update of a market makes, or None."""
        memory = self._memory.setdefault(coin, _Memory())
        if market.oracle_px is None:
            return None
        self._note_oracle(memory, market.oracle_px)
        if not market.is_two_sided or at_ms - ctx_at_ms > self.rules.ctx_max_age_ms:
            return None
        threshold_bps = self.rules.threshold_bps(coin, taker_fee_bps)
        for side in Side:
            touch_px = market.touch_px(side)
            assert touch_px is not None
            if not reaches(side, touch_px=touch_px, oracle_px=market.oracle_px, threshold_bps=threshold_bps):
                continue
            if self._is_armed(memory, side, at_ms):
                self._note_fired(memory, side, at_ms)
                return signal_on(market, coin, side, rules=self.rules, taker_fee_bps=taker_fee_bps, at_ms=at_ms)
        return None

    def _note_oracle(self, memory: _Memory, oracle_px: float) -> None:
        if memory.oracle_px != oracle_px:
            memory.oracle_px = oracle_px
            memory.spent.clear()

    def _note_fired(self, memory: _Memory, side: Side, at_ms: int) -> None:
        memory.spent.add(side)
        memory.fired_at_ms[side] = at_ms

    def _is_armed(self, memory: _Memory, side: Side, at_ms: int) -> bool:
        if side in memory.spent or at_ms - memory.fired_at_ms.get(side, 0) < self.rules.cooldown_ms:
            return False
        if at_ms <= max(memory.fired_at_ms.values(), default=0):
            self.dropped_same_ms += 1
            return False
        return True


def signal_on(market: Market, coin: str, side: Side, *, rules: Rules, taker_fee_bps: float, at_ms: int) -> Signal:
    """The signal on a side of a market that has a touch and an oracle, even below the threshold."""
    touch_px, touch_sz, oracle_px = market.touch_px(side), market.touch_sz(side), market.oracle_px
    assert touch_px is not None and touch_sz is not None and oracle_px is not None
    raw_edge_bps = edge_bps(side, touch_px=touch_px, oracle_px=oracle_px)
    return Signal(
        timestamp_ms=at_ms,
        market_key=coin,
        side=side,
        raw_edge_bps=raw_edge_bps,
        net_edge_bps=raw_edge_bps - taker_fee_bps - rules.slippage_bps,
        oracle_px=oracle_px,
        best_px=touch_px,
        best_size=touch_sz,
        signal_id=signal_id_of(coin, at_ms),
        bid_px=market.bid_px,
        bid_sz=market.bid_sz,
        ask_px=market.ask_px,
        ask_sz=market.ask_sz,
        mark_px=market.mark_px,
        bbo_age_ms=at_ms - market.bbo_at_ms,
        oracle_age_ms=at_ms - market.oracle_at_ms,
        threshold_bps=rules.threshold_bps(coin, taker_fee_bps),
        offsets_ms=rules.offsets_ms,
    )
