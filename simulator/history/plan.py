"""The plan of a history: its size, start and chunks."""

from collections.abc import Iterator
from dataclasses import dataclass

OFFSETS_MS = 1000, 3000, 5000
MINUTE_MS = 60_000
CHUNK_SIGNALS = 15_000
"""Approximate number of signals in memory at a time."""


@dataclass(frozen=True, slots=True)
class HistoryChunk:
    """Some complete minutes of a history, which are generated independently."""

    number: int
    start_at_ms: int
    end_at_ms: int
    signals: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryPlan:
    """Size and seed of a history. The defaults are the size of the published live run."""

    signals: int = 4_402_100
    hours: float = 48.4
    markets: int = 32
    seed: int = 1
    start_at_ms: int = 1_768_867_200_000
    """2026-01-20 00:00 UTC; has to be a full minute."""
    copies: float = 37.0
    """Mean number of signals per event."""
    missed_share: float = 0.005
    """Approximate share of missed follow-ups, most of them in gaps."""

    def __post_init__(self) -> None:
        if self.signals < 1 or self.markets < 1 or self.minutes < 1 or self.copies < 1:
            raise ValueError("signals, markets and copies: expected 1 or more; hours: a minute or more")
        if self.start_at_ms % MINUTE_MS:
            raise ValueError(f"start_at_ms: expected a full minute, was {self.start_at_ms}")
        if not 0 <= self.missed_share <= 0.1:
            raise ValueError(f"missed_share: expected 0 to 0.1, was {self.missed_share}")

    @property
    def minutes(self) -> int:
        return round(self.hours * 60)

    def chunks(self) -> Iterator[HistoryChunk]:
        """The chunks in order of time; their signals sum up to exactly `signals`."""
        step = max(1, self.minutes * CHUNK_SIGNALS // self.signals)
        for number, first in enumerate(range(0, self.minutes, step)):
            last = min(first + step, self.minutes)
            signals = self._signals_before(last) - self._signals_before(first)
            start_at_ms, end_at_ms = (self.start_at_ms + minute * MINUTE_MS for minute in (first, last))
            yield HistoryChunk(number, start_at_ms, end_at_ms, signals)

    def _signals_before(self, minute: int) -> int:
        return self.signals * minute // self.minutes


SMALL = HistoryPlan(signals=6000, hours=4, markets=8, copies=6)
"""A history that takes milliseconds to make, with about 125 events per market in 240 minutes."""
