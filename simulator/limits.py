"""The venue's limits per IP address, and the usage of one address."""

from collections import deque
from dataclasses import dataclass, field

MINUTE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits per IP address; the defaults are those of the real venue."""

    connections: int = 10
    new_connections_per_minute: int = 30
    subscriptions: int = 1_000
    messages_per_minute: int = 2_000
    info_weight_per_minute: int = 1_200


@dataclass(slots=True)
class Usage:
    """Usage of one address. A `take_` method returns None, or the name of the limit that it would exceed."""

    limits: Limits
    connections: int = 0
    subscriptions: int = 0
    _connected_at_s: deque[float] = field(default_factory=deque)
    _messages_at_s: deque[float] = field(default_factory=deque)
    _info_weights: deque[tuple[float, int]] = field(default_factory=deque)

    def take_connection(self, *, at_s: float) -> str | None:
        if self.connections >= self.limits.connections:
            return "connections"
        if not _take(self._connected_at_s, self.limits.new_connections_per_minute, at_s):
            return "new_connections_per_minute"
        self.connections += 1
        return None

    def take_message(self, *, at_s: float) -> str | None:
        if not _take(self._messages_at_s, self.limits.messages_per_minute, at_s):
            return "messages_per_minute"
        return None

    def take_info_weight(self, weight: int, *, at_s: float) -> str | None:
        spent = self._info_weights
        while spent and spent[0][0] <= at_s - MINUTE_S:
            spent.popleft()
        if sum(taken for _, taken in spent) + weight > self.limits.info_weight_per_minute:
            return "info_weight_per_minute"
        spent.append((at_s, weight))
        return None

    def add_info_weight(self, weight: int, *, at_s: float) -> None:
        """Count the weight of an answer's rows, which is known only afterwards."""
        if weight:
            self._info_weights.append((at_s, weight))

    def take_subscription(self) -> str | None:
        if self.subscriptions >= self.limits.subscriptions:
            return "subscriptions"
        self.subscriptions += 1
        return None

    def release(self, *, connections: int = 0, subscriptions: int = 0) -> None:
        self.connections -= connections
        self.subscriptions -= subscriptions


def _take(taken_at_s: deque[float], limit: int, at_s: float) -> bool:
    while taken_at_s and taken_at_s[0] <= at_s - MINUTE_S:
        taken_at_s.popleft()
    if len(taken_at_s) >= limit:
        return False
    taken_at_s.append(at_s)
    return True
