"""The tape: the states of each market over time, and the watermark up to which they are complete.

One Redis stream per market; an entry's id is `ms-seq`, chosen by the feed. **Watermark W: no further entry with
ms <= W will ever appear.** `TapeWriter` keeps that sentence true:
- entries and the watermark that covers them are written in one atomic call, and only by the feed that owns the name;
- the feed holds back entries younger than the watermark, so that a tape never reaches beyond it and a gap from
  W + 1 on can always be appended;
- a call is executed only on the watermark that its feed knows, and not at all once a later feed has taken over: a call
  that a dead feed still had under way, or that is executed twice, changes nothing;
- a server whose watermark is missing, or lower than one that it confirmed, has lost data: the feed continues from
  the server's watermark.

A second mark, D (`detected`), is written in the same call: every signal at or before it is in the signals file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import redis

from hip3_tasks.domain.capture import Capture
from hip3_tasks.domain.conditions import Conditions
from hip3_tasks.domain.market import Entry, Gap, Market, decode_entry, encode_entry
from hip3_tasks.store.keys import Keys

Stamped: TypeAlias = tuple[str, int, int, str, str, str]
"""Coin, ms, seq, field and value, and conditions (or an empty text) of an entry to write.

Python's garbage collector does not track a tuple of plain values, so a minute of them does not lengthen its pauses.
"""


def stamp(coin: str, at_ms: int, seq: int, value: Market | Gap, conditions: Conditions | None = None) -> Stamped:
    field, data = encode_entry(value)
    # Decoded, since the bytes that orjson returns keep its buffer of some kilobytes alive.
    return coin, at_ms, seq, field.decode(), data.decode(), "" if conditions is None else conditions.encode()


def stamp_again(entry: Stamped, at_ms: int, seq: int) -> Stamped:
    """The state of an entry, in force again from another instant on: it is no news."""
    coin, *_, field, data, text = entry
    if not text:
        return coin, at_ms, seq, field, data, ""
    return coin, at_ms, seq, field, data, Conditions.decode(text.encode()).put_down_again().encode()


# KEYS: watermark, then some tapes.  ARGV: the instant for each tape.
# `ms` alone as the end of a range means the last entry of that millisecond.
READ = """
local reply = {redis.call('GET', KEYS[1])}
for i = 2, #KEYS do reply[i] = redis.call('XREVRANGE', KEYS[i], ARGV[i - 1], '-', 'COUNT', 1) end
return reply
"""

# KEYS: signal and tape of each capture.  ARGV: time of the signal of each.
READ_T0 = """
local reply = {}
for i = 1, #KEYS, 2 do
  reply[i] = redis.call('HGET', KEYS[i], 'record')
  reply[i + 1] = redis.call('XREVRANGE', KEYS[i + 1], ARGV[(i + 1) / 2], '-', 'COUNT', 1)
end
return reply
"""

RawEntries: TypeAlias = list[tuple[bytes, list[bytes]]]


def int_or_none(text: bytes | str | None) -> int | None:
    return None if text is None else int(text)


@dataclass(frozen=True, slots=True)
class AsOf:
    """The newest entry of a market at or before an instant."""

    raw: RawEntries

    @property
    def entry(self) -> Entry | None:
        """The entry, decoded; None when there is none. Raises MalformedEntry."""
        if not self.raw:
            return None
        ((entry_id, fields),) = self.raw
        return decode_entry(entry_id, dict(zip(fields[::2], fields[1::2], strict=True)))


@dataclass(frozen=True, slots=True)
class Reading(AsOf):
    """A market as of a capture's due time, and the watermark at the moment of reading."""

    watermark_ms: int | None

    def is_complete_at(self, at_ms: int) -> bool:
        return self.watermark_ms is not None and self.watermark_ms >= at_ms


@dataclass(frozen=True, slots=True)
class Origin(AsOf):
    """A signal's line, and its market as of the signal's time."""

    signal_line: bytes | None


class TapeReader:
    """Reads markets as of an instant. Every method may raise redis.RedisError."""

    def __init__(self, client: "redis.Redis", keys: Keys) -> None:
        self._client, self._keys = client, keys
        self._read, self._read_t0 = client.register_script(READ), client.register_script(READ_T0)

    def read(self, captures: Sequence[Capture]) -> list[Reading]:
        """The market of each capture as of its due time, in one atomic round-trip."""
        coins = [capture.market_key for capture in captures]
        return self._readings(coins, [capture.due_at_ms for capture in captures])[1]

    def origins(self, captures: Sequence[Capture]) -> list[Origin]:
        """The signal of each capture and the market as of its time, which no longer change; one round-trip."""
        keys: list[str] = []
        for capture in captures:
            keys += (self._keys.signal(capture.signal_id), self._keys.tape(capture.market_key))
        reply = self._read_t0(keys, [capture.timestamp_ms for capture in captures]) if captures else []
        return [Origin(entries, line) for line, entries in zip(reply[::2], reply[1::2], strict=True)]

    def newest(self, coins: Sequence[str]) -> tuple[int | None, list[Reading]]:
        """The watermark and the latest state of each market, in one atomic round-trip."""
        return self._readings(coins, ["+"] * len(coins))

    def between(self, coin: str, from_ms: int, to_ms: int, *, most: int) -> list[Entry]:
        """The entries of a market from the one in force at `from_ms` to `to_ms`, oldest first; `most` after the first.

        Raises MalformedEntry.
        """
        tape = self._keys.tape(coin)
        before: Any = self._client.xrevrange(tape, max=from_ms, count=1)
        # `ms` alone as the start of a range means its first entry.
        after: Any = self._client.xrange(tape, min=from_ms + 1, max=to_ms, count=most)
        return [decode_entry(entry_id, fields) for entry_id, fields in [*before, *after]]

    def watermark_ms(self) -> int | None:
        return int_or_none(self._client.get(self._keys.watermark))

    def _readings(self, coins: Sequence[str], ends: Sequence[int | str]) -> tuple[int | None, list[Reading]]:
        watermark, *tapes = self._read([self._keys.watermark, *map(self._keys.tape, coins)], ends)
        watermark_ms = int_or_none(watermark)
        return watermark_ms, [Reading(entries, watermark_ms) for entries in tapes]
