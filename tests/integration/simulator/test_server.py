"""The simulated venue over real sockets, used by a client that knows only its base URL."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from simulator.limits import Limits
from simulator.server import VenueServer
from simulator.trades import SimulatedTrade
from simulator.wire import asset_ctx
from tests.support.waiting import eventually_async as eventually

UNIVERSE = {
    "xyz": [
        {"name": "xyz:TSLA", "szDecimals": 3, "maxLeverage": 20, "growthMode": "enabled"},
        {"name": "xyz:AAPL", "szDecimals": 3, "maxLeverage": 20},
        {"name": "xyz:OLD", "szDecimals": 3, "maxLeverage": 20, "isDelisted": True},
    ]
}
BID, ASK = ("431.2", "3.0"), ("431.25", "2.0")


@asynccontextmanager
async def venue(**options: Any) -> AsyncIterator[VenueServer]:
    server = VenueServer(UNIVERSE, **options)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def client(server: VenueServer, **options: Any) -> AsyncIterator[ClientConnection]:
    async with connect(f"{server.base_url.replace('http', 'ws', 1)}/ws", close_timeout=1, **options) as ws:
        yield ws


@asynccontextmanager
async def greeted(server: VenueServer) -> AsyncIterator[ClientConnection]:
    async with client(server) as ws:
        await receive_text(ws)
        yield ws


async def receive_text(ws: ClientConnection) -> str:
    async with asyncio.timeout(5):
        return await ws.recv(decode=True)


async def receive(ws: ClientConnection) -> dict[str, Any]:
    return json.loads(await receive_text(ws))


async def send(ws: ClientConnection, method: str, kind: str = "bbo", coin: str = "xyz:TSLA") -> None:
    await ws.send(json.dumps({"method": method, "subscription": {"type": kind, "coin": coin}}))


async def subscribe(ws: ClientConnection, coin: str = "xyz:TSLA", kind: str = "bbo") -> None:
    await send(ws, "subscribe", kind, coin)
    assert (await receive(ws))["channel"] == "subscriptionResponse"


async def pong_is_next(ws: ClientConnection) -> None:
    """Check that no frame waits: the answer to a ping sent now is the next frame."""
    await ws.send('{"method":"ping"}')
    assert await receive_text(ws) == '{"channel":"pong"}'


async def closed_with(ws: ClientConnection) -> tuple[int, str]:
    try:
        async with asyncio.timeout(5):
            while True:
                await ws.recv()
    except ConnectionClosed as closed:
        return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")


async def ask_info(server: VenueServer, body: Any) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{server.base_url}/info", json=body) as response,
    ):
        return response.status, await response.json()


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), timeout=15))


def test_a_connection_is_greeted_in_plain_text_and_a_ping_is_answered() -> None:
    async def scenario() -> None:
        async with venue() as server, client(server) as ws:
            assert await receive_text(ws) == "Websocket connection established."
            await pong_is_next(ws)

    run(scenario)


def test_info_answers_over_http() -> None:
    async def scenario() -> None:
        async with venue() as server:
            server.publish_ctx("xyz:TSLA", asset_ctx(oracle_px="431.2"))
            server.publish_ctx("xyz:OLD", asset_ctx(oracle_px="7.0"))
            assert await ask_info(server, {"type": "meta", "dex": "nope"}) == (500, None)
            status, (meta, ctxs) = await ask_info(server, {"type": "metaAndAssetCtxs", "dex": "xyz"})
            assert (status, meta["universe"]) == (200, UNIVERSE["xyz"])
            assert [ctx["oraclePx"] for ctx in ctxs] == ["431.2", "0.0", "7.0"]
            assert server.info_requests == {"meta": 1, "metaAndAssetCtxs": 1}

    run(scenario)


@pytest.mark.parametrize(
    ("content_type", "body", "status", "text"),
    [
        ("application/json", '{"type":', 400, "Failed to parse the request body as JSON"),
        ("text/plain", '{"type":"meta"}', 415, "Expected request with `Content-Type: application/json`"),
        ("application/json", '{"type":"nope"}', 422, "Failed to deserialize the JSON body into the target type"),
    ],
)
def test_a_request_that_cannot_be_read_is_answered_in_plain_text(
    content_type: str, body: str, status: int, text: str
) -> None:
    async def scenario() -> None:
        async with venue() as server, aiohttp.ClientSession() as session:
            headers = {"Content-Type": content_type}
            async with session.post(f"{server.base_url}/info", data=body, headers=headers) as response:
                assert (response.status, response.content_type, await response.text()) == (status, "text/plain", text)
            async with session.get(f"{server.base_url}/info") as response:
                assert response.status == 405

    run(scenario)


def test_the_weight_of_info_requests_is_limited() -> None:
    async def scenario() -> None:
        async with venue(limits=Limits(info_weight_per_minute=45)) as server:
            statuses = [(await ask_info(server, {"type": "meta", "dex": "xyz"}))[0] for _ in range(3)]
            assert statuses == [200, 200, 429]
            assert (await ask_info(server, {"type": "l2Book", "coin": "xyz:TSLA"}))[0] == 200
            assert server.violations == {"info_weight_per_minute": 1}

    run(scenario)


async def channel_data(ws: ClientConnection, channel: str) -> Any:
    frame = await receive(ws)
    assert frame["channel"] == channel
    return frame["data"]


def test_a_whole_book_comes_at_once_and_then_by_its_own_clock() -> None:
    async def scenario() -> None:
        async with venue() as server, greeted(server) as ws:
            server.publish_bbo("xyz:TSLA", BID, ASK, time_ms=1)
            wanted = {"type": "l2Book", "coin": "xyz:TSLA", "fast": True}
            await ws.send(json.dumps({"method": "subscribe", "subscription": wanted}))
            ack = await channel_data(ws, "subscriptionResponse")
            assert ack["subscription"] == wanted | {"nSigFigs": None, "mantissa": None}
            for _ in range(2):
                bids, asks = (await channel_data(ws, "l2Book"))["levels"]
                assert (bids[0]["px"], asks[0]["px"], len(bids)) == (BID[0], ASK[0], 5)

    run(scenario)


def test_trades_candles_and_mids_reach_their_subscribers() -> None:
    async def scenario() -> None:
        async with venue() as server, greeted(server) as ws:
            server.publish_ctx("xyz:TSLA", asset_ctx(oracle_px="431.2", mid_px="431.225"))
            server.publish_trade("xyz:TSLA", SimulatedTrade("B", "431.25", "0.5"), time_ms=60_000)
            await subscribe(ws, kind="trades")
            assert [trade["px"] for trade in await channel_data(ws, "trades")] == ["431.25"]
            for wanted in ({"type": "candle", "coin": "xyz:TSLA", "interval": "1m"}, {"type": "allMids", "dex": "xyz"}):
                await ws.send(json.dumps({"method": "subscribe", "subscription": wanted}))
                assert (await channel_data(ws, "subscriptionResponse"))["subscription"] == wanted
                first = await channel_data(ws, wanted["type"])
            assert first == {"dex": "xyz", "mids": {"xyz:TSLA": "431.225"}}
            server.publish_trade("xyz:TSLA", SimulatedTrade("A", "431.2", "0.25"), time_ms=60_001)
            [trade] = await channel_data(ws, "trades")
            assert (trade["side"], trade["sz"], trade["time"]) == ("A", "0.25", 60_001)
            candle = await channel_data(ws, "candle")
            assert [candle[key] for key in "tocvn"] == [60_000, "431.25", "431.2", "0.75", 2]

    run(scenario)


def test_a_subscriber_gets_ack_then_current_state_then_every_change_of_its_own_coin() -> None:
    async def scenario() -> None:
        async with venue() as server, greeted(server) as ws:
            server.publish_bbo("xyz:TSLA", BID, ASK, time_ms=1)
            await send(ws, "subscribe")
            subscription = {"type": "bbo", "coin": "xyz:TSLA"}
            ack = {"method": "subscribe", "subscription": subscription}
            assert await receive(ws) == {"channel": "subscriptionResponse", "data": ack}
            assert (await receive(ws))["data"]["time"] == 1
            server.publish_bbo("xyz:AAPL", BID, ASK, time_ms=2)
            server.publish_ctx("xyz:TSLA", asset_ctx(oracle_px="431.2"))
            server.publish_bbo("xyz:TSLA", None, ASK, time_ms=3)
            sides = [None, {"px": "431.25", "sz": "2.0", "n": 1}]
            assert (await receive(ws))["data"] == {"coin": "xyz:TSLA", "time": 3, "bbo": sides}
            await send(ws, "unsubscribe")
            assert (await receive(ws))["data"]["method"] == "unsubscribe"
            server.publish_bbo("xyz:TSLA", BID, ASK, time_ms=4)
            await pong_is_next(ws)

    run(scenario)


def test_errors_leave_the_socket_open() -> None:
    async def scenario() -> None:
        async with venue() as server, greeted(server) as ws:
            await subscribe(ws)
            await send(ws, "subscribe")
            message = await receive(ws)
            assert message == {
                "channel": "error",
                "data": 'Already subscribed: {"type":"bbo","coin":"xyz:TSLA"}',
            }
            for text in (
                "{",
                '{"method":"subscribe","subscription":{"type":"noSuchType","coin":"xyz:TSLA"}}',
            ):
                await ws.send(text)
                complaint = f"Error parsing JSON into valid websocket request: {text}"
                assert await receive(ws) == {"channel": "error", "data": complaint}
            await pong_is_next(ws)

    run(scenario)


@pytest.mark.parametrize("coin", ["xyz:NOPE", "xyz:tsla", "TSLA"])
def test_one_unknown_coin_ends_the_transport_without_a_close_frame(coin: str) -> None:
    async def scenario() -> None:
        async with venue() as server, greeted(server) as ws, greeted(server) as other:
            await send(ws, "subscribe", coin=coin)
            assert await closed_with(ws) == (1006, "")
            await pong_is_next(other)

    run(scenario)


def test_a_delisted_coin_is_acked_and_then_silent() -> None:
    async def scenario() -> None:
        async with venue() as server, greeted(server) as ws:
            server.publish_bbo("xyz:OLD", BID, ASK, time_ms=1)
            await subscribe(ws, "xyz:OLD")
            server.publish_bbo("xyz:OLD", BID, ASK, time_ms=2)
            await pong_is_next(ws)
            with pytest.raises(ValueError, match="xyz:NOPE"):
                server.publish_bbo("xyz:NOPE", BID, ASK, time_ms=3)

    run(scenario)


def test_listing_and_delisting_take_effect_at_once() -> None:
    async def scenario() -> None:
        async with venue() as server, greeted(server) as ws:
            await subscribe(ws)
            server.set_universe({"xyz": [{"name": "xyz:NEW"}, {"name": "xyz:TSLA", "isDelisted": True}]})
            server.publish_bbo("xyz:TSLA", BID, ASK, time_ms=1)
            await subscribe(ws, "xyz:NEW")
            server.publish_bbo("xyz:NEW", BID, ASK, time_ms=2)
            assert (await receive(ws))["data"]["coin"] == "xyz:NEW"
            _, meta = await ask_info(server, {"type": "meta", "dex": "xyz"})
            assert [market["name"] for market in meta["universe"]] == ["xyz:NEW", "xyz:TSLA"]

    run(scenario)


def test_dropped_expired_and_refused_connections() -> None:
    async def scenario() -> None:
        async with venue() as server:
            async with greeted(server) as ws:
                server.drop_connections()
                assert await closed_with(ws) == (1006, "")
            async with greeted(server) as ws:
                server.refuse(True)
                server.expire_connections()
                assert await closed_with(ws) == (1000, "Expired")
                with pytest.raises(InvalidStatus, match="503"):
                    await asyncio.wait_for(client(server).__aenter__(), timeout=5)
            server.refuse(False)
            async with greeted(server) as ws:
                await pong_is_next(ws)
            await eventually("the connection is gone", lambda: server.connection_count == 0)
            assert server.connections_opened == 3

    run(scenario)


def test_each_socket_expires_by_its_own_age() -> None:
    async def scenario() -> None:
        async with venue(expire_after_s=0.6) as server, greeted(server) as old:
            await asyncio.sleep(0.3)  # the difference in age is what is tested
            async with greeted(server) as young:
                assert await closed_with(old) == (1000, "Expired")
                await pong_is_next(young)
                assert await closed_with(young) == (1000, "Expired")

    run(scenario)


def test_a_stalled_venue_sends_nothing_not_even_pongs_and_its_frames_are_lost() -> None:
    async def scenario() -> None:
        async with venue() as server, greeted(server) as ws:
            await subscribe(ws)
            server.stall(True)
            server.publish_bbo("xyz:TSLA", BID, ASK, time_ms=1)
            await ws.send('{"method":"ping"}')
            protocol_pong = await ws.ping()
            await send(ws, "subscribe", coin="xyz:AAPL")
            await eventually("one subscription is left", lambda: server.subscriptions_by_coin()["xyz:AAPL"] == 1)
            assert not protocol_pong.done()
            server.stall(False)
            server.publish_bbo("xyz:TSLA", BID, ASK, time_ms=2)
            assert (await receive(ws))["data"]["time"] == 2
            await asyncio.wait_for(await ws.ping(), timeout=5)

    run(scenario)


def test_an_acknowledgement_can_be_late_and_nothing_comes_before_it() -> None:
    async def scenario() -> None:
        async with venue() as server, greeted(server) as ws:
            server.ack_delay_s = 0.3
            await send(ws, "subscribe")
            await pong_is_next(ws)
            server.publish_bbo("xyz:TSLA", BID, ASK, time_ms=1)
            assert (await receive(ws))["channel"] == "subscriptionResponse"
            assert (await receive(ws))["data"]["time"] == 1

    run(scenario)


def test_a_socket_that_was_sent_nothing_is_closed_and_one_that_was_is_not() -> None:
    async def scenario() -> None:
        async with venue(idle_close_s=0.5) as server, greeted(server) as idle, greeted(server) as busy:
            closing = asyncio.create_task(closed_with(idle))
            while not closing.done():
                await pong_is_next(busy)
                await asyncio.wait([closing], timeout=0.05)
            assert closing.result() == (1000, "Inactive")

    run(scenario)


def test_limits_are_enforced_and_counted() -> None:
    async def scenario() -> None:
        limits = Limits(connections=1, subscriptions=1, messages_per_minute=3)
        async with venue(limits=limits) as server, greeted(server) as ws:
            with pytest.raises(InvalidStatus, match="429"):
                await asyncio.wait_for(client(server).__aenter__(), timeout=5)
            await subscribe(ws)
            await send(ws, "subscribe", coin="xyz:AAPL")
            assert (await receive(ws))["channel"] == "error"
            await pong_is_next(ws)
            await ws.send('{"method":"ping"}')
            assert (await receive(ws))["channel"] == "error"
            assert server.violations == {"connections": 1, "subscriptions": 1, "messages_per_minute": 1}

    run(scenario)


def test_counters_follow_connections_and_subscriptions() -> None:
    async def scenario() -> None:
        async with venue() as server:
            async with greeted(server) as first, greeted(server) as second:
                await subscribe(first)
                await subscribe(first, kind="activeAssetCtx")
                await subscribe(second)
                await subscribe(second, "xyz:AAPL")
                assert server.subscriptions_by_coin() == {"xyz:TSLA": 3, "xyz:AAPL": 1}
                assert (server.connection_count, server.connections_opened) == (2, 2)
            await eventually("the connection is gone", lambda: server.connection_count == 0)
            assert not server.subscriptions_by_coin()
            assert not server.violations

    run(scenario)


def test_a_client_that_does_not_read_is_dropped_and_does_not_hold_up_another() -> None:
    async def scenario() -> None:
        async with venue(outbox_limit=50) as server, greeted(server) as ws:
            slow = socket.create_connection(server.base_url.removeprefix("http://").split(":"))
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await _open_by_hand(slow)
            await eventually("both are connected", lambda: server.connection_count == 2)
            for number in range(5_000):
                server.send_raw(f"{number:>4000}")
                assert int(await receive_text(ws)) == number
                if server.connection_count == 1:
                    break
            assert server.clients_dropped > 0
            assert server.connection_count == 1
            slow.close()

    run(scenario)


async def _open_by_hand(sock: socket.socket) -> None:
    """A websocket that is opened and then never read."""
    upgrade = "GET /ws HTTP/1.1\r\nHost: venue\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    key = "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    sock.sendall((upgrade + key).encode())
