"""Finding the one coin that makes the venue close a whole socket without a word.

After a close with subscriptions unanswered, those are suspects. The next connection subscribes the others first, then
the suspects group by group, each when the one before is answered; the group that kills it is split. A coin that killed
two connections all alone is guilty.
"""

from collections.abc import Iterable, Sequence

GROUPS = 8
STRIKES = 2


class Suspects:
    """The coins of one socket that may be refused by the venue."""

    def __init__(self) -> None:
        self._groups: list[list[str]] = []
        self._strikes: dict[str, int] = {}

    def __contains__(self, coin: str) -> bool:
        return any(coin in group for group in self._groups)

    def groups(self) -> list[list[str]]:
        """In which portions to try them, one at a time."""
        return [list(group) for group in self._groups]

    def clear(self, coins: Iterable[str]) -> None:
        """The venue took these."""
        cleared = set(coins)
        self._groups = [rest for group in self._groups if (rest := [coin for coin in group if coin not in cleared])]
        for coin in cleared:
            self._strikes.pop(coin, None)

    def accuse(self, unanswered: Sequence[str]) -> str | None:
        """A connection died with these sent and unanswered; return the coin that is guilty, if it is certain."""
        if not unanswered:
            return None
        self._remove(unanswered)
        if len(unanswered) > 1:
            size = -(-len(unanswered) // GROUPS)
            split = [list(unanswered[at : at + size]) for at in range(0, len(unanswered), size)]
            self._groups = split + self._groups
            return None
        (coin,) = unanswered
        self._strikes[coin] = self._strikes.get(coin, 0) + 1
        if self._strikes[coin] >= STRIKES:
            del self._strikes[coin]
            return coin
        self._groups.insert(0, [coin])
        return None

    def _remove(self, coins: Iterable[str]) -> None:
        gone = set(coins)
        self._groups = [rest for group in self._groups if (rest := [coin for coin in group if coin not in gone])]
