"""The subscriptions of one socket: each is requested again, with growing pauses, until the venue has answered it.

Instants are milliseconds of a clock that never goes back.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from hip3_tasks.terminal_text import printable

CHANNELS = ("bbo", "activeAssetCtx")
ACK_TIMEOUT_MS = 3_000
FIRST_PAUSE_MS, MAX_PAUSE_MS = 1_000, 60_000
MAX_TEXT = 160
_COIN = re.compile(r'"coin"\s*:\s*"([^"]{1,80})"')
_CHANNEL = re.compile(r'"type"\s*:\s*"([^"]{1,80})"')


class SocketRequest(NamedTuple):
    """A message to the venue."""

    method: str
    channel: str
    coin: str

    @property
    def text(self) -> str:
        message = {"method": self.method, "subscription": {"type": self.channel, "coin": self.coin}}
        return orjson.dumps(message).decode()


@dataclass(slots=True)
class WantedChannel:
    """One channel of one coin, as far as the venue has answered."""

    due_at_ms: int
    """When it is requested next, unless it is acknowledged before."""
    is_renewal: bool = False
    """Whether each request is preceded by an unsubscription."""
    is_unsubscribed: bool = False
    """Whether that unsubscription was sent and the request was not."""
    tries: int = 0
    """The requests that were sent and are not acknowledged."""
    sent_at_ms: int | None = None
    acknowledged_at_ms: int | None = None
    refusal: str | None = None
    """The text of the venue's last error frame about it; None once it is acknowledged."""

    @property
    def pause_ms(self) -> int:
        return min(FIRST_PAUSE_MS << min(self.tries - 1, 16), MAX_PAUSE_MS)

    @property
    def is_acknowledged(self) -> bool:
        return self.acknowledged_at_ms is not None

    def is_open(self, at_ms: int) -> bool:
        """Whether the answer to its first request is still expected."""
        if self.is_acknowledged or self.refusal is not None or self.tries > 1:
            return False
        return self.sent_at_ms is None or at_ms < self.sent_at_ms + ACK_TIMEOUT_MS


class Subscriptions:
    """The wanted subscriptions of the present socket, and the unsubscriptions that it has not sent yet."""

    def __init__(self) -> None:
        self._wanted: dict[tuple[str, str], WantedChannel] = {}
        self._unwanted: list[tuple[str, str]] = []

    def restart(self, coins: Iterable[str], *, at_ms: int) -> None:
        """Begin with a new socket, on which nothing is subscribed."""
        self._wanted.clear()
        self._unwanted.clear()
        self.want(coins, at_ms=at_ms)

    def want(self, coins: Iterable[str], *, at_ms: int) -> None:
        for coin in coins:
            for key in _keys(coin):
                self._wanted.setdefault(key, WantedChannel(at_ms))

    def drop(self, coin: str) -> None:
        for key in _keys(coin):
            subscription = self._wanted.pop(key, None)
            if subscription is not None and subscription.sent_at_ms is not None:
                self._unwanted.append(key)

    def renew(self, coin: str, *, at_ms: int) -> None:
        """Subscribe a coin again; the answer brings its present state. A request that is not answered goes on."""
        for key in _keys(coin):
            if key in self._wanted and self._wanted[key].is_acknowledged:
                self._wanted[key] = WantedChannel(at_ms, is_renewal=True)

    def acknowledge(self, coin: str, channel: str, *, at_ms: int) -> None:
        subscription = self._wanted.get((coin, channel))
        if subscription is not None and subscription.sent_at_ms is not None:
            subscription.acknowledged_at_ms, subscription.refusal, subscription.tries = at_ms, None, 0

    def refuse(self, text: str, *, at_ms: int) -> None:
        """Take an error frame. It concerns the subscriptions that its text names, if any."""
        coin, channel = _COIN.search(text), _CHANNEL.search(text)
        if coin is None or text.startswith("Already unsubscribed"):
            return
        for key in _keys(coin[1]):
            subscription = self._wanted.get(key)
            if subscription is None or (channel is not None and channel[1] != key[1]):
                continue
            if text.startswith("Already subscribed"):
                self.acknowledge(*key, at_ms=at_ms)
            elif not subscription.is_acknowledged and subscription.tries:
                subscription.refusal = printable(text)[:MAX_TEXT]
                subscription.due_at_ms = min(subscription.due_at_ms, at_ms + subscription.pause_ms)

    def wait_ms(self, at_ms: int) -> int | None:
        """The time until a request is due; None while none is."""
        if self._unwanted:
            return 0
        return min((max(0, subscription.due_at_ms - at_ms) for _, subscription in self._unanswered()), default=None)

    def next_request(self, at_ms: int) -> SocketRequest | None:
        """Take a request that is due; it counts as sent. Those that waited longest since their last try come first."""
        if self._unwanted:
            coin, channel = self._unwanted.pop(0)
            return SocketRequest("unsubscribe", channel, coin)
        due = (key for key, subscription in self._unanswered() if subscription.due_at_ms <= at_ms)
        key = next(due, None)
        if key is None:
            return None
        (coin, channel), subscription = key, self._wanted[key]
        if subscription.is_renewal and not subscription.is_unsubscribed:
            subscription.is_unsubscribed = True
            return SocketRequest("unsubscribe", channel, coin)
        subscription.is_unsubscribed = False
        subscription.sent_at_ms = at_ms
        subscription.tries += 1
        subscription.due_at_ms = at_ms + ACK_TIMEOUT_MS + subscription.pause_ms
        self._wanted[key] = self._wanted.pop(key)  # the last of the order
        return SocketRequest("subscribe", channel, coin)

    def is_settled(self, at_ms: int) -> bool:
        """Whether every subscription was answered, or had its time to be."""
        return not any(subscription.is_open(at_ms) for _, subscription in self._unanswered())

    def sent_since(self, at_ms: int) -> list[str]:
        """The coins that are not answered, and were requested since an instant or for the first time."""
        pending = (
            coin
            for (coin, _), subscription in self._unanswered()
            if subscription.refusal is None
            and subscription.sent_at_ms is not None
            and (subscription.tries == 1 or subscription.sent_at_ms >= at_ms)
        )
        return list(dict.fromkeys(pending))

    def acknowledged_at_ms(self, coin: str) -> int | None:
        """When the last channel of a coin was acknowledged; None before all were."""
        times_ms = [s.acknowledged_at_ms if (s := self._wanted.get(key)) else None for key in _keys(coin)]
        known_ms = [at_ms for at_ms in times_ms if at_ms is not None]
        return max(known_ms) if len(known_ms) == len(times_ms) else None

    def trouble(self, coin: str) -> str | None:
        """The reason why a coin is not subscribed; None when it is."""
        subscriptions = [self._wanted[key] for key in _keys(coin) if key in self._wanted]
        refusals = [subscription.refusal for subscription in subscriptions if subscription.refusal is not None]
        if refusals:
            return f"subscription refused: {refusals[0]}"
        return None if self.acknowledged_at_ms(coin) is not None else "subscription not answered"

    def _unanswered(self) -> Iterator[tuple[tuple[str, str], WantedChannel]]:
        return ((key, value) for key, value in self._wanted.items() if value.acknowledged_at_ms is None)


def _keys(coin: str) -> list[tuple[str, str]]:
    return [(coin, channel) for channel in CHANNELS]
