"""State of the venue: listed markets, the last frame of each subscription, and its subscribers."""

from collections import Counter, defaultdict
from typing import Any

from simulator.client import Client
from simulator.info import Universe
from simulator.wire import Subscription


class VenueState:
    """Frames of unlisted coins are rejected. Frames of delisted coins are accepted and sent to no client."""

    def __init__(self, universe: Universe) -> None:
        self.ctxs: dict[str, dict[str, Any]] = {}
        self._frames: dict[Subscription, bytes] = {}
        self._subscribers: defaultdict[Subscription, set[Client]] = defaultdict(set)
        self.relist(universe)

    def relist(self, universe: Universe) -> None:
        """Replace the listed markets, and forget the last frames of markets that are no longer live."""
        markets = [market for listed in universe.values() for market in listed]
        self.universe = universe
        self._is_delisted = {market["name"]: bool(market.get("isDelisted")) for market in markets}
        self._frames = {key: frame for key, frame in self._frames.items() if self._is_live(key.coin)}

    def has(self, coin: str) -> bool:
        return coin in self._is_delisted

    def post(self, subscription: Subscription, frame: bytes) -> tuple[Client, ...]:
        """Store the frame for later subscribers and return the current ones. Raises ValueError for an unlisted coin."""
        if not self.has(subscription.coin):
            raise ValueError(f"{subscription.coin} is not in the universe")
        if not self._is_live(subscription.coin):
            return ()
        self._frames[subscription] = frame
        return tuple(self._subscribers.get(subscription, ()))

    def add(self, client: Client, subscription: Subscription) -> bytes | None:
        """Add a subscriber, and return the last frame of the subscription or None."""
        self._subscribers[subscription].add(client)
        return self._frames.get(subscription)

    def remove(self, client: Client, subscription: Subscription) -> None:
        self._subscribers[subscription].discard(client)

    def subscriptions_by_coin(self) -> Counter[str]:
        counts: Counter[str] = Counter()
        for subscription, clients in self._subscribers.items():
            if clients:
                counts[subscription.coin] += len(clients)
        return counts

    def _is_live(self, coin: str) -> bool:
        return self._is_delisted.get(coin) is False
