"""Signal budget of a dex: its rate accrues credit, which it spends partly all the time and partly in bursts."""

from random import Random

ORDINARY_SHARE = 0.3
BETWEEN_UPDATES_SHARE = 0.2
STANDING_SHARE = 0.15
HEAD_START_S = 2.0


class SignalBudget:
    """The rate adds to the balance, each signal that the rule counts is subtracted; a large balance starts a burst."""

    def __init__(self, *, rate_per_s: float, rng: Random) -> None:
        self.rate_per_s = rate_per_s
        self._rng = rng
        self._balance = rate_per_s * HEAD_START_S
        self._accrued_at_ms = 0.0
        self._burst_size = self._next_burst_size()

    def spend(self, signals: int) -> None:
        self._balance -= signals

    def for_oracle_update(self, at_ms: float, *, limit: int) -> int:
        """Number of signals that the oracle update at this instant has to cause, at most `limit`."""
        income = self.rate_per_s * (at_ms - self._accrued_at_ms) / 1e3
        self._accrued_at_ms = at_ms
        self._balance += income
        burst_size = min(self._burst_size, limit)
        if self._balance >= burst_size:
            self._burst_size = self._next_burst_size()
            return burst_size
        return min(limit, self._poisson(ORDINARY_SHARE * income))

    def gap_between_updates_ms(self) -> float:
        """Time to the next signal that no oracle update causes."""
        return self._rng.expovariate(BETWEEN_UPDATES_SHARE * self.rate_per_s / 1e3)

    def standing_change_chance(self, *, standing: int, update_s: float) -> float:
        """Probability that each of `standing` markets with an offset changes its oracle, which is always a signal."""
        return min(0.6, STANDING_SHARE * self.rate_per_s * update_s / max(1, standing))

    def _next_burst_size(self) -> int:
        return max(2, round(self._rng.uniform(10.0, 16.0) * self.rate_per_s))

    def _poisson(self, mean: float) -> int:
        count, passed = 0, self._rng.expovariate(1.0)
        while passed < mean:
            count, passed = count + 1, passed + self._rng.expovariate(1.0)
        return count
