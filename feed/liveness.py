"""Looks after silent markets and sockets: a gap and a renewal for the one, a new connection for the other.

A market's trouble never closes the socket of other dexes' markets, and a measure that brought nothing is repeated after
a growing pause.
"""

import asyncio
from collections import Counter, defaultdict

import structlog

from feed.backoff import Backoff
from feed.connection import Connection
from feed.followed_markets import FollowedMarkets
from feed.witness import NOT_HEARD
from hip3_tasks.clock import FeedClock
from hip3_tasks.domain.market import dex_of
from hip3_tasks.terminal_text import counted

log = structlog.get_logger()

CHECK_INTERVAL_S = 0.5
MAX_RENEWALS = 2
"""Renewals of a connection at one check: a dex that is silent as a whole must not use up the message budget."""
NEXT_FRAME_MS = 2_000
"""A market whose frames cannot be used is left to its next frame for so long; a quiet one may have none for minutes."""
RENEWAL_PAUSE_MS, ABORT_PAUSE_MS, MAX_PAUSE_MS = 4_000, 15_000, 60_000
GIVEN_UP_RED, MINUTE_MS = 3, 60_000


class Liveness:
    """Looks after the connections of a feed."""

    def __init__(self, markets: FollowedMarkets, *, clock: FeedClock) -> None:
        self._markets, self._clock = markets, clock
        self._renewals = defaultdict[str, Backoff](lambda: Backoff(RENEWAL_PAUSE_MS, MAX_PAUSE_MS))
        self._aborts = defaultdict[Connection, Backoff](lambda: Backoff(ABORT_PAUSE_MS, MAX_PAUSE_MS))

    async def run(self) -> None:
        """Check twice a second, until cancelled."""
        while True:
            await asyncio.sleep(CHECK_INTERVAL_S)
            now_ms = self._clock.now_ms()
            for connection in self._markets.connections:
                self.check(connection, now_ms)

    def problems(self, at_ms: int) -> list[str]:
        """The problem of connections that are given up again and again."""
        causes = [
            cause
            for c in self._markets.connections
            for given_up_ms, cause in c.given_up
            if at_ms - given_up_ms < MINUTE_MS
        ]
        if len(causes) < GIVEN_UP_RED:
            return []
        cause, _ = Counter(causes).most_common(1)[0]
        return [f"{len(causes)} connections were given up within a minute, mostly: {cause}"]

    def check(self, connection: Connection, now_ms: int) -> None:
        """Put markets that the socket no longer knows into gaps, and try what may help."""
        witness = connection.witness
        if witness.last_data_at_ms is None:
            return
        silent: list[str] = []
        unusable: list[str] = []
        for coin in connection.coins:
            objection = witness.objection(coin, now_ms)
            if objection is None or objection in NOT_HEARD.values():
                continue
            self._markets.begin_gap(coin, objection.cause, last_data_at_ms=witness.last_data_at_ms)
            if objection.blames_socket:
                silent.append(coin)
            elif now_ms - self._markets.states[coin].unknown_since_ms >= NEXT_FRAME_MS:
                unusable.append(coin)
        if self._is_half_dead(connection, silent) and self._aborts[connection].take(now_ms):
            for coin in connection.coins:  # the others may be silent as well, and not yet for long enough
                witness.renew(coin)
            connection.abort(
                f"half-dead: {len(silent)} of {counted(len(connection.coins), 'market', 'markets')} silent"
            )
        else:
            self._renew(connection, silent + unusable, now_ms)

    def _is_half_dead(self, connection: Connection, silent: list[str]) -> bool:
        """Whether of every dex on this connection more than half of the markets are silent."""
        followed, lost = Counter(map(dex_of, connection.coins)), Counter(map(dex_of, silent))
        return len(silent) > 1 and all(2 * lost[dex] > count for dex, count in followed.items())

    def _renew(self, connection: Connection, coins: list[str], now_ms: int) -> None:
        renewed = 0
        for coin in coins:
            if renewed == MAX_RENEWALS:
                return
            if self._renewals[coin].take(now_ms):
                renewed += 1
                log.warning("market_renewed", coin=coin, cause=self._markets.states[coin].cause)
                connection.resubscribe(coin)
