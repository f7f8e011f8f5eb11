"""A period in which the venue deceives, and when the feed noticed it."""

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class Deception:
    """A period in which the venue does not send what it has of some coins."""

    coins: frozenset[str]
    began_ms: int
    """When the frames first contradicted each other, or the silence began."""
    within_ms: int
    """The time within which the feed must have noticed it."""
    ended_ms: int = 0
    """When the feed knew all markets again after it."""
    gaps_ms: dict[str, int | None]
    """When the first gap of each coin began."""

    def covers(self, coin: str, at_ms: float) -> bool:
        return coin in self.coins and self.began_ms <= at_ms <= self.ended_ms

    def is_noticed(self, coin: str, at_ms: float) -> bool:
        """Whether the feed has noticed it by an instant, or should have."""
        gap_ms = self.gaps_ms.get(coin)
        return at_ms >= self.began_ms + self.within_ms or (gap_ms is not None and at_ms >= gap_ms)

    @property
    def slowest_s(self) -> float:
        """Time to the gap, of the slowest coin."""
        return max(((gap_ms or self.ended_ms) - self.began_ms for gap_ms in self.gaps_ms.values()), default=0) / 1000
