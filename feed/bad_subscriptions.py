"""Finds the coin whose subscription makes the venue close a whole socket without an answer.

After a close with unanswered subscriptions, their coins are suspects. The next connection subscribes all others first,
then the suspects group by group, each after the answer to the one before; the group that closes it is split. A coin
that closed two connections by itself is rejected.
"""

from collections.abc import Collection, Sequence

GROUPS = 8
STRIKES = 2


class SubscriptionBisector:
    """The coins of one socket whose subscription may close it."""

    def __init__(self) -> None:
        self._groups: list[list[str]] = []
        self._strikes: dict[str, int] = {}

    def __contains__(self, coin: str) -> bool:
        return any(coin in group for group in self._groups)

    def groups(self) -> list[list[str]]:
        """The suspects in groups, to be subscribed one group at a time."""
        return [list(group) for group in self._groups]

    def accepted(self, coins: Collection[str]) -> None:
        """Clear coins whose subscription did not close the socket."""
        self._remove(coins)
        for coin in coins:
            self._strikes.pop(coin, None)

    def connection_died(self, unanswered: Sequence[str]) -> str | None:
        """Suspect the coins that were sent and unanswered; return the coin to reject, if it is certain."""
        if not unanswered:
            return None
        self._remove(unanswered)
        if len(unanswered) > 1:
            size = -(-len(unanswered) // GROUPS)
            split = [list(unanswered[start : start + size]) for start in range(0, len(unanswered), size)]
            self._groups = split + self._groups
            return None
        (coin,) = unanswered
        self._strikes[coin] = self._strikes.get(coin, 0) + 1
        if self._strikes[coin] >= STRIKES:
            del self._strikes[coin]
            return coin
        self._groups.insert(0, [coin])
        return None

    def _remove(self, coins: Collection[str]) -> None:
        rest = [[coin for coin in group if coin not in coins] for group in self._groups]
        self._groups = [group for group in rest if group]
