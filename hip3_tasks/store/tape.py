"""The tape: what was known of each market, and up to when that is complete.

One Redis stream per market; an entry's id is `ms-seq`, chosen by the feed. **Watermark W: no further entry with
ms <= W will ever appear.** Everything here keeps that sentence true:
- entries and the watermark that covers them go out in one atomic call, and only by the feed that owns the name;
- the feed holds back what is younger than the watermark, so that a tape never reaches beyond it and the statement
  that all is unknown from W + 1 can always be appended;
- a server whose watermark is missing or behind what it once confirmed has lost data: the call writes nothing and
  says so, and the feed takes up from what the server still has.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import redis
import redis.asyncio

from hip3_tasks.domain.capture import Capture
from hip3_tasks.domain.market import Entry, Gap, Market, decode_entry, encode_entry
from hip3_tasks.errors import Fenced, MalformedEntry
from hip3_tasks.store.keys import Keys

LEASE_MS = 5_000

# KEYS: watermark, feed, tapes, then the tape of each entry.
# ARGV: owner, lease ms, watermark the server must have (or ''), 'exactly' or 'least', new watermark (or ''), then
# coin, id, field, value of each entry.  Returns {status, holder or watermark found}.
APPEND = """
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[1] then return {'fenced', holder} end
local found = redis.call('GET', KEYS[1])
if ARGV[4] == 'exactly' then
  if (found or '') ~= ARGV[3] then return {'behind', found} end
elseif ARGV[3] ~= '' and (not found or tonumber(found) < tonumber(ARGV[3])) then
  return {'behind', found}
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
if ARGV[5] ~= '' and (not found or tonumber(found) < tonumber(ARGV[5])) then redis.call('SET', KEYS[1], ARGV[5]) end
return {'ok', found}
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

Stamped: TypeAlias = tuple[str, int, int, str, str]
"""Coin, ms, seq, field and value of an entry on its way.

A plain tuple of plain values is nothing to Python's collector: it pauses the feed no longer for a minute of them.
"""


def stamp(coin: str, at_ms: int, seq: int, value: Market | Gap) -> Stamped:
    field, data = encode_entry(value)
    # Text is as long as it is; the bytes that orjson returns hold on to the kilobytes it wrote them in.
    return coin, at_ms, seq, field.decode(), data.decode()


# KEYS: watermark, then the tape of each capture.  ARGV: due time of each.
# `ms` alone as the end of a range means the last entry of that millisecond.
READ = """
local found = {redis.call('GET', KEYS[1])}
for i = 2, #KEYS do found[i] = redis.call('XREVRANGE', KEYS[i], ARGV[i - 1], '-', 'COUNT', 1) end
return found
"""

# KEYS: signal and tape of each capture.  ARGV: time of the signal of each.
READ_T0 = """
local found = {}
for i = 1, #KEYS, 2 do
  found[i] = redis.call('HGET', KEYS[i], 'record')
  found[i + 1] = redis.call('XREVRANGE', KEYS[i + 1], ARGV[(i + 1) / 2], '-', 'COUNT', 1)
end
return found
"""

RawEntries: TypeAlias = list[tuple[bytes, list[bytes]]]


@dataclass(frozen=True, slots=True)
class Reading:
    """A market as of a due time, and the watermark of the same instant. The entry is decoded when it is asked for."""

    watermark_ms: int | None
    raw: RawEntries

    def is_complete_at(self, at_ms: int) -> bool:
        return self.watermark_ms is not None and self.watermark_ms >= at_ms

    @property
    def due(self) -> Entry | None:
        """The newest entry at the due time. Raises MalformedEntry."""
        return _newest(self.raw)


@dataclass(frozen=True, slots=True)
class Origin:
    """A signal, and its market as of the signal's time."""

    signal_line: bytes | None
    raw: RawEntries

    @property
    def t0(self) -> Entry | None:
        """The newest entry at the signal's time. Raises MalformedEntry."""
        return _newest(self.raw)


class TapeReader:
    """The worker's side: the market as of an instant."""

    def __init__(self, client: "redis.Redis", keys: Keys) -> None:
        self._client, self._keys = client, keys
        self._read, self._read_t0 = client.register_script(READ), client.register_script(READ_T0)

    def read(self, captures: Sequence[Capture]) -> list[Reading]:
        """The state as of due of each: what is urgent, in one atomic round-trip. Raises redis.RedisError."""
        tapes = [self._keys.tape(capture.market_key) for capture in captures]
        watermark, *found = self._read([self._keys.watermark, *tapes], [capture.due_at_ms for capture in captures])
        watermark_ms = None if watermark is None else int(watermark)
        return [Reading(watermark_ms, entries) for entries in found]

    def origins(self, captures: Sequence[Capture]) -> list[Origin]:
        """What each began with, which no longer changes; one round-trip. Raises redis.RedisError."""
        keys: list[str] = []
        for capture in captures:
            keys += (self._keys.signal(capture.signal_id), self._keys.tape(capture.market_key))
        found = self._read_t0(keys, [capture.timestamp_ms for capture in captures]) if captures else []
        return [Origin(line, entries) for line, entries in zip(found[::2], found[1::2], strict=True)]

    def newest(self, coins: Sequence[str]) -> tuple[int | None, list[Reading]]:
        """The watermark and the latest state of each market, in one atomic round-trip. Raises redis.RedisError."""
        watermark, *found = self._read([self._keys.watermark, *map(self._keys.tape, coins)], ["+"] * len(coins))
        watermark_ms = None if watermark is None else int(watermark)
        return watermark_ms, [Reading(watermark_ms, entries) for entries in found]

    def between(self, coin: str, from_ms: int, to_ms: int, *, most: int) -> list[Entry]:
        """A market from the state in force at one instant to that at another, oldest first.

        Raises redis.RedisError, or MalformedEntry.
        """
        tape = self._keys.tape(coin)
        before: Any = self._client.xrevrange(tape, max=from_ms, count=1)
        # `ms` alone as the start of a range means its first entry.
        found: Any = self._client.xrange(tape, min=from_ms + 1, max=to_ms, count=most)
        return [decode_entry(entry_id, fields) for entry_id, fields in [*before, *found]]

    def watermark_ms(self) -> int | None:
        found = self._client.get(self._keys.watermark)
        return None if found is None else int(found)


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a tape: its last instant, and the last state known, which a gap may have ended."""

    at_ms: int
    market: Market | None


class LostData(Exception):
    """The server's watermark is not what it was to be, mostly behind what it once confirmed; None when it has none."""

    def __init__(self, watermark_ms: int | None) -> None:
        super().__init__(f"the server's watermark is {watermark_ms}")
        self.watermark_ms = watermark_ms


class TapeWriter:
    """The feed's side. `owner` names the data directory; only one may hold a name."""

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
        """Append entries, then publish the watermark, atomically; repeating a call is harmless.

        Nothing is written when the server's watermark is below `confirmed_ms`, or with `exactly` any other (raises
        LostData), or when another feed holds the name (raises Fenced).
        """
        keys = [self._keys.watermark, self._keys.feed, self._keys.tapes]
        keys += [self._keys.tape(entry[0]) for entry in entries]
        argv: list[str | bytes | int] = [
            self._owner,
            LEASE_MS,
            "" if confirmed_ms is None else confirmed_ms,
            "exactly" if exactly else "least",
            "" if watermark_ms is None else watermark_ms,
        ]
        for coin, at_ms, seq, field, value in entries:
            argv += [coin, f"{at_ms}-{seq}", field, value]
        status, found = await self._append(keys=keys, args=argv)
        if status == b"fenced":
            raise Fenced(f"the name is held by another feed, of the data directory with id {found.decode()}")
        if status == b"behind":
            raise LostData(None if found is None else int(found))

    async def watermark_ms(self) -> int | None:
        found = await self._client.get(self._keys.watermark)
        return None if found is None else int(found)

    async def coins(self) -> set[str]:
        """Every market that has a tape, followed or not."""
        members: Any = await self._client.smembers(self._keys.tapes)
        return {coin.decode() for coin in members}

    async def tails(self, coins: Sequence[str]) -> dict[str, "Tail"]:
        """Where each tape ends, and the newest known state before any gaps there."""
        pipe = self._client.pipeline(transaction=False)
        for coin in coins:
            pipe.xrevrange(self._keys.tape(coin), count=20)
        replies = await pipe.execute() if coins else []
        return {coin: _tail(entries) for coin, entries in zip(coins, replies, strict=True) if entries}

    async def trim(self, coins: Sequence[str], *, before_ms: int) -> None:
        """Drop entries older than `before_ms`; a tape that becomes empty is forgotten."""
        for first in range(0, len(coins), TRIM_AT_ONCE):
            some = coins[first : first + TRIM_AT_ONCE]
            await self._trim(keys=[self._keys.tapes, *map(self._keys.tape, some)], args=[before_ms, *some])


def _newest(entries: RawEntries) -> Entry | None:
    if not entries:
        return None
    ((entry_id, fields),) = entries
    return decode_entry(entry_id, dict(zip(fields[::2], fields[1::2], strict=True)))


def _tail(entries: list[tuple[bytes, dict[bytes, bytes]]]) -> Tail:
    market = None
    for entry_id, fields in entries:
        try:
            value = decode_entry(entry_id, fields).value
        except MalformedEntry:
            continue
        if isinstance(value, Market):
            market = value
            break
    return Tail(int(entries[0][0].split(b"-", 1)[0]), market)
