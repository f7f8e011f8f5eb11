"""Reads the tape as a log: every entry since an instant, market by market, for the recorder."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import redis

from hip3_tasks.store.keys import Keys
from hip3_tasks.store.tape import RawEntries, int_or_none

FIRST_MS = 10**12
"""On a server that was emptied, the gap in place of all that was lost begins with the epoch."""

# KEYS: watermark, then some tapes.  ARGV: the instants after which and up to which to read.
# Returns the watermark, then for each tape its entry in force at the first instant, and those after it.
# `ms` alone as the end of a range means the last entry of that millisecond, as the start its first one.
READ_LOG = """
local reply = {redis.call('GET', KEYS[1])}
for i = 2, #KEYS do
  reply[#reply + 1] = redis.call('XREVRANGE', KEYS[i], ARGV[1], '-', 'COUNT', 1)
  reply[#reply + 1] = redis.call('XRANGE', KEYS[i], ARGV[1] + 1, ARGV[2])
end
return reply
"""


class LogPart(NamedTuple):
    """One market's part of the log."""

    coin: str
    in_force: RawEntries
    """The entry in force at the instant after which was read; empty when the tape has none."""
    entries: RawEntries


class TapeLog:
    """Reads the log of one feed. Every method may raise redis.RedisError."""

    def __init__(self, client: "redis.Redis", keys: Keys) -> None:
        self._client, self._keys = client, keys
        self._read = client.register_script(READ_LOG)

    def watermark_ms(self) -> int | None:
        return int_or_none(self._client.get(self._keys.watermark))

    def coins(self) -> list[str]:
        """The coins that have a tape, sorted."""
        members: Any = self._client.smembers(self._keys.tapes)
        return sorted(coin.decode() for coin in members)

    def first_ms(self, coins: Sequence[str], *, after_ms: int = FIRST_MS - 1) -> int | None:
        """The instant of the oldest entry of all tapes after an instant; None without an entry."""
        pipe = self._client.pipeline(transaction=False)
        for coin in coins:
            pipe.xrange(self._keys.tape(coin), min=after_ms + 1, count=1)
        firsts = [int(entries[0][0].partition(b"-")[0]) for entries in pipe.execute() if entries] if coins else []
        return min(firsts, default=None)

    def read(self, coins: Sequence[str], *, after_ms: int, up_to_ms: int) -> list[LogPart] | None:
        """The entries of some coins after one instant, up to another, which the tape must be complete to.

        One atomic round-trip. None when the server's watermark is lower: it has lost data.
        """
        keys = [self._keys.watermark, *map(self._keys.tape, coins)]
        watermark, *parts = self._read(keys, [after_ms, up_to_ms])
        if (int_or_none(watermark) or 0) < up_to_ms:
            return None
        return [
            LogPart(coin, *pair) for coin, pair in zip(coins, zip(parts[::2], parts[1::2], strict=True), strict=True)
        ]
