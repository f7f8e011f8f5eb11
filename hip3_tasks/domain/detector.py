"""Decides when a market's touch is priced so far through its oracle that it is a signal.

Laws, under any sequence of entries:
- a signal fires only on a change of the state (news) whose edge reaches the threshold;
- a (market, side) fires at most once per oracle value change, and at most once per cooldown;
- a market fires at most once per millisecond;
- nothing fires on a book that is one-sided or crossed, or that the ctx contradicts, or when no ctx came for longer
  than the limit that its entry names, or `ctx_max_age_ms` where it names none.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hip3_tasks.domain.capture import signal_id_of
from hip3_tasks.domain.conditions import Conditions, Fired, Memory
from hip3_tasks.domain.edge import Side, edge_bps, reaches
from hip3_tasks.domain.evidence import evidence
from hip3_tasks.domain.market import Entry, Gap, Market
from hip3_tasks.domain.records import Signal

SIDES = tuple(Side)
"""To iterate over the enumeration itself would take a twentieth of a frame's time."""
CTX_MAX_AGE_MS = 8_000
"""The age limit of a ctx for entries that name none."""

SLIPPAGE_BPS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The settings of the detector. The threshold of a market is fee + slippage + min edge, in bps."""

    min_edge_bps: float = 5.0
    slippage_bps: float = SLIPPAGE_BPS
    thresholds_bps: Mapping[str, float] = field(default_factory=dict)
    """Thresholds given per market, instead of the sum."""
    cooldown_ms: int = 500
    ctx_max_age_ms: int = CTX_MAX_AGE_MS
    offsets_ms: tuple[int, ...] = (1000, 3000, 5000)

    def threshold_bps(self, coin: str, taker_fee_bps: float) -> float:
        given = self.thresholds_bps.get(coin)
        return taker_fee_bps + self.slippage_bps + self.min_edge_bps if given is None else given


class Detector:
    """Turns the entries of a tape into signals. Not thread-safe; the feed's event loop owns it."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.dropped_same_ms = 0
        self._memory: defaultdict[str, Memory] = defaultdict(Memory)

    def resume(self, signals: Iterable[Signal]) -> None:
        """Continue after these signals, so that a restart repeats none."""
        for signal in signals:
            self._memory[signal.market_key].note(signal.side, Fired(signal.timestamp_ms, signal.oracle_px))

    def memory(self, coin: str) -> Memory:
        """A copy of what is remembered of a market, for a keyframe."""
        return self._memory[coin].copy()

    def observe(self, coin: str, entry: Entry) -> Signal | None:
        """The signal that an entry makes, or None. A market's entries come in their order."""
        market, conditions = entry.value, entry.conditions
        if conditions is None:
            return None
        if conditions.memory is not None:
            self._memory[coin] = conditions.memory.copy()
        if isinstance(market, Gap) or not self._may_fire(market, conditions):
            return None
        threshold_bps, memory = conditions.threshold_bps, self._memory[coin]
        assert threshold_bps is not None
        for side in SIDES:
            touch_px = market.touch_px(side)
            assert touch_px is not None and market.oracle_px is not None
            if not reaches(side, touch_px=touch_px, oracle_px=market.oracle_px, threshold_bps=threshold_bps):
                continue
            if self._is_armed(memory, side, market, entry.at_ms):
                memory.note(side, Fired(entry.at_ms, market.oracle_px))
                return signal_on(entry, coin, side, rules=self.rules)
        return None

    def _may_fire(self, market: Market, conditions: Conditions) -> bool:
        limit_ms = conditions.witness.limit_ms
        return (
            conditions.is_news
            and conditions.is_judged
            and not conditions.is_doubted
            and conditions.threshold_bps is not None
            and market.oracle_px is not None
            and market.is_two_sided
            and conditions.ctx_age_ms is not None
            and conditions.ctx_age_ms <= (self.rules.ctx_max_age_ms if limit_ms is None else limit_ms)
        )

    def _is_armed(self, memory: Memory, side: Side, market: Market, at_ms: int) -> bool:
        last = memory.fired.get(side)
        if last is not None and (_is_spent(last, market) or at_ms - last.at_ms < self.rules.cooldown_ms):
            return False
        if at_ms <= max(map(memory.last_at_ms, SIDES)):
            self.dropped_same_ms += 1
            return False
        return True


def _is_spent(last: Fired, market: Market) -> bool:
    """Whether the oracle still has the value at which a side fired last."""
    if last.at_ms == market.oracle_at_ms:  # in one millisecond, the signal may have come before the oracle
        return last.oracle_px == market.oracle_px
    return last.at_ms > market.oracle_at_ms


def signal_on(entry: Entry, coin: str, side: Side, *, rules: Rules) -> Signal:
    """The signal on a side of an entry that has a touch, an oracle and a threshold, even below the threshold."""
    market, conditions, at_ms = entry.value, entry.conditions, entry.at_ms
    assert isinstance(market, Market) and conditions is not None and conditions.threshold_bps is not None
    touch_px, touch_sz, oracle_px = market.touch_px(side), market.touch_sz(side), market.oracle_px
    assert touch_px is not None and touch_sz is not None and oracle_px is not None
    raw_edge_bps = edge_bps(side, touch_px=touch_px, oracle_px=oracle_px)
    return Signal(
        timestamp_ms=at_ms,
        market_key=coin,
        side=side,
        raw_edge_bps=raw_edge_bps,
        net_edge_bps=raw_edge_bps - (conditions.taker_fee_bps or 0.0) - rules.slippage_bps,
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
        threshold_bps=conditions.threshold_bps,
        offsets_ms=rules.offsets_ms,
        trigger=conditions.trigger,
        taker_fee_bps=conditions.taker_fee_bps,
        slippage_bps=rules.slippage_bps,
        **evidence(entry, at_ms=at_ms),
    )
