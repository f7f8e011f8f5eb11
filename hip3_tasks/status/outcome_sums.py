"""Sums over follow-ups that tell whether signals were right, and by how much, in bounded memory.

The definitions are the report's: a signal was right where the book came to the oracle (`hip3_tasks/domain/outcome.py`),
the markout is the mean of the follow-ups that have one, and net of cost is markout − (raw edge − net edge of the
signal).
"""

import math
from collections import Counter, OrderedDict
from typing import Any

from pydantic import BaseModel

from hip3_tasks.domain.outcome import Outcome

COST_DIGITS = 9
"""The report rounds to as many: digits beyond are rounding errors of the subtraction."""
BPS_DIGITS = 4
MAX_OPEN_SIGNALS = 50_000


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


class CostTable:
    """The cost of each signal in bps, taker fee and slippage, kept until all of its captures are read."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, list[float]] = OrderedDict()
        """The cost of each signal, and the number of its open offsets."""

    def __len__(self) -> int:
        return len(self._open)

    def take(self, signal: dict[str, Any]) -> None:
        """Add a decoded line. Raises ValueError, TypeError or KeyError if it is no signal."""
        cost_bps = round(float(signal["raw_edge_bps"]) - float(signal["net_edge_bps"]), COST_DIGITS)
        self._open[str(signal["signal_id"])] = [cost_bps, len(signal["offsets_ms"])]
        if len(self._open) > MAX_OPEN_SIGNALS:
            self._open.popitem(last=False)

    def answered(self, line: dict[str, Any]) -> float | None:
        """The cost of the signal of a follow-up or missed line; None if that is not known."""
        signal_id = line.get("signal_id")
        entry = self._open.get(signal_id) if isinstance(signal_id, str) else None
        if entry is None:
            return None
        entry[1] -= 1
        if entry[1] <= 0:
            del self._open[line["signal_id"]]
        return entry[0]


def _mean(total: float, number: int) -> float | None:
    return round(total / number, BPS_DIGITS) if number and math.isfinite(total) else None
