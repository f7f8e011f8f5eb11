"""Faults of the simulated venue over real sockets."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from simulator.faults.spec import FaultSpecError
from simulator.server import VenueServer
from simulator.wire import asset_ctx
from tests.support.waiting import eventually_async as eventually

COIN, OTHER = "xyz:TSLA", "xyz:AAPL"
UNIVERSE = {"xyz": [{"name": COIN, "szDecimals": 3}, {"name": OTHER, "szDecimals": 3}]}
BID, ASK = ("431.2", "3.0"), ("431.25", "2.0")


class BrokenVenue:
    """A venue with faults and one greeted client, which reads frames by channel."""

    def __init__(self, *faults: str) -> None:
        self.server = VenueServer(UNIVERSE)
        for fault in faults:
            self.server.switch_on(fault)

    async def __aenter__(self) -> BrokenVenue:
        await self.server.start()
        self.move(COIN, OTHER)
        self.ws = await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.ws.close()
        await self.server.stop()

    async def connect(self) -> ClientConnection:
        ws = await connect(f"{self.server.base_url.replace('http', 'ws', 1)}/ws", close_timeout=1)
        await ws.recv()
        return ws

    def move(self, *coins: str, time_ms: int = 1) -> None:
        for coin in coins:
            self.server.publish_bbo(coin, BID, ASK, time_ms=time_ms)
            self.server.publish_ctx(coin, asset_ctx(oracle_px="431.2"))

    async def subscribe(self, coin: str, kind: str = "bbo") -> None:
        await self.ws.send(json.dumps({"method": "subscribe", "subscription": {"type": kind, "coin": coin}}))

    async def frames_until_pong(self) -> list[dict[str, Any]]:
        await self.ws.send('{"method":"ping"}')
        frames = []
        async with asyncio.timeout(5):
            while (frame := json.loads(await self.ws.recv()))["channel"] != "pong":
                frames.append(frame)
        return frames

    async def channels(self) -> list[str]:
        return [frame["channel"] for frame in await self.frames_until_pong()]


def run(scenario: Any) -> None:
    asyncio.run(asyncio.wait_for(scenario(), timeout=15))


@pytest.mark.parametrize(
    ("fault", "channels"),
    [
        ("no-ack", []),
        ("refused-subscription", ["error"]),
        ("no-first-bbo", ["subscriptionResponse"]),
        ("zero-mark", ["subscriptionResponse", "bbo"]),
    ],
)
def test_a_subscription_gets_the_reply_of_the_fault_and_others_the_right_one(fault: str, channels: list[str]) -> None:
    async def scenario() -> None:
        async with BrokenVenue(f"{fault}:{COIN}") as venue:
            await venue.subscribe(COIN)
            assert await venue.channels() == channels
            await venue.subscribe(OTHER)
            assert await venue.channels() == ["subscriptionResponse", "bbo"]

    run(scenario)


@pytest.mark.parametrize("fault", ["no-ack", "refused-subscription"])
def test_a_subscription_that_was_not_answered_can_be_asked_again(fault: str) -> None:
    async def scenario() -> None:
        async with BrokenVenue() as venue:
            switch = venue.server.switch_on(f"{fault}:{COIN}")
            await venue.subscribe(COIN)
            await venue.channels()
            venue.server.switch_off(switch)
            await venue.subscribe(COIN)
            assert await venue.channels() == ["subscriptionResponse", "bbo"]

    run(scenario)


def test_a_refusal_names_the_subscription() -> None:
    async def scenario() -> None:
        async with BrokenVenue("refused-subscription") as venue:
            await venue.subscribe(COIN)
            [frame] = await venue.frames_until_pong()
            assert frame["data"] == 'Invalid subscription {"type":"bbo","coin":"xyz:TSLA"}'

    run(scenario)


@pytest.mark.parametrize("fault", ["late-coin", "not-listed"])
def test_a_coin_that_the_socket_does_not_know_ends_the_connection(fault: str) -> None:
    async def scenario() -> None:
        async with BrokenVenue(f"{fault}:{COIN}") as venue:
            await venue.subscribe(COIN)
            with pytest.raises(ConnectionClosed):
                await venue.channels()

    run(scenario)


def test_a_frozen_book_is_what_a_later_subscriber_gets() -> None:
    async def scenario() -> None:
        async with BrokenVenue(f"frozen-bbo:{COIN}") as venue:
            venue.move(COIN, time_ms=7)
            for kind in ("bbo", "activeAssetCtx"):
                await venue.subscribe(COIN, kind)
            frames = await venue.frames_until_pong()
            assert [frame["data"]["time"] for frame in frames if frame["channel"] == "bbo"] == [1]
            venue.move(COIN, time_ms=8)
            assert await venue.channels() == ["activeAssetCtx"]

    run(scenario)


def test_error_frames_come_two_hundred_times_a_second() -> None:
    async def scenario() -> None:
        async with BrokenVenue("error-frames") as venue:
            counts: Counter[str] = Counter()
            began_s = asyncio.get_running_loop().time()
            while counts["error"] < 100:
                counts[json.loads(await venue.ws.recv())["channel"]] += 1
            assert 0.3 < asyncio.get_running_loop().time() - began_s < 3

    run(scenario)


def test_an_outage_ends_on_time() -> None:
    async def scenario() -> None:
        async with BrokenVenue() as venue:
            switch = venue.server.switch_on("silent-sockets")
            await asyncio.sleep(0.15)  # outages are played every 50 ms
            venue.move(COIN)
            await venue.ws.send('{"method":"ping"}')
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(venue.ws.recv(), timeout=0.2)
            venue.server.switch_off(switch)
            await asyncio.sleep(0.15)
            assert await venue.channels() == []

    run(scenario)


def test_connections_are_refused_and_dropped() -> None:
    async def scenario() -> None:
        async with BrokenVenue("refused-connections@0.3", "dropped-connections@0.5") as venue:
            await eventually("the connection is dropped", lambda: venue.server.connection_count == 0)
            with pytest.raises(InvalidStatus, match="503"):
                await venue.connect()

    run(scenario)


def test_a_mistake_in_a_switch_is_said_when_it_is_switched_on() -> None:
    with pytest.raises(FaultSpecError, match="frozen-bbo"):
        VenueServer(UNIVERSE).switch_on("frozen-bo")
