"""Writes the tape under the rules of `store.tape`: entries and watermark in one call, and only by the name's owner."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import redis.asyncio

from hip3_tasks.domain.market import CONDITIONS_FIELD, Entry, Market, decode_entry
from hip3_tasks.errors import Fenced, MalformedEntry
from hip3_tasks.store.keys import Keys
from hip3_tasks.store.tape import Stamped, int_or_none

LEASE_MS = 5_000
READ_AT_ONCE = 2_000

# KEYS: feed, epoch.  ARGV: owner, lease ms, epoch that the server must have, new epoch.
# Returns {status, holder or epoch}.
TAKE = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return {'fenced', holder} end
local epoch = redis.call('GET', KEYS[2]) or '0'
if epoch ~= ARGV[3] then return {'changed', epoch} end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('SET', KEYS[2], ARGV[4])
return {'ok', epoch}
"""

# KEYS: watermark, detected, feed, epoch, tapes, then the tape of each entry.
# ARGV: owner, lease ms, epoch, watermark that the server must have (or ''), new watermark, new D, then coin, id, field,
# value, conditions (or '') of each entry.  Returns {status, holder, epoch or present watermark}.
APPEND = """
local holder = redis.call('GET', KEYS[3])
if holder and holder ~= ARGV[1] then return {'fenced', holder} end
local epoch = tonumber(redis.call('GET', KEYS[4]) or '0')
if epoch > tonumber(ARGV[3]) then return {'succeeded', tostring(epoch)} end
local present = redis.call('GET', KEYS[1])
if (present or '') ~= ARGV[4] then return {'differs', present} end
redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[2])
if epoch < tonumber(ARGV[3]) then redis.call('SET', KEYS[4], ARGV[3]) end
local begun = {}
for i = 6, #KEYS do
  local at = 7 + (i - 6) * 5
  if not present and not begun[KEYS[i]] then redis.call('DEL', KEYS[i]) end
  begun[KEYS[i]] = true
  redis.call('SADD', KEYS[5], ARGV[at])
  local reply
  if ARGV[at + 4] == '' then
    reply = redis.pcall('XADD', KEYS[i], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
  else
    reply = redis.pcall('XADD', KEYS[i], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], 'CONDITIONS', ARGV[at + 4])
  end
  -- A call that failed half-way has left entries; repeated, it finds them there.
  if type(reply) == 'table' and reply.err and not string.find(reply.err, 'equal or smaller', 1, true) then
    return reply
  end
end
redis.call('SET', KEYS[1], ARGV[5])
redis.call('SET', KEYS[2], ARGV[6])
return {'ok', present}
""".replace("CONDITIONS", CONDITIONS_FIELD.decode())


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


@dataclass(frozen=True, slots=True)
class Marks:
    """The two marks at a take-over: the tape is complete, and all signals are on file, up to here."""

    watermark_ms: int | None
    detected_ms: int | None


class WatermarkDiffers(Exception):
    """The server's watermark is not the expected one; None when it is missing."""

    def __init__(self, watermark_ms: int | None) -> None:
        super().__init__(f"the server's watermark is {watermark_ms}")
        self.watermark_ms = watermark_ms


class TapeWriter:
    """Writes the tapes of one feed. `owner` is the id of its data directory; a name has one owner at a time."""

    def __init__(self, client: "redis.asyncio.Redis", keys: Keys, *, owner: str) -> None:
        self._client, self._keys, self._owner = client, keys, owner
        self._epoch = 0
        self._take, self._append = client.register_script(TAKE), client.register_script(APPEND)
        self._trim = client.register_script(TRIM)

    async def take(self, *, at_ms: int) -> Marks:
        """Take over from the feed before, at `at_ms` of the wall clock: no call of it is executed any more.

        The epoch that was read must still hold, or a late call of a dead feed could take over from a living one. An
        epoch is an instant, so that it stays the highest on a server that was emptied and then restored. Raises Fenced.
        """
        present: Any = await self._client.get(self._keys.epoch) or b"0"
        status = b"changed"
        while status == b"changed":
            expected, epoch = present, max(int(present) + 1, at_ms)
            status, present = await self._take(
                keys=[self._keys.feed, self._keys.epoch], args=[self._owner, LEASE_MS, expected, epoch]
            )
        if status == b"fenced":
            raise _fenced(present)
        self._epoch = epoch
        return Marks(await self.watermark_ms(), int_or_none(await self._client.get(self._keys.detected)))

    async def append(
        self,
        entries: Sequence[Stamped],
        *,
        watermark_ms: int,
        expected_ms: int | None,
        detected_ms: int | None = None,
    ) -> None:
        """Append entries, then publish both marks, in one atomic call; D is the watermark unless it is given.

        Raises WatermarkDiffers when the server's watermark is not `expected_ms` (None: missing), and Fenced when
        another feed owns the name or has taken over. Nothing is written then. Tapes that outlived the watermark are
        deleted, since it is unknown up to where they are complete.
        """
        keys = [self._keys.watermark, self._keys.detected, self._keys.feed, self._keys.epoch, self._keys.tapes]
        keys += [self._keys.tape(entry[0]) for entry in entries]
        expected: str | int = "" if expected_ms is None else expected_ms
        argv: list[str | int] = [self._owner, LEASE_MS, self._epoch, expected, watermark_ms]
        argv.append(watermark_ms if detected_ms is None else detected_ms)
        for coin, at_ms, seq, field, value, conditions in entries:
            argv += [coin, f"{at_ms}-{seq}", field, value, conditions]
        status, present = await self._append(keys=keys, args=argv)
        if status == b"fenced":
            raise _fenced(present)
        if status == b"succeeded":
            raise Fenced("another feed of this data directory has taken over")
        if status == b"differs":
            raise WatermarkDiffers(int_or_none(present))

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

    async def entries(self, coin: str, *, after_ms: int, up_to_ms: int) -> list[Entry]:
        """The entries of a market after one instant, up to another; an entry that cannot be read is left out."""
        entries: list[Entry] = []
        start = str(after_ms + 1)
        while True:
            rows: Any = await self._client.xrange(self._keys.tape(coin), min=start, max=up_to_ms, count=READ_AT_ONCE)
            entries += _decoded(rows)
            if len(rows) < READ_AT_ONCE:
                return entries
            start = f"({rows[-1][0].decode()}"

    async def trim(self, coins: Sequence[str], *, before_ms: int) -> None:
        """Delete entries older than `before_ms`, and tapes that become empty."""
        for first in range(0, len(coins), TRIM_AT_ONCE):
            some = coins[first : first + TRIM_AT_ONCE]
            await self._trim(keys=[self._keys.tapes, *map(self._keys.tape, some)], args=[before_ms, *some])


def _end(entries: list[tuple[bytes, dict[bytes, bytes]]]) -> TapeEnd:
    market = next((entry.value for entry in _decoded(entries) if isinstance(entry.value, Market)), None)
    return TapeEnd(int(entries[0][0].split(b"-", 1)[0]), market)


def _decoded(rows: list[tuple[bytes, dict[bytes, bytes]]]) -> Iterator[Entry]:
    for entry_id, fields in rows:
        with suppress(MalformedEntry):
            yield decode_entry(entry_id, fields)


def _fenced(holder: bytes) -> Fenced:
    return Fenced(f"the name is held by another feed, of the data directory with id {holder.decode()}")
