"""State of the websocket: the last frame of each subscription, and its subscribers."""

from collections import Counter, defaultdict

from simulator.client import Client
from simulator.subscription import Subscription
from simulator.venue_data import VenueData


class VenueState:
    """Frames of unlisted coins are rejected. Frames of delisted coins are accepted and sent to no client."""

    def __init__(self, data: VenueData) -> None:
        self.data = data
        self._frames: dict[Subscription, bytes] = {}
        self._clients_by_type: Counter[str] = Counter()
        self._subscribers: defaultdict[Subscription, set[Client]] = defaultdict(set)

    def forget_dead_markets(self) -> None:
        """Forget the last frames of markets that are no longer live."""
        self._frames = {key: frame for key, frame in self._frames.items() if self.data.is_live(key.coin)}

    def has(self, subscription: Subscription) -> bool:
        """Whether the venue lists the coin, or for `allMids` the dex."""
        if subscription.type == "allMids":
            return not subscription.detail or subscription.detail in self.data.universe
        return self.data.has(subscription.coin)

    def post(self, subscription: Subscription, frame: bytes) -> tuple[Client, ...]:
        """Store the frame for later subscribers and return the current ones. Raises ValueError for an unlisted coin."""
        if not self.data.is_live(subscription.coin):
            if not self.data.has(subscription.coin):
                raise ValueError(f"{subscription.coin} is not in the universe")
            return ()
        self._frames[subscription] = frame
        return tuple(self._subscribers.get(subscription, ()))

    def subscribers(self, subscription: Subscription) -> tuple[Client, ...]:
        return tuple(self._subscribers.get(subscription, ()))

    def subscribed(self, *types: str) -> list[Subscription]:
        """The subscriptions of these types that have a subscriber."""
        if not any(self._clients_by_type[wanted] for wanted in types):
            return []
        return [key for key, clients in self._subscribers.items() if key.type in types and clients]

    def add(self, client: Client, subscription: Subscription) -> bytes | None:
        """Add a subscriber, and return the last stored frame of the subscription or None."""
        self._subscribers[subscription].add(client)
        self._clients_by_type[subscription.type] += 1
        return self._frames.get(subscription)

    def remove(self, client: Client, subscription: Subscription) -> None:
        if client in self._subscribers[subscription]:
            self._subscribers[subscription].remove(client)
            self._clients_by_type[subscription.type] -= 1

    def subscriptions_by_coin(self) -> Counter[str]:
        counts: Counter[str] = Counter()
        for subscription, clients in self._subscribers.items():
            if clients:
                counts[subscription.coin] += len(clients)
        return counts
