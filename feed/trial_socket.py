"""Tries coins on a short-lived socket of their own."""

import asyncio
from collections.abc import Collection

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from feed.connection import OPEN_TIMEOUT_S
from feed.rate_limits import VenueLimits
from feed.refusal import in_words
from feed.subscriptions import CHANNELS, SocketRequest
from feed.wire import Ack, Bbo, Ctx, parse_frame
from hip3_tasks.errors import MalformedFrame

log = structlog.get_logger()

TRIAL_TIMEOUT_S = 4.0
"""A coin that has not ended the socket by then joins the others, acknowledged or not."""


async def ends_socket(coins: Collection[str], *, url: str, proxy: str | None, limits: VenueLimits) -> bool | None:
    """Whether a socket with these coins alone ends without a close frame; None if that could not be tried."""
    await limits.connects.take()
    try:
        async with connect(url, proxy=proxy, ping_interval=None, open_timeout=OPEN_TIMEOUT_S, close_timeout=0.5) as ws:
            return await _ends(ws, coins, limits)
    except (OSError, TimeoutError, WebSocketException) as error:
        log.warning("probe_failed", url=url, error=in_words(error, within_s=OPEN_TIMEOUT_S, proxy=proxy))
        return None


async def _ends(ws: ClientConnection, coins: Collection[str], limits: VenueLimits) -> bool | None:
    try:
        for coin in coins:
            for channel in CHANNELS:
                await limits.messages.take()
                await ws.send(SocketRequest("subscribe", channel, coin).text)
        async with asyncio.timeout(TRIAL_TIMEOUT_S):
            await _first_data(ws, coins)
    except TimeoutError:
        return False
    except ConnectionClosed as error:
        return True if error.rcvd is None else None
    return False


async def _first_data(ws: ClientConnection, coins: Collection[str]) -> None:
    """Wait until every channel is acknowledged, and every coin has data."""
    missing = {(coin, kind) for coin in coins for kind in (*CHANNELS, "data")}
    while missing:
        try:
            frame = parse_frame(await ws.recv())
        except MalformedFrame:
            continue
        if isinstance(frame, Ack):
            missing.discard((frame.coin, frame.type))
        elif isinstance(frame, Bbo | Ctx):
            missing.discard((frame.coin, "data"))
