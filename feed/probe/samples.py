"""Whole numbers counted by value: quantiles of a long run are exact and take little memory."""

from collections import Counter
from collections.abc import Iterable
from typing import Self


class Samples:
    """Numbers such as pauses or lags in ms."""

    def __init__(self, values: Iterable[int] = ()) -> None:
        self._counts = Counter(values)

    def __len__(self) -> int:
        return self._counts.total()

    def add(self, value: int) -> None:
        self._counts[value] += 1

    @classmethod
    def merged(cls, groups: Iterable["Samples"]) -> Self:
        merged = cls()
        for group in groups:
            merged._counts.update(group._counts)
        return merged

    def quantile(self, share: float) -> int | None:
        """The smallest number that at least this share of all does not exceed; None without numbers."""
        left = share * len(self)
        for value, count in sorted(self._counts.items()):
            left -= count
            if left <= 1e-9:
                return value
        return None

    def summary(self) -> dict[str, int | None]:
        values = {"min": 0.0, "p50": 0.5, "p99": 0.99, "max": 1.0}
        return {"count": len(self), **{name: self.quantile(share) for name, share in values.items()}}
