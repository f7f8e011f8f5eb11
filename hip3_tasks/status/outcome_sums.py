"""Sums over follow-ups that tell whether signals were right, and what they paid, in bounded memory.

The definitions are the report's: a signal was right where the book came to the oracle (`hip3_tasks/domain/outcome.py`),
the markout is the mean of the follow-ups that have one, net of cost is markout − (taker fee + slippage of the signal),
and a round trip is that of `hip3_tasks/status/trips.py`.
"""

import math
from collections import Counter
from collections.abc import Iterable
from operator import attrgetter
from typing import Any, TypeVar

from pydantic import BaseModel

from hip3_tasks.domain.outcome import Outcome
from hip3_tasks.status.trips import TRIP_SUMS

BPS_DIGITS = 4
Orders = TypeVar("Orders")


class OutcomeSummary(BaseModel, frozen=True):
    """The outcomes at one offset; None if no follow-up has the value."""

    outcomes: dict[str, int]
    """The number of follow-ups by outcome, without missed ones."""
    markouts: int
    """The number of follow-ups that have a markout; with a one-sided book there is none."""
    markout_bps: float | None
    """The mean move of the mid since T0; positive in the taker's favour."""
    nets: int
    """The number of these whose signal has a known cost."""
    net_bps: float | None
    """The mean of markout − cost."""

    @property
    def followups(self) -> int:
        return sum(self.outcomes.values())

    def share(self, outcome: Outcome) -> float | None:
        """The share of follow-ups with this outcome, 0 to 1; None without follow-ups."""
        return self.outcomes.get(outcome, 0) / self.followups if self.followups else None


class OutcomeSums:
    """The sums of one offset."""

    def __init__(self) -> None:
        self._outcomes: Counter[str] = Counter()
        self._markouts = self._nets = 0
        self._markout_bps = self._net_bps = 0.0

    def add(self, followup: dict[str, Any], cost_bps: float | None) -> None:
        """Add a decoded line. Raises ValueError, TypeError or KeyError, and adds nothing, if it is no follow-up."""
        outcome = Outcome.from_line(followup)
        if followup.get("markout_bps") is not None:
            markout_bps = float(followup["markout_bps"])
            self._markout_bps += markout_bps
            self._markouts += 1
            if cost_bps is not None:
                self._net_bps += markout_bps - cost_bps
                self._nets += 1
        self._outcomes[str(outcome)] += 1

    def join(self, other: "OutcomeSums") -> None:
        self._outcomes.update(other._outcomes)
        self._markouts += other._markouts
        self._nets += other._nets
        self._markout_bps += other._markout_bps
        self._net_bps += other._net_bps

    def summary(self) -> OutcomeSummary:
        return OutcomeSummary(
            outcomes={outcome: self._outcomes[outcome] for outcome in Outcome if outcome in self._outcomes},
            markouts=self._markouts,
            markout_bps=_mean(self._markout_bps, self._markouts),
            nets=self._nets,
            net_bps=_mean(self._net_bps, self._nets),
        )


class TripSummary(BaseModel, frozen=True):
    """Orders at the touch of T0 that arrive after one latency and are closed after one time held."""

    latency_ms: int
    held_ms: int
    n: int
    """The number of orders, without those that are too small."""
    too_small: int
    """The number of orders below the venue's least."""
    had: float | None
    """The share of the n that was filled, 0 to 1; None without any."""
    trips: int
    """The number of those filled whose way out is known."""
    round_trip_bps: float | None
    """The mean result of these trips, after two fees and slippage; None without any."""


class TripSums:
    """The sums of one latency and one time held: those of `trips.TRIP_SUMS`."""

    def __init__(self) -> None:
        self._sums = [0.0] * len(TRIP_SUMS)

    def add(self, terms: Iterable[float]) -> None:
        self._sums = [total + term for total, term in zip(self._sums, terms, strict=True)]

    def join(self, other: "TripSums") -> None:
        self.add(other._sums)

    def summary(self, latency_ms: int, held_ms: int) -> TripSummary:
        orders, n, n_had, trips, trip_bps = self._sums
        return TripSummary(
            latency_ms=latency_ms,
            held_ms=held_ms,
            n=round(n),
            too_small=round(orders - n),
            had=n_had / n if n else None,
            trips=round(trips),
            round_trip_bps=_mean(trip_bps, round(trips)),
        )


def judged(trips: Iterable[Orders]) -> Orders | None:
    """The trips by which signals are judged: those of the most orders, and of these the ones held longest."""
    return max(trips, key=attrgetter("n", "held_ms"), default=None)


def _mean(total: float, number: int) -> float | None:
    return round(total / number, BPS_DIGITS) if number and math.isfinite(total) else None
