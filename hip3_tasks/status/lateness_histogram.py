"""The lateness of follow-ups, in bounded memory."""

from collections import Counter
from collections.abc import Iterable

EXACT_BELOW_MS = 1_000


class LatenessHistogram:
    """Counts by lateness in ms: exact below 1 s, then to three digits. Its memory is bounded."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._max_ms: int | None = None

    def add(self, late_ms: int) -> None:
        self._counts[_rounded(late_ms)] += 1
        self._max_ms = late_ms if self._max_ms is None else max(self._max_ms, late_ms)

    def join(self, other: "LatenessHistogram") -> None:
        self._counts.update(other._counts)
        if other._max_ms is not None:
            self._max_ms = other._max_ms if self._max_ms is None else max(self._max_ms, other._max_ms)

    def at_most(self, late_ms: int) -> int:
        """The number of follow-ups that were not later than this."""
        return sum(count for counted_ms, count in self._all() if counted_ms <= late_ms)

    @property
    def total_ms(self) -> int:
        return sum(late_ms * count for late_ms, count in self._all())

    @property
    def count(self) -> int:
        return self._counts.total()

    def _all(self) -> list[tuple[int, int]]:
        # In one call, since another thread may add meanwhile.
        return list(self._counts.items())

    def quantile(self, q: float) -> int | None:
        """The least lateness in ms that a share `q` of all did not exceed; None without follow-ups."""
        rest = q * self._counts.total()
        for late_ms in sorted(self._counts):
            rest -= self._counts[late_ms]
            if rest <= 0:
                return late_ms
        return None

    def summary(self) -> dict[str, int | None]:
        return {"p50": self.quantile(0.5), "p99": self.quantile(0.99), "max": self._max_ms}


def joined(histograms: Iterable[LatenessHistogram]) -> LatenessHistogram:
    total = LatenessHistogram()
    for histogram in histograms:
        total.join(histogram)
    return total


def _rounded(late_ms: int) -> int:
    step = 1
    while late_ms // step >= EXACT_BELOW_MS:
        step *= 10
    return late_ms // step * step
