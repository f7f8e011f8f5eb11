"""One probe of a venue: it reads the lists of markets, then hears two sockets."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain, repeat
from typing import Any

import aiohttp

from feed.connection import Connection
from feed.info_requests import WEIGHT, InfoRequests, UniverseError
from feed.listing import read_listing
from feed.probe.sockets import SocketNotes, Twins
from feed.proxy import proxy_of
from feed.rate_limits import VenueLimits
from feed.wire import decimal
from feed.witness import SocketWitness
from hip3_tasks.clock import FeedClock
from hip3_tasks.domain.market import dex_of
from hip3_tasks.errors import BadSelection, Unavailable
from hip3_tasks.settings import Settings

MAX_CONNECTS, MAX_MESSAGES = 14, 500
"""In a minute, of both sockets: half of the venue's limit or less, so that a feed on the same IP has the rest."""
CHECK_INTERVAL_S = 0.1
MAX_WEIGHT, MAX_TRIES = 400, 2
"""A third of the weight that the venue allows an IP in a minute; a feed's start fits beside it."""
MAX_DEXES = 16
"""Dexes that are asked for volumes, one by one; a venue may have hundreds."""


class VenueLists:
    """The lists, as far as they were read."""

    def __init__(self) -> None:
        self.dexes: list[str] = []
        self.live: dict[str, float] = {}
        """The live coins of the dexes that were read, each with its volume of the day in USD."""
        self.odd_fees: dict[str, str] = {}
        """The live coins whose fee a feed would not understand, with the form."""
        self.broken: dict[str, str] = {}
        """The lists that could not be read, with the reason: dexes, `perpDexs`, `allPerpMetas`."""
        self.delisted = 0

    def busiest(self, number: int) -> list[str]:
        return sorted(self.live, key=lambda coin: (-self.live[coin], coin))[:number]

    def summary(self) -> dict[str, Any]:
        limits = {
            "subscriptions_needed": 2 * len(self.live) if self.live else None,
            "weight_one_by_one": WEIGHT * (len(self.dexes) + 1) if self.dexes else None,
            "odd_fees": self.odd_fees if self.live else None,
        }
        return {**vars(self), **limits}

    async def read(self, info: InfoRequests) -> None:
        try:
            self.dexes = list(await info.dex_names())
        except UniverseError as error:
            self.broken["perpDexs"] = error.why
            return
        try:
            await info.ask({"type": "allPerpMetas"})
        except UniverseError as error:
            self.broken["allPerpMetas"] = error.why
        for dex in self.dexes[:MAX_DEXES]:
            try:
                self._take(await info.ask({"type": "metaAndAssetCtxs", "dex": dex}))
            except UniverseError as error:
                self.broken[dex] = error.why
            except ValueError as error:
                self.broken[dex] = str(error)
        self.broken |= dict.fromkeys(self.dexes[MAX_DEXES:], "not asked, since there are many")

    def _take(self, answer: Any) -> None:
        """Take a `metaAndAssetCtxs`. Raises ValueError."""
        if not isinstance(answer, list) or len(answer) != 2:
            raise ValueError("the answer is no pair of meta and contexts")
        meta, ctxs = answer
        listing = read_listing(meta)
        if not listing.live and not listing.delisted:
            raise ValueError("its list of markets is empty")
        self.delisted += len(listing.delisted)
        self.live.update(dict.fromkeys(listing.live, 0.0))
        for asset, ctx in zip(
            meta["universe"], chain(ctxs if isinstance(ctxs, list) else [], repeat(None)), strict=False
        ):
            name = str(asset.get("name")) if isinstance(asset, dict) else ""
            if name in listing.assumed:
                fields = [f"{key} {asset[key]!r}" for key in asset if "fee" in key.lower() and "Time" not in key]
                self.odd_fees[name] = ", ".join(fields)[:80]
            if name in listing.live:
                with suppress(KeyError, TypeError, ValueError):
                    self.live[name] = decimal(ctx["dayNtlVlm"])


class Probe:
    """Measures the venue of the settings; `coins` are its markets, or how many of the busiest."""

    def __init__(self, settings: Settings, *, seconds: float, coins: Sequence[str] | int) -> None:
        self.settings = settings
        self._seconds, self._coins, self._proxy = seconds, coins, proxy_of(settings)
        self.lists, self.twins = VenueLists(), Twins()
        self.sockets = [SocketNotes(number, self.twins) for number in (0, 1)]
        self.heard_s = 0.0
        self.is_complete = False
        """False until the whole time has passed."""

    @property
    def best(self) -> SocketNotes:
        """The socket that brought more; markets are described as it shows them."""
        return max(self.sockets, key=lambda notes: notes.frames.total())

    async def run(self) -> None:
        """Measure until the time is over or this is cancelled. Raises Unavailable and BadSelection."""
        with suppress(asyncio.CancelledError):
            async with aiohttp.ClientSession() as session:
                url = self.settings.base_url
                info = InfoRequests(session, url, proxy=self._proxy, max_weight=MAX_WEIGHT, max_tries=MAX_TRIES)
                await self.lists.read(info)
            await self._hear(self._chosen())
            self.is_complete = True

    def _chosen(self) -> list[str]:
        live = self.lists.live
        coins = self.lists.busiest(self._coins) if isinstance(self._coins, int) else list(self._coins)
        if not coins:
            reasons = "; ".join(f"{name}: {why}" for name, why in self.lists.broken.items())
            raise Unavailable(f"{self.settings.base_url}/info: no live market; {reasons}")
        unknown = [coin for coin in coins if coin not in live and dex_of(coin) not in self.lists.broken]
        if live and unknown:  # a coin of a dex that could not be read may be right
            raise BadSelection(f"--coins: the venue has no live market {', '.join(unknown)}")
        return coins

    async def _hear(self, coins: Sequence[str]) -> None:
        clock, limits = FeedClock(), VenueLimits(connects=MAX_CONNECTS, messages=MAX_MESSAGES)
        connections = [self._connection(notes, coins, clock, limits) for notes in self.sockets]
        tasks = [asyncio.create_task(connection.run()) for connection in connections]
        began_at_ms = clock.now_ms()
        try:
            await self._wait(connections)
        finally:
            now_ms = clock.now_ms()
            self.heard_s = (now_ms - began_at_ms) / 1000
            for notes, connection in zip(self.sockets, connections, strict=True):
                troubles = {coin: connection.subscriptions.trouble(coin) for coin in connection.coins}
                notes.finish(now_ms, {coin: text for coin, text in troubles.items() if text is not None})
            self.twins.finish(now_ms)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _connection(
        self, notes: SocketNotes, coins: Sequence[str], clock: FeedClock, limits: VenueLimits
    ) -> Connection:
        url = "ws" + self.settings.base_url.removeprefix("http") + "/ws"
        witness = SocketWitness(stall_grace_ms=self.settings.stall_grace_ms)
        connection = Connection(url, clock=clock, limits=limits, listener=notes, witness=witness, proxy=self._proxy)
        for coin in coins:
            witness.follow(coin)
        notes.follow(coins)
        connection.follow(coins)
        return connection

    async def _wait(self, connections: Sequence[Connection]) -> None:
        """Wait until the time is over. Raises Unavailable when a first connection cannot be made."""
        ends_at_s = asyncio.get_running_loop().time() + self._seconds
        while (left_s := ends_at_s - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(min(CHECK_INTERVAL_S, left_s))
            for notes, connection in zip(self.sockets, connections, strict=True):
                if notes.losses and not connection.connects:
                    raise Unavailable(connection.trouble)
