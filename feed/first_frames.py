"""Asks for first frames that have not come: a book by the info endpoint, a context by a renewed subscription.

A book that does not change for a minute has no frame until then, if its first one was lost.
"""

import asyncio
from collections import defaultdict

import structlog

from feed.backoff import Backoff
from feed.connection import Listener
from feed.followed_markets import FollowedMarkets
from feed.info_requests import UniverseError
from feed.universe import InfoClient
from hip3_tasks.clock import FeedClock

log = structlog.get_logger()

CHECK_INTERVAL_S = 0.5
BOOK_AFTER_MS, CONTEXT_AFTER_MS = 2_000, 15_000
"""Contexts come every second, or every 14 s on a venue that has slowed them down."""
FIRST_PAUSE_MS, MAX_PAUSE_MS = 4_000, 60_000
MAX_RENEWALS = 1
"""Renewals at one check; each takes four messages of the minute's budget."""


class FirstFrames:
    """The markets that are subscribed and lack a first frame, and when each is asked for again."""

    def __init__(self, markets: FollowedMarkets, books: InfoClient, *, clock: FeedClock, listener: Listener) -> None:
        self._markets, self._books, self._clock, self._listener = markets, books, clock, listener
        self._retries = defaultdict[str, Backoff](lambda: Backoff(FIRST_PAUSE_MS, MAX_PAUSE_MS))

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await asyncio.sleep(CHECK_INTERVAL_S)
            await self.check()

    async def check(self) -> None:
        """Ask for all books that are due, and for one context."""
        unknown = {coin for coin, state in self._markets.states.items() if state.market is None}
        for coin in self._retries.keys() - unknown:
            del self._retries[coin]
        due = [coin for coin in unknown if self._is_due(coin)]
        for coin in due:
            if "book" in self._markets.missing(coin):
                await self._read_book(coin)
        for coin in [coin for coin in due if self._is_due(coin)][:MAX_RENEWALS]:
            self._retries[coin].postpone(self._clock.now_ms())
            self._markets.connection_of[coin].resubscribe(coin)

    def _is_due(self, coin: str) -> bool:
        missing, subscribed_at_ms = self._markets.missing(coin), self._subscribed_at_ms(coin)
        if not missing or subscribed_at_ms is None:
            return False
        after_ms = BOOK_AFTER_MS if "book" in missing else CONTEXT_AFTER_MS
        return self._clock.now_ms() >= max(subscribed_at_ms + after_ms, self._retries[coin].next_at_ms)

    def _subscribed_at_ms(self, coin: str) -> int | None:
        if coin not in self._markets.states:
            return None
        return self._markets.connection_of[coin].subscriptions.acknowledged_at_ms(coin)

    async def _read_book(self, coin: str) -> None:
        self._retries[coin].postpone(self._clock.now_ms())
        subscribed_at_ms = self._subscribed_at_ms(coin)
        try:
            book = await self._books.book(coin)
        except UniverseError as error:
            log.warning("book_not_read", coin=coin, error=str(error))
            return
        # A frame that has come meanwhile is newer, and a later subscription may have missed changes since the answer.
        was_renewed = self._subscribed_at_ms(coin) != subscribed_at_ms
        if book is None or was_renewed or "book" not in self._markets.missing(coin):
            return
        log.info("book_read", coin=coin, block_time_ms=book.time_ms)
        at_ms = self._clock.now_ms()
        self._markets.heard(coin).hear_answer(book, at_ms)
        self._listener.on_data(book, at_ms)
