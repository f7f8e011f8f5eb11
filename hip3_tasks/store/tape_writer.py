"""Writes the tape under the rules of `store.tape`: entries and watermark in one call, and only by the name's owner."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis.asyncio

from hip3_tasks.domain.market import Market, decode_entry
from hip3_tasks.errors import Fenced, MalformedEntry
from hip3_tasks.store.keys import Keys
from hip3_tasks.store.tape import Stamped, int_or_none

LEASE_MS = 5_000

# KEYS: watermark, feed, tapes, then the tape of each entry.
# ARGV: owner, lease ms, watermark the server must have (or ''), 'exactly' or 'least', new watermark (or ''), then
# coin, id, field, value of each entry.  Returns {status, holder or present watermark}.
APPEND = """
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[1] then return {'fenced', holder} end
local present = redis.call('GET', KEYS[1])
if ARGV[4] == 'exactly' then
  if (present or '') ~= ARGV[3] then return {'behind', present} end
elseif ARGV[3] ~= '' and (not present or tonumber(present) < tonumber(ARGV[3])) then
  return {'behind', present}
end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
for i = 4, #KEYS do
  local at = 6 + (i - 4) * 4
  redis.call('SADD', KEYS[3], ARGV[at])
  local reply = redis.pcall('XADD', KEYS[i], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
  if type(reply) == 'table' and reply.err and not string.find(reply.err, 'equal or smaller', 1, true) then
    return reply
  end
end
if ARGV[5] ~= '' and (not present or tonumber(present) < tonumber(ARGV[5])) then
  redis.call('SET', KEYS[1], ARGV[5])
end
return {'ok', present}
"""


# KEYS: tapes, then tapes of coins.  ARGV: the oldest ms to keep, then the coins.
TRIM = """
for i = 2, #KEYS do
  redis.call('XTRIM', KEYS[i], 'MINID', ARGV[1])
  if redis.call('XLEN', KEYS[i]) == 0 then
    redis.call('DEL', KEYS[i])
    redis.call('SREM', KEYS[1], ARGV[i])
  end
end
"""
TRIM_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class TapeEnd:
    """The last instant of a tape, and the last state on it, which a gap may have ended."""

    at_ms: int
    market: Market | None


class LostData(Exception):
    """The server's watermark is not the expected one, mostly lower than one that it confirmed; None when missing."""

    def __init__(self, watermark_ms: int | None) -> None:
        super().__init__(f"the server's watermark is {watermark_ms}")
        self.watermark_ms = watermark_ms


class TapeWriter:
    """Writes the tapes of one feed. `owner` is the id of its data directory; a name has one owner at a time."""

    def __init__(self, client: "redis.asyncio.Redis", keys: Keys, *, owner: str) -> None:
        self._client, self._keys, self._owner = client, keys, owner
        self._append = client.register_script(APPEND)
        self._trim = client.register_script(TRIM)

    async def append(
        self,
        entries: Sequence[Stamped],
        *,
        watermark_ms: int | None,
        confirmed_ms: int | None,
        exactly: bool = False,
    ) -> None:
        """Append entries, then publish the watermark, in one atomic call, which may be repeated.

        Raises LostData when the server's watermark is below `confirmed_ms`, or with `exactly` different from it, and
        Fenced when another feed owns the name. Nothing is written then.
        """
        keys = [self._keys.watermark, self._keys.feed, self._keys.tapes]
        keys += [self._keys.tape(entry[0]) for entry in entries]
        confirmed, new = ("" if at_ms is None else at_ms for at_ms in (confirmed_ms, watermark_ms))
        argv: list[str | int] = [self._owner, LEASE_MS, confirmed, "exactly" if exactly else "least", new]
        for coin, at_ms, seq, field, value in entries:
            argv += [coin, f"{at_ms}-{seq}", field, value]
        status, present = await self._append(keys=keys, args=argv)
        if status == b"fenced":
            raise Fenced(f"the name is held by another feed, of the data directory with id {present.decode()}")
        if status == b"behind":
            raise LostData(int_or_none(present))

    async def watermark_ms(self) -> int | None:
        return int_or_none(await self._client.get(self._keys.watermark))

    async def coins(self) -> set[str]:
        """The coins that have a tape, followed or not."""
        members: Any = await self._client.smembers(self._keys.tapes)
        return {coin.decode() for coin in members}

    async def ends(self, coins: Sequence[str]) -> dict[str, TapeEnd]:
        """The end of each tape that has entries."""
        pipe = self._client.pipeline(transaction=False)
        for coin in coins:
            pipe.xrevrange(self._keys.tape(coin), count=20)
        replies = await pipe.execute() if coins else []
        return {coin: _end(entries) for coin, entries in zip(coins, replies, strict=True) if entries}

    async def trim(self, coins: Sequence[str], *, before_ms: int) -> None:
        """Delete entries older than `before_ms`, and tapes that become empty."""
        for first in range(0, len(coins), TRIM_AT_ONCE):
            some = coins[first : first + TRIM_AT_ONCE]
            await self._trim(keys=[self._keys.tapes, *map(self._keys.tape, some)], args=[before_ms, *some])


def _end(entries: list[tuple[bytes, dict[bytes, bytes]]]) -> TapeEnd:
    market = None
    for entry_id, fields in entries:
        try:
            value = decode_entry(entry_id, fields).value
        except MalformedEntry:
            continue
        if isinstance(value, Market):
            market = value
            break
    return TapeEnd(int(entries[0][0].split(b"-", 1)[0]), market)
