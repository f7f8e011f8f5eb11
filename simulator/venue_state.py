"""What the venue lists, what it last said about each market, and which clients want to hear it."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from simulator.client import Client
from simulator.info import Universe
from simulator.wire import Subscription


class VenueState:
    """Coins not listed cannot be posted; delisted ones can, and stay silent."""

    def __init__(self, universe: Universe) -> None:
        self.ctxs: dict[str, dict[str, Any]] = {}
        self._frames: dict[Subscription, bytes] = {}
        self._subscribers: defaultdict[Subscription, set[Client]] = defaultdict(set)
        self.relist(universe)

    def relist(self, universe: Universe) -> None:
        """List these markets from now on; what was last said about a market no longer live is forgotten."""
        markets = [market for listed in universe.values() for market in listed]
        self.universe = universe
        self._is_delisted = {market["name"]: bool(market.get("isDelisted")) for market in markets}
        self._frames = {key: frame for key, frame in self._frames.items() if self._is_live(key.coin)}

    def has(self, coin: str) -> bool:
        return coin in self._is_delisted

    def post(self, subscription: Subscription, frame: bytes) -> tuple[Client, ...]:
        """Keep the frame for later subscribers and return those of now; ValueError for a coin not listed."""
        if not self.has(subscription.coin):
            raise ValueError(f"{subscription.coin} is not in the universe")
        if not self._is_live(subscription.coin):
            return ()
        self._frames[subscription] = frame
        return tuple(self._subscribers.get(subscription, ()))

    def add(self, client: Client, subscription: Subscription) -> bytes | None:
        """Let the client hear this from now on; what was last said about it is returned."""
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
