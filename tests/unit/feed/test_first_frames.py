"""Asking for first frames that have not come, with a source of books that fails."""

import asyncio
from types import SimpleNamespace
from typing import Any

from feed.first_frames import BOOK_AFTER_MS, CONTEXT_AFTER_MS, FirstFrames
from feed.info_requests import UniverseError
from feed.subscriptions import CHANNELS, Subscriptions
from feed.wire import Bbo
from feed.witness import MarketWitness, SocketWitness
from tests.support.factories import T0_MS

A = "xyz:A"
BOOK = Bbo(A, T0_MS - 50_000, None, None)


class Rig:
    """One market on one socket, whose subscription was acknowledged at T0; it stands for markets, clock and info."""

    def __init__(self, *, missing: list[str]) -> None:
        self.at_ms, self.asked_ms, self.data = T0_MS, list[int](), list[Bbo]()
        self.answer: Bbo | Exception | None = UniverseError("429")
        self.parts = missing
        self.sockets = SocketWitness(stall_grace_ms=1_500)
        self.sockets.follow(A)
        self.subscriptions = Subscriptions()
        self.acknowledge()
        self.states = {A: SimpleNamespace(market=None)}
        markets: Any = self
        self.first_frames = FirstFrames(markets, markets, clock=markets, listener=markets)

    def acknowledge(self) -> None:
        self.subscriptions.want([A], at_ms=self.at_ms)
        while self.subscriptions.next_request(self.at_ms):
            pass
        for channel in CHANNELS:
            self.subscriptions.acknowledge(A, channel, at_ms=self.at_ms)

    def run(self, for_ms: int) -> None:
        until_ms = self.at_ms + for_ms
        while self.at_ms < until_ms:
            self.at_ms += 500
            asyncio.run(self.first_frames.check())

    # The markets, the connection, the clock, the listener and the source of books

    def missing(self, _: str) -> list[str]:
        return self.parts if self.subscriptions.acknowledged_at_ms(A) is not None else []

    @property
    def connection_of(self) -> dict[str, Any]:
        parts = {"subscriptions": self.subscriptions, "witness": self.sockets, "resubscribe": self.resubscribe}
        return {A: SimpleNamespace(**parts)}

    def heard(self, coin: str) -> MarketWitness:
        return self.sockets.markets[coin]

    def resubscribe(self, coin: str) -> None:
        self.asked_ms.append(self.at_ms - T0_MS)
        self.sockets.renew(coin)
        self.subscriptions.renew(coin, at_ms=self.at_ms)
        self.acknowledge()

    def now_ms(self) -> int:
        return self.at_ms

    def on_data(self, frame: Bbo, at_ms: int) -> None:
        self.data.append(frame)

    async def book(self, _: str) -> Bbo | None:
        self.asked_ms.append(self.at_ms - T0_MS)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_a_book_that_cannot_be_read_is_asked_for_again_at_growing_pauses() -> None:
    rig = Rig(missing=["book"])
    rig.run(240_000)
    pauses_ms = [4_000, 8_000, 16_000, 32_000, 60_000, 60_000]
    assert rig.asked_ms == [BOOK_AFTER_MS + sum(pauses_ms[:number]) for number in range(7)]
    assert rig.data == []


def test_a_book_that_was_read_is_data_of_its_market() -> None:
    rig = Rig(missing=["book"])
    rig.answer = BOOK
    rig.run(3_000)
    assert (rig.asked_ms, rig.data) == ([BOOK_AFTER_MS], [BOOK])
    assert rig.sockets.markets[A].bbo == BOOK


def test_a_frame_that_came_before_the_answer_wins() -> None:
    rig = Rig(missing=["book"])

    async def late(_: str) -> Bbo:
        rig.parts = []
        return BOOK

    rig.book = late  # type: ignore[method-assign]
    rig.run(3_000)
    assert rig.data == []


def test_an_answer_of_an_earlier_subscription_is_not_used() -> None:
    rig = Rig(missing=["book"])

    async def late(_: str) -> Bbo:
        rig.at_ms += 1
        rig.subscriptions.renew(A, at_ms=rig.at_ms)
        rig.acknowledge()
        return BOOK

    rig.book = late  # type: ignore[method-assign]
    rig.run(2_500)
    assert rig.data == []


def test_a_context_that_does_not_come_is_subscribed_again_at_growing_pauses() -> None:
    rig = Rig(missing=["context"])
    rig.run(300_000)
    assert rig.asked_ms[0] == CONTEXT_AFTER_MS
    pauses_ms = [later - sooner for sooner, later in zip(rig.asked_ms, rig.asked_ms[1:], strict=False)]
    assert pauses_ms == [15_000, 15_000, 16_000, 32_000, 60_000, 60_000, 60_000]
