"""The venue's replies to one client: pongs, acknowledgements, and error frames for requests that break a limit."""

import asyncio
from collections import Counter
from typing import Protocol

from simulator.client import Client
from simulator.faults.active import ActiveFaults
from simulator.faults.fault import SubscribeReply
from simulator.subscription import RequestError, Subscription, quoted, read_request
from simulator.venue_state import VenueState
from simulator.wire import PONG, ack_frame, error_frame


class Venue(Protocol):
    """The parts of the venue server that a conversation uses."""

    violations: Counter[str]
    ack_delay_s: float
    unknown: set[str]
    faults: ActiveFaults

    def send(self, client: Client, frame: bytes) -> None: ...

    def snapshot(self, subscription: Subscription) -> bytes | None: ...


class Conversation:
    """Requests of one client. Each request over a limit is counted by the limit's name and gets an error frame."""

    def __init__(self, client: Client, state: VenueState, *, venue: Venue) -> None:
        self._client = client
        self._state = state
        self._venue = venue

    def on_text(self, text: str, *, at_s: float) -> None:
        if not self._allowed(self._client.usage.take_message(at_s=at_s)):
            return
        try:
            method, subscription = read_request(text)
        except RequestError:
            self._error(f"Error parsing JSON into valid websocket request: {text}")
            return
        if subscription is None:
            self._venue.send(self._client, PONG)
        elif not self._state.has(subscription) or self._is_unknown(subscription.coin):
            # As on the real venue: one unknown coin ends the whole connection, without a close frame.
            self._client.abort()
        elif method == "subscribe":
            self._subscribe(subscription)
        else:
            self._unsubscribe(subscription)

    def end(self) -> None:
        """Remove the client's subscriptions."""
        for subscription in self._client.subscriptions:
            self._state.remove(self._client, subscription)
        self._client.usage.release(subscriptions=len(self._client.subscriptions))
        self._client.subscriptions.clear()

    def _is_unknown(self, coin: str) -> bool:
        return coin in self._venue.unknown or self._venue.faults.reply(coin) is SubscribeReply.CLOSE

    def _subscribe(self, subscription: Subscription) -> None:
        reply = self._venue.faults.reply(subscription.coin)
        if reply is SubscribeReply.ERROR:
            self._error(f"Invalid subscription {quoted(subscription)}")
        elif reply is SubscribeReply.SILENCE:
            return
        elif subscription in self._client.subscriptions:
            self._error(f"Already subscribed: {quoted(subscription)}")
        elif self._allowed(self._client.usage.take_subscription()):
            self._client.subscriptions.add(subscription)
            if delay_s := self._venue.ack_delay_s:
                asyncio.get_running_loop().call_later(delay_s, self._acknowledge, subscription)
            else:
                self._acknowledge(subscription)

    def _acknowledge(self, subscription: Subscription) -> None:
        if subscription not in self._client.subscriptions:
            return
        self._venue.send(self._client, ack_frame("subscribe", subscription.as_json()))
        frame = self._state.add(self._client, subscription) or self._venue.snapshot(subscription)
        if frame and not self._lacks_first_frame(subscription):
            self._venue.send(self._client, frame)

    def _lacks_first_frame(self, subscription: Subscription) -> bool:
        reply = self._venue.faults.reply(subscription.coin)
        return subscription.type == "bbo" and reply is SubscribeReply.NO_FIRST_BBO

    def _unsubscribe(self, subscription: Subscription) -> None:
        if subscription not in self._client.subscriptions:
            self._error(f"Already unsubscribed: {quoted(subscription)}")
            return
        self._client.subscriptions.discard(subscription)
        self._client.usage.release(subscriptions=1)
        self._state.remove(self._client, subscription)
        self._venue.send(self._client, ack_frame("unsubscribe", subscription.as_json()))

    def _allowed(self, exceeded: str | None) -> bool:
        if exceeded is not None:
            self._venue.violations[exceeded] += 1
            self._error(f"Limit exceeded: {exceeded}")
        return exceeded is None

    def _error(self, message: str) -> None:
        self._venue.send(self._client, error_frame(message))
