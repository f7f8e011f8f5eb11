"""Reads the list of markets from the venue's info endpoint, in parts: one that fails costs no other part."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import structlog

from feed.backoff import Backoff
from feed.info_requests import InfoRequests, Timer, UniverseError
from feed.listing import Listing, dex_of_meta, read_listing
from feed.wire import Bbo, touch_of
from hip3_tasks.clock import wall_ms
from hip3_tasks.settings import Settings

log = structlog.get_logger()

MAX_REQUESTS_AT_ONCE = 4
MAX_RETRIED = 20
"""Broken dexes that are asked in one go."""
FIRST_PAUSE_MS, MAX_PAUSE_MS = 5_000, 60_000
"""Between two attempts to read the dexes that are broken."""
FIRST_UNIVERSE_PAUSE_MS, MAX_UNIVERSE_PAUSE_MS = 2_000, 10_000
"""Between two attempts to read the universe, when the venue does not answer."""
NO_ALL_METAS_S = 3_600.0
"""Time until `allPerpMetas` is asked again of a venue that does not have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A dex whose markets cannot be read."""

    cause: str
    since_ms: int
    attempts: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Universe:
    """The dexes of the venue, and the markets of the dexes that were read."""

    dexes: frozenset[str] = frozenset()
    """All dexes of the venue, read or not."""
    dexes_read: frozenset[str] = frozenset()
    """The dexes that were read once or more; their markets are those of the last reading."""
    live: Mapping[str, float] = field(default_factory=dict)
    """The live coins, each with its taker fee in bps."""
    delisted: tuple[str, ...] = ()
    """The coins that the venue lists, but no longer trades."""
    assumed: frozenset[str] = frozenset()
    """The live coins whose fee the venue gives in a form that is not understood."""
    broken: Mapping[str, Broken] = field(default_factory=dict)
    """The dexes that could not be read when they were last asked."""
    unread: frozenset[str] = frozenset()
    """The dexes that are wanted and were not asked yet."""
    trouble: str | None = None
    """The reason why nothing is read at present."""

    @property
    def listed(self) -> frozenset[str]:
        return frozenset(self.live).union(self.delisted)


class InfoClient:
    """The info endpoint of one venue. All requests share one limit and wait for their turn."""

    def __init__(
        self, session: aiohttp.ClientSession, base_url: str, *, proxy: str | None = None, timer: Timer | None = None
    ) -> None:
        self.broken: dict[str, Broken] = {}
        """The dexes that are wanted and cannot be read, the one that was asked last at the end."""
        self._timer = timer or Timer()
        self._requests = InfoRequests(session, base_url, proxy=proxy, timer=self._timer, on_wait=self._changed)
        self._gate = asyncio.Semaphore(MAX_REQUESTS_AT_ONCE)
        self._on_change: Callable[[Universe], None] | None = None
        self._failure: str | None = None
        self._dexes: frozenset[str] = frozenset()
        self._wanted: frozenset[str] = frozenset()
        self._listings: dict[str, Listing] = {}
        self._doubted: dict[str, tuple[Listing, float]] = {}
        """Readings that drop so much that they must be confirmed, and when they were made, in s."""
        self._refresh_s = 0.0
        self._all_metas_from_s = 0.0

    @property
    def universe(self) -> Universe:
        """The last readings of all dexes that are wanted."""
        listings = self._listings.values()
        wanted = self._wanted & self._dexes if self._wanted else self._dexes
        return Universe(
            dexes=self._dexes,
            dexes_read=frozenset(self._listings),
            live={coin: fee_bps for listing in listings for coin, fee_bps in listing.live.items()},
            delisted=tuple(coin for listing in listings for coin in listing.delisted),
            assumed=frozenset(coin for listing in listings for coin in listing.assumed),
            broken=dict(self.broken),
            unread=wanted - self._listings.keys() - self.broken.keys(),
            trouble=self._requests.waiting or self._failure,
        )

    async def watch(self, chosen: Settings, on_change: Callable[[Universe], None]) -> None:
        """Read the markets of the wanted dexes, or of all if none is named, at intervals until cancelled.

        `on_change` is called after each part that was read or could not be read. Dexes that the venue does not have
        are skipped.
        """
        self._wanted, self._on_change = frozenset(chosen.wanted_dexes), on_change
        self._refresh_s = chosen.universe_refresh_s
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read_at_intervals())
            group.create_task(self._retry_broken())

    async def book(self, coin: str) -> Bbo | None:
        """Read the touch and its block time by `l2Book`; None for a coin that the venue does not have.

        Waits for its place in the limit of requests. Raises UniverseError.
        """
        question = {"type": "l2Book", "coin": coin}
        answer = await self._requests.ask(question)
        try:
            return None if answer is None else touch_of(answer, coin)
        except ValueError as error:
            raise self._requests.error(question, str(error)) from None

    async def _read_at_intervals(self) -> None:
        pauses = Backoff(FIRST_UNIVERSE_PAUSE_MS, MAX_UNIVERSE_PAUSE_MS)
        while True:
            began_s = self._timer.now_s()
            try:
                await self._read_all()
            except UniverseError as error:
                self._failure = str(error)
                log.error("universe_unknown", error=self._failure)
                self._changed()
                await self._timer.sleep(pauses.postpone() / 1000)
            else:
                pauses.pause_ms = 0
                await self._timer.sleep(max(0.0, began_s + self._refresh_s - self._timer.now_s()))

    async def _read_all(self) -> None:
        metas = await self._all_metas()
        if metas is None:
            metas = await self._requests.dex_names()
        self._failure = None
        for dex in (self._listings.keys() | self.broken.keys()) - metas.keys():
            self._accept(dex, Listing(live={}))
            if not self._listings[dex].live:
                del self._listings[dex]
        self._dexes = frozenset(metas).union(self._listings)
        wanted = [dex for dex in metas if not self._wanted or dex in self._wanted]
        unread = [dex for dex in wanted if not self._take(dex, metas[dex])]
        self._changed()
        async with asyncio.TaskGroup() as group:
            for dex in unread:
                group.create_task(self._ask_in_turn(dex))

    async def _retry_broken(self) -> None:
        """Ask broken dexes again, also while a reading of many dexes waits for its turn."""
        pauses = Backoff(FIRST_PAUSE_MS, MAX_PAUSE_MS)
        while True:
            await self._timer.sleep(pauses.postpone() / 1000)
            if not self.broken:
                pauses.pause_ms = 0
            for dex in list(self.broken)[:MAX_RETRIED]:
                await self._ask(dex)

    async def _all_metas(self) -> dict[str, Any] | None:
        """The metas by dex, None for one that must be asked alone; None for a venue that has not this question."""
        if self._timer.now_s() < self._all_metas_from_s:
            return None
        try:
            metas = await self._requests.ask({"type": "allPerpMetas"})
        except UniverseError as error:
            if error.status is not None and error.status < 500:
                self._all_metas_from_s = self._timer.now_s() + NO_ALL_METAS_S
            log.info("no_all_perp_metas", error=str(error))
            return None
        if not isinstance(metas, list):
            return None
        shown = list(map(dex_of_meta, metas))
        by_dex = {dex: meta for dex, meta in zip(shown, metas, strict=True) if dex is not None}
        if None not in shown[1:] and not self._listings.keys() - by_dex.keys():  # the first are the venue's own perps
            return by_dex
        try:
            names = await self._requests.dex_names()
        except UniverseError as error:
            log.warning("dexes_unknown", error=str(error))
            names = dict.fromkeys(self._listings)
        return names | by_dex  # a dex without the name of a market is asked alone

    def _take(self, dex: str, meta: Any) -> bool:
        """Take the dex's part of a larger answer; False if the dex must be asked alone."""
        if meta is None:
            return False
        with suppress(ValueError):
            self._accept(dex, read_listing(meta))
            return True
        return False

    async def _ask_in_turn(self, dex: str) -> None:
        async with self._gate:
            await self._ask(dex)

    async def _ask(self, dex: str) -> None:
        try:
            self._accept(dex, read_listing(await self._requests.ask({"type": "meta", "dex": dex})))
        except UniverseError as error:
            self._break(dex, error.why)
        except ValueError as error:
            self._break(dex, str(error))
        self._changed()

    def _accept(self, dex: str, listing: Listing) -> None:
        """Replace the listing of a dex; one that drops much counts when a reading at a later interval confirms it."""
        present, doubted = self._listings.get(dex), self._doubted.pop(dex, None)
        if present is not None and present.drops_too_much(listing):
            now_s = self._timer.now_s()
            if doubted is None or now_s - doubted[1] < self._refresh_s / 2:
                self._doubted[dex] = doubted or (listing, now_s)
                listing = present
            else:
                listing = doubted[0].confirmed_by(listing)
                log.warning("markets_dropped", dex=dex, live=len(listing.live), before=len(present.live))
        self._listings[dex] = listing
        if self.broken.pop(dex, None) is not None:
            log.info("dex_readable", dex=dex)

    def _break(self, dex: str, cause: str) -> None:
        before = self.broken.pop(dex, None)  # the dex that was asked last stands last
        if before is None or before.cause != cause:
            log.warning("dex_unreadable", dex=dex, cause=cause)
        since_ms, attempts = (before.since_ms, before.attempts + 1) if before else (wall_ms(), 1)
        self.broken[dex] = Broken(cause=cause, since_ms=since_ms, attempts=attempts)

    def _changed(self) -> None:
        if self._on_change is not None:
            self._on_change(self.universe)
