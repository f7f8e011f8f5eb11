"""The laws of subscriptions, whatever the venue answers."""

import json
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed.rate_limits import RateLimit
from feed.subscriptions import ACK_TIMEOUT_MS, CHANNELS, FIRST_PAUSE_MS, MAX_PAUSE_MS, SocketRequest, Subscriptions

COINS = ("xyz:A", "xyz:B", "xyz:AB")
A = COINS[0]
HOUR_MS = 3_600_000


class Sent(NamedTuple):
    at_ms: int
    request: SocketRequest


class Socket:
    """Sends what is due within a budget, and gives each request to a venue."""

    def __init__(self, *, limit: int = 1_000) -> None:
        self.now_ms = 0
        self.subscriptions = Subscriptions()
        self.sent: list[Sent] = []
        self._budget = RateLimit(limit, now_s=lambda: self.now_ms / 1000)

    def run(self, until_ms: int, venue: Callable[[SocketRequest], None] = lambda _: None) -> None:
        while (wait_ms := self.subscriptions.wait_ms(self.now_ms)) is not None and self.now_ms + wait_ms <= until_ms:
            self.now_ms += wait_ms
            self.now_ms += round(self._budget.reserve() * 1000)
            if (request := self.subscriptions.next_request(self.now_ms)) is not None:
                self.sent.append(Sent(self.now_ms, request))
                venue(request)
        self.now_ms = max(self.now_ms, until_ms)

    def acknowledge(self, request: SocketRequest) -> None:
        if request.method == "subscribe":
            self.subscriptions.acknowledge(request.coin, request.channel, at_ms=self.now_ms)

    def times_ms(self, coin: str, channel: str = "bbo") -> list[int]:
        return [at_ms for at_ms, request in self.sent if request == ("subscribe", channel, coin)]


def refusal(coin: str, channel: str, *, text: str = "Invalid subscription") -> str:
    return f"{text} " + json.dumps({"type": channel, "coin": coin}, separators=(",", ":"))


def test_an_unanswered_subscription_is_requested_again_after_pauses_that_double_to_a_minute() -> None:
    socket = Socket()
    socket.subscriptions.want([A], at_ms=0)
    socket.run(HOUR_MS)
    times_ms = socket.times_ms(A)
    pauses_ms = [later - sooner for sooner, later in pairwise(times_ms)]
    doubled = [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, *[60_000] * (len(pauses_ms) - 6)]
    assert pauses_ms == [ACK_TIMEOUT_MS + pause for pause in doubled]
    assert HOUR_MS - times_ms[-1] <= ACK_TIMEOUT_MS + MAX_PAUSE_MS
    assert socket.subscriptions.trouble(A) == "subscription not answered"


def test_an_acknowledged_subscription_is_requested_again_only_when_it_is_renewed() -> None:
    socket = Socket()
    socket.subscriptions.want([A], at_ms=0)
    socket.run(HOUR_MS, socket.acknowledge)
    assert [request.method for _, request in socket.sent] == ["subscribe"] * 2
    assert socket.subscriptions.trouble(A) is None
    socket.subscriptions.renew(A, at_ms=socket.now_ms)
    assert socket.subscriptions.acknowledged_at_ms(A) is None
    socket.run(HOUR_MS + 1_000, socket.acknowledge)
    assert [request.method for _, request in socket.sent[2:]] == ["unsubscribe", "subscribe"] * 2
    assert socket.subscriptions.acknowledged_at_ms(A) == HOUR_MS


def test_a_renewal_without_an_answer_is_repeated_whole() -> None:
    socket = Socket()
    socket.subscriptions.want([A], at_ms=0)
    socket.run(0, socket.acknowledge)
    socket.subscriptions.renew(A, at_ms=0)
    socket.run(10_000)
    bbo = [request.method for _, request in socket.sent[2:] if request.channel == "bbo"]
    assert bbo == ["unsubscribe", "subscribe"] * 3


def test_an_acknowledgement_makes_the_pauses_short_again() -> None:
    socket = Socket()
    socket.subscriptions.want([A], at_ms=0)
    socket.run(HOUR_MS)
    for channel in CHANNELS:
        socket.subscriptions.acknowledge(A, channel, at_ms=HOUR_MS)
    socket.sent.clear()
    socket.subscriptions.renew(A, at_ms=HOUR_MS)
    socket.run(HOUR_MS + 5_000)
    assert socket.times_ms(A) == [HOUR_MS, HOUR_MS + ACK_TIMEOUT_MS + FIRST_PAUSE_MS]


def test_a_refused_subscription_is_requested_again_after_a_pause_and_has_the_text() -> None:
    socket = Socket()
    socket.subscriptions.want([A], at_ms=0)
    socket.run(20_000, lambda r: socket.subscriptions.refuse(refusal(r.coin, r.channel), at_ms=socket.now_ms))
    assert socket.times_ms(A) == [0, 1_000, 3_000, 7_000, 15_000]
    assert socket.subscriptions.trouble(A) == 'subscription refused: Invalid subscription {"type":"bbo","coin":"xyz:A"}'
    assert socket.subscriptions.is_settled(20_000)


def test_a_refusal_concerns_only_what_it_names() -> None:
    socket = Socket()
    socket.subscriptions.want(["xyz:A", "xyz:AB"], at_ms=0)
    socket.run(0)
    for text in ("Internal error: try again", refusal("xyz:ZZ", "bbo"), refusal(A, "trades")):
        socket.subscriptions.refuse(text, at_ms=0)
    assert socket.subscriptions.trouble(A) == socket.subscriptions.trouble("xyz:AB") == "subscription not answered"
    socket.subscriptions.refuse(refusal("xyz:AB", "bbo"), at_ms=0)
    assert socket.subscriptions.trouble(A) == "subscription not answered"
    assert socket.subscriptions.trouble("xyz:AB").startswith("subscription refused: Invalid")
    socket.subscriptions.refuse('Error parsing {"coin":"xyz:A"}', at_ms=0)
    assert socket.subscriptions.trouble(A) == 'subscription refused: Error parsing {"coin":"xyz:A"}'


@pytest.mark.parametrize(("text", "is_acknowledged"), [("Already subscribed:", True), ("Already unsubscribed:", False)])
def test_already_subscribed_is_an_acknowledgement(text: str, is_acknowledged: bool) -> None:
    socket = Socket()
    socket.subscriptions.want([A], at_ms=0)
    socket.run(0)
    for channel in CHANNELS:
        socket.subscriptions.refuse(refusal(A, channel, text=text), at_ms=7)
    assert socket.subscriptions.trouble(A) == (None if is_acknowledged else "subscription not answered")


def test_a_dropped_coin_is_unsubscribed_once_if_it_was_requested() -> None:
    socket = Socket()
    socket.subscriptions.want(COINS[:2], at_ms=0)
    socket.subscriptions.drop("xyz:B")
    socket.run(0)
    socket.subscriptions.drop(A)
    socket.run(HOUR_MS)
    assert [request for _, request in socket.sent] == [
        SocketRequest(method, channel, A) for method in ("subscribe", "unsubscribe") for channel in CHANNELS
    ]


def test_only_what_was_requested_lately_or_once_is_suspected_of_the_end_of_a_socket() -> None:
    socket = Socket()
    socket.subscriptions.want([A], at_ms=0)
    socket.run(3_900)
    assert socket.subscriptions.sent_since(3_900 - ACK_TIMEOUT_MS) == [A]  # the end may be noticed late
    socket.run(7_500)
    socket.subscriptions.want(["xyz:B"], at_ms=7_500)
    socket.run(7_500)
    assert socket.subscriptions.sent_since(7_500 - ACK_TIMEOUT_MS) == ["xyz:B"]


ACTIONS = st.one_of(
    st.tuples(
        st.sampled_from(["want", "drop", "renew", "ack", "already", "refuse", "restart"]), st.sampled_from(COINS)
    ),
    st.tuples(st.just("wait"), st.integers(0, 90_000)),
)


@given(st.lists(ACTIONS, max_size=40), st.integers(1, 30))
def test_whatever_happens_every_wanted_subscription_is_requested_within_the_budget_until_it_is_answered(
    actions: list[tuple[str, object]], limit: int
) -> None:
    socket, wanted = Socket(limit=limit), set[str]()
    acknowledged: dict[tuple[str, str], bool] = defaultdict(bool)
    for action, value in actions:
        before = len(socket.sent)
        match action, value:
            case "wait", int(ms):
                socket.run(socket.now_ms + ms)
            case "want", str(coin):
                socket.subscriptions.want([coin], at_ms=socket.now_ms)
                wanted.add(coin)
            case "drop", str(coin):
                socket.subscriptions.drop(coin)
                wanted.discard(coin)
                acknowledged |= {(coin, channel): False for channel in CHANNELS}
            case "renew", str(coin):
                socket.subscriptions.renew(coin, at_ms=socket.now_ms)
                acknowledged |= {(coin, channel): False for channel in CHANNELS}
            case "ack" | "already", str(coin):
                is_sent = bool(socket.subscriptions.sent_since(0).count(coin))
                for channel in CHANNELS:
                    if action == "ack":
                        socket.subscriptions.acknowledge(coin, channel, at_ms=socket.now_ms)
                    else:
                        text = refusal(coin, channel, text="Already subscribed:")
                        socket.subscriptions.refuse(text, at_ms=socket.now_ms)
                    acknowledged[coin, channel] |= is_sent and socket.subscriptions.trouble(coin) is None
            case "refuse", str(coin):
                socket.subscriptions.refuse(refusal(coin, "bbo"), at_ms=socket.now_ms)
            case _:
                socket.subscriptions.restart(sorted(wanted), at_ms=socket.now_ms)
                acknowledged.clear()
        for _, request in socket.sent[before:]:
            assert request.method == "unsubscribe" or not acknowledged[request.coin, request.channel]
    begun_ms, begun = socket.now_ms, len(socket.sent)
    # A small budget makes every request late: the same law with more time.
    socket.run(begun_ms + 3 * (ACK_TIMEOUT_MS + MAX_PAUSE_MS) + 60_000 * (1 + 4 * 6 // limit))
    for coin in COINS:
        is_acknowledged = socket.subscriptions.acknowledged_at_ms(coin) is not None
        requested = [r.request for r in socket.sent[begun:] if r.request[::2] == ("subscribe", coin)]
        assert bool(requested) == (coin in wanted and not is_acknowledged)
    times_ms = [at_ms for at_ms, _ in socket.sent]
    assert all(later - sooner >= 60_000 for sooner, later in zip(times_ms, times_ms[limit:], strict=False))
