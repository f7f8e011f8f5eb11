"""The whole venue as an endless, seeded sequence of pushes in virtual time: no clock, no network."""

import heapq
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from random import Random

from simulator.context import Context
from simulator.dex import Dex
from simulator.listing import MarketListing
from simulator.live import LiveMarket
from simulator.pushes import CtxPush, Push

BLOCK_MS = (65, 70)
BLOCK_AGE_MS = 250.0
BLOCK_AGE_SPREAD_MS = 12.0
MAX_AGE_SPREAD_MS = 30.0
HEARTBEAT_MS = 1_008
FIRST_UPDATE_MS = (500.0, 1_500.0)

Event = Callable[[int], Iterable[Push]]


class VenueModel:
    """The same listings, rate and seed always give the same pushes."""

    def __init__(self, listings: list[MarketListing], *, rate_per_s: float, seed: int) -> None:
        self._rng = Random(seed)  # nosec B311  # no secret, a market
        self._timeline: list[tuple[float, int, Event]] = []
        self._order = count()
        self._listings = listings
        live = [listing for listing in listings if not listing.is_delisted]
        self._dexes = [
            Dex(markets, rate_per_s=rate_per_s * len(markets) / len(live), rng=self._rng)
            for markets in _by_dex(live).values()
        ]
        self._markets = [market for dex in self._dexes for market in dex.markets]

    def pushes(self) -> Iterator[Push]:
        """Yield the state of every market at 0 ms, then every change and heartbeat, in order of time. Never ends."""
        yield from self._opening()
        self._schedule_all()
        while True:
            at_ms, _, event = heapq.heappop(self._timeline)
            yield from event(int(at_ms))

    def _opening(self) -> Iterator[Push]:
        for listing in self._listings:
            if listing.is_delisted:
                yield CtxPush(at_ms=0, coin=listing.coin, ctx=Context.frozen(listing, rng=self._rng))
        for live in self._markets:
            yield live.ctx_push(0)
            yield live.bbo_push(0, age_ms=round(BLOCK_AGE_MS))

    def _schedule_all(self) -> None:
        self._schedule_event(0.0, self._block)
        for dex in self._dexes:
            self._schedule_event(self._rng.uniform(*FIRST_UPDATE_MS), self._oracle_update(dex))
            self._schedule_event(dex.gap_to_book_jump_ms(), self._book_jump(dex))
        for live in self._markets:
            self._schedule_event(self._rng.uniform(0.0, HEARTBEAT_MS), self._heartbeat(live))

    def _schedule_event(self, at_ms: float, event: Event) -> None:
        heapq.heappush(self._timeline, (at_ms, next(self._order), event))

    def _block(self, at_ms: int) -> Iterator[Push]:
        """Send all books that changed since the last block, together and with the same delay."""
        self._schedule_event(at_ms + self._rng.randint(*BLOCK_MS), self._block)
        deviation_ms = self._rng.gauss(0.0, BLOCK_AGE_SPREAD_MS)
        age_ms = round(BLOCK_AGE_MS + max(-MAX_AGE_SPREAD_MS, min(deviation_ms, MAX_AGE_SPREAD_MS)))
        for live in self._markets:
            if live.market.next_bbo_ms <= at_ms and live.market.move_book(at_ms):
                yield live.bbo_push(at_ms, age_ms=age_ms)

    def _oracle_update(self, dex: Dex) -> Event:
        def update(at_ms: int) -> Iterator[Push]:
            self._schedule_event(at_ms + dex.gap_to_update_ms(), update)
            yield from dex.update_oracle(at_ms)

        return update

    def _book_jump(self, dex: Dex) -> Event:
        def jump(at_ms: int) -> Iterable[Push]:
            self._schedule_event(at_ms + dex.gap_to_book_jump_ms(), jump)
            dex.jump_a_book(at_ms)
            return ()

        return jump

    def _heartbeat(self, live: LiveMarket) -> Event:
        def beat(at_ms: int) -> Iterable[Push]:
            self._schedule_event(at_ms + HEARTBEAT_MS, beat)
            return (live.ctx_push(at_ms),)

        return beat


def _by_dex(listings: list[MarketListing]) -> dict[str, list[MarketListing]]:
    by_dex: dict[str, list[MarketListing]] = {}
    for listing in listings:
        by_dex.setdefault(listing.dex, []).append(listing)
    return by_dex
