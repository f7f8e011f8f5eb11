"""Signals and their times, and a tape with a different state at each instant, so that a wrong read shows."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from hip3_tasks.domain.capture import Capture, signal_id_of
from hip3_tasks.domain.edge import Side, edge_bps
from hip3_tasks.domain.market import Market
from hip3_tasks.domain.records import Signal
from hip3_tasks.store.tape import Stamped, stamp

OFFSETS_MS = (1000, 3000, 5000)
MARKETS = 200
ORACLE_PX = 100.0

WARM_UP_SIGNALS = 10
WARM_UP_OFFSETS_MS = (200, 300, 400)
WARM_UP_MS = 3_000
"""Time before the load, so that no figure includes the first capture of a process."""


@dataclass(frozen=True, slots=True)
class Workload:
    """The times of signals, in ms from the start, and their offsets."""

    name: str
    instants_ms: tuple[int, ...]
    offsets_ms: tuple[int, ...] = OFFSETS_MS

    @property
    def captures(self) -> int:
        return len(self.instants_ms) * len(self.offsets_ms)


def burst(signals: int) -> Workload:
    """One signal in each of `signals` markets at the same instant."""
    return Workload(f"burst {signals}", (0,) * signals)


def steady(rate: int, seconds: float, *, kind: str = "steady") -> Workload:
    """Evenly spaced signals, `rate` per second."""
    return Workload(f"{kind} {rate}/s", tuple(int(n * 1000 / rate) for n in range(int(rate * seconds))))


def many_pending(captures: int) -> Workload:
    """Captures that are all published before the first is due; they become due at the rate of publishing."""
    signals, publishing_ms = captures // 3, 40_000
    instants_ms = tuple(n * publishing_ms // signals for n in range(signals))
    return Workload(f"{captures:,} pending", instants_ms, (60_000, 100_000, 140_000))


class Plan:
    """A workload with a start time, after a warm-up."""

    def __init__(self, workload: Workload, *, begin_at_ms: int) -> None:
        self.main_at_ms = begin_at_ms + WARM_UP_MS
        self.warm_up = [_signal(n, begin_at_ms, WARM_UP_OFFSETS_MS) for n in range(WARM_UP_SIGNALS)]
        markets = max(MARKETS, workload.instants_ms.count(0))
        self.load = [
            _signal(number % markets, self.main_at_ms + ms, workload.offsets_ms)
            for number, ms in enumerate(workload.instants_ms)
        ]
        self.signals = self.warm_up + self.load
        self.last_due_at_ms = max(capture.due_at_ms for signal in self.signals for capture in signal.captures())
        self._instants_ms = _instants_ms(self.signals)

    def captures(self) -> list[Capture]:
        """The captures after the warm-up."""
        return [capture for signal in self.load for capture in signal.captures()]

    def entries(self) -> Iterator[Stamped]:
        """All entries of the tape, market by market."""
        for coin, instants_ms in self._instants_ms.items():
            for at_ms in instants_ms:
                yield stamp(coin, at_ms, 0, market_at(at_ms))

    def state_at_ms(self, capture: Capture) -> int:
        """The instant of the only correct entry for a follow-up."""
        instants_ms = self._instants_ms[capture.market_key]
        return instants_ms[bisect_right(instants_ms, capture.due_at_ms) - 1]


def market_at(at_ms: int) -> Market:
    """A market whose ask encodes the instant."""
    ask_px = 90 + at_ms % 1_000_000 / 1e6
    return Market(
        bid_px=ask_px - 0.01,
        bid_sz=3.0,
        ask_px=ask_px,
        ask_sz=2.0,
        oracle_px=ORACLE_PX,
        mark_px=ORACLE_PX,
        bbo_time_ms=at_ms,
        bbo_at_ms=at_ms,
        oracle_at_ms=at_ms,
        oracle_updates=7,
    )


def _instants_ms(signals: list[Signal]) -> dict[str, list[int]]:
    """Instants of each market's entries: just before each signal and due time, and right after each due time."""
    instants_ms: dict[str, set[int]] = defaultdict(set)
    for signal in signals:
        market_instants_ms = instants_ms[signal.market_key]
        market_instants_ms.add(signal.timestamp_ms - 5)
        for capture in signal.captures():
            market_instants_ms |= {capture.due_at_ms - 7, capture.due_at_ms + 1}
    return {coin: sorted(market_instants_ms) for coin, market_instants_ms in instants_ms.items()}


def _signal(number: int, at_ms: int, offsets_ms: tuple[int, ...]) -> Signal:
    coin, market = f"bench:M{number:05}", market_at(at_ms - 5)
    raw_edge_bps = edge_bps(Side.BUY, touch_px=market.ask_px, oracle_px=ORACLE_PX)
    return Signal(
        timestamp_ms=at_ms,
        market_key=coin,
        side=Side.BUY,
        raw_edge_bps=raw_edge_bps,
        net_edge_bps=raw_edge_bps - 10.0,
        oracle_px=ORACLE_PX,
        best_px=market.ask_px,
        best_size=market.ask_sz,
        signal_id=signal_id_of(coin, at_ms),
        bid_px=market.bid_px,
        bid_sz=market.bid_sz,
        ask_px=market.ask_px,
        ask_sz=market.ask_sz,
        mark_px=market.mark_px,
        bbo_age_ms=5,
        oracle_age_ms=5,
        threshold_bps=15.0,
        offsets_ms=offsets_ms,
    )
