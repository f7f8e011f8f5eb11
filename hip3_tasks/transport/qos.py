"""kombu `QoS`: the set of delivered, unacknowledged messages, kept in Redis."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any
from uuid import uuid4

import structlog
from kombu.transport import redis as stock
from kombu.transport import virtual
from kombu.utils.json import dumps
from pydantic_core import to_json

from hip3_tasks.clock import wall_ms
from hip3_tasks.transport.validate import decode

CHUNK_SIZE = 500
"""Messages that one round-trip restores or acknowledges."""
MAX_SWEEP = 2_000
"""Messages that one sweep restores after their visibility timeout; the event loop waits meanwhile."""
MAX_DEAD_LETTERS = 1_000

# FETCH and MOVE begin with an LTRIM that keeps everything: a full server completes a script whose first write takes no
# memory, and a key of a wrong type ends the script before anything has moved.

# KEYS: queue, unacked, index. ARGV: maximum number, prefix of the tags, now in s, the queue's name as JSON.
# Messages are registered before they leave the queue, so that an error in between loses none. Tags sort by age.
FETCH = """
redis.call('LTRIM', KEYS[1], 0, -1)
local messages = redis.call('LRANGE', KEYS[1], -ARGV[1], -1)
local taken, entries, times = {}, {}, {}
for i = #messages, 1, -1 do
  taken[#taken + 1] = messages[i]
  local tag = ARGV[2] .. string.format('%03d', #taken)
  entries[#entries + 1], entries[#entries + 2] = tag, '[' .. messages[i] .. ',"",' .. ARGV[4] .. ']'
  times[#times + 1], times[#times + 2] = ARGV[3], tag
end
if #taken > 0 then
  redis.call('HSET', KEYS[2], unpack(entries))
  redis.call('ZADD', KEYS[3], unpack(times))
  redis.call('LTRIM', KEYS[1], 0, -#taken - 1)
end
return taken
"""

# KEYS: unacked, index, destination. ARGV: push command, length to keep or 0, then tag and message of each.
# A message that is no longer in `unacked` was acknowledged, or moved by another client.
MOVE = """
redis.call('LTRIM', KEYS[3], 0, -1)
for i = 3, #ARGV, 2 do
  if redis.call('HDEL', KEYS[1], ARGV[i]) == 1 then redis.call(ARGV[1], KEYS[3], ARGV[i + 1]) end
  redis.call('ZREM', KEYS[2], ARGV[i])
end
if ARGV[2] ~= '0' then redis.call('LTRIM', KEYS[3], 0, ARGV[2] - 1) end
"""

# KEYS: unacked, index. ARGV: tags.
ACKNOWLEDGE = """
redis.call('ZREM', KEYS[2], unpack(ARGV))
redis.call('HDEL', KEYS[1], unpack(ARGV))
"""

log = structlog.get_logger()


class QoS(stock.QoS):
    """The unacknowledged messages of one channel, in this process and in Redis."""

    channel: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        client = self.channel._create_client()
        self._fetch_script, self._move_script = client.register_script(FETCH), client.register_script(MOVE)
        self._acknowledge_script = client.register_script(ACKNOWLEDGE)

    def fetch(self, queue: str, limit: int) -> list[tuple[str, bytes]]:
        """Move up to `limit` messages from a queue to `unacked`; return their delivery tags and bodies."""
        prefix = f"{uuid4().hex}-"
        args = [limit, prefix, wall_ms() / 1000, to_json(queue)]
        with self.channel.conn_or_acquire() as client:
            taken = self._fetch_script([queue, self.unacked_key, self.unacked_index_key], args, client=client)
        return [(f"{prefix}{number:03}", raw) for number, raw in enumerate(taken, start=1)]

    def register(self, message: virtual.Message) -> None:
        """Register a message in this process; the server has registered it already."""
        virtual.QoS.append(self, message, message.delivery_tag)

    def ack_many(self, tags: Iterable[str]) -> None:
        """Acknowledge messages, CHUNK_SIZE in a round-trip.

        Their prefetch slots are free even if that fails; the visibility timeout then restores the messages.
        """
        tags = list(tags)
        try:
            with self.channel.conn_or_acquire() as client:
                for chunk in _chunks(tags):
                    self._acknowledge_script([self.unacked_key, self.unacked_index_key], chunk, client=client)
        finally:
            self._unregister(tags)

    def requeue(self, tags: Sequence[str]) -> None:
        """Restore messages of this channel, so that they are received next and in the same order."""
        self.restore_many(tags)
        self._unregister(tags)

    def restore_many(self, tags: Iterable[Any], client: Any = None, *, leftmost: bool = False) -> None:
        """Put messages back into their queues: to be received next, or last if `leftmost`."""
        # Each push goes before the previous one, so the order is reversed.
        ordered = list(tags) if leftmost else list(tags)[::-1]
        with self.channel.conn_or_acquire(client) as client:
            for chunk in _chunks(ordered):
                self._restore(chunk, client, "LPUSH" if leftmost else "RPUSH")

    def restore_by_tag(self, tag: Any, client: Any = None, leftmost: bool = False) -> None:
        self.restore_many([tag], client, leftmost=leftmost)

    def restore_unacked(self, client: Any = None) -> None:
        """Restore all messages of this channel. If the server is gone, the visibility timeout restores them."""
        try:
            self.restore_many(self._delivered, client)
        except self.channel.connection_errors as error:
            log.warning("unacked_left_to_visibility_timeout", held=len(self._delivered), error=_one_line(error))
        finally:
            self._delivered.clear()

    def restore_visible(self, start: int = 0, num: int | None = None, interval: int = 10) -> None:
        """Restore messages that any channel received longer than the visibility timeout ago, oldest first."""
        self._vrestore_count += 1
        if (self._vrestore_count - 1) % (interval or 1):
            return
        until_s = wall_ms() / 1000 - self.visibility_timeout
        limit = min(num or MAX_SWEEP, MAX_SWEEP)
        mutex = self.unacked_mutex_key, self.unacked_mutex_expire
        with self.channel.conn_or_acquire() as client, suppress(stock.MutexHeld), stock.Mutex(client, *mutex):
            tags = client.zrange(self.unacked_index_key, "-inf", until_s, byscore=True, offset=start, num=limit)
            self.restore_many(tags, client)

    def dead_letter(self, queue: str, tag: Any, raw: bytes, error: Exception) -> None:
        """Move a message from `unacked` to the dead-letter list, and log one line."""
        key = self.channel.dead_letter_key or f"{queue}:quarantine"
        with self.channel.conn_or_acquire() as client:
            self._move(key, [(tag, raw)], client, "LPUSH", keep=MAX_DEAD_LETTERS)
        self._unregister([tag])
        self.channel.dead_lettered += 1
        reason, count = _one_line(error), self.channel.dead_lettered
        log.error("message_quarantined", key=key, reason=reason, message=repr(raw[:80]), count=count)

    def _restore(self, tags: Sequence[Any], client: Any, push: str) -> None:
        by_queue: dict[str, list[tuple[Any, str]]] = defaultdict(list)
        absent = []
        for tag, value in zip(tags, client.hmget(self.unacked_key, tags), strict=True):
            if value is None:
                absent.append(tag)
                continue
            try:
                message, exchange, routing_key, priority = self._decode_registered(value)
            except Exception as error:  # noqa: BLE001 - any exception would come again at the next try
                self.dead_letter(self.unacked_key, tag, value, error)
                continue
            queues = list(filter(None, self.channel._lookup(exchange, routing_key)))
            if len(queues) == 1:
                by_queue[self.channel._q_for_pri(queues[0], priority)].append((tag, message))
            elif queues:
                super().restore_by_tag(tag, client)
            else:
                self.dead_letter(
                    self.unacked_key, tag, value, LookupError("no queue is bound to its exchange and routing key")
                )
        for key, messages in by_queue.items():
            self._move(key, messages, client, push)
        if absent:
            client.zrem(self.unacked_index_key, *absent)

    def _decode_registered(self, value: bytes) -> tuple[str, str, str, int]:
        payload, exchange, routing_key = decode(value)
        if not (isinstance(exchange, str) and isinstance(routing_key, str)):
            raise TypeError("its exchange and routing key are not text")
        with suppress(KeyError, TypeError):
            payload["headers"]["redelivered"] = True
            payload["properties"]["delivery_info"]["redelivered"] = True
        return dumps(payload), exchange, routing_key, self.channel._get_message_priority(payload)

    def _move(self, key: str, messages: Iterable[tuple[Any, Any]], client: Any, push: str, keep: int = 0) -> None:
        keys = [self.unacked_key, self.unacked_index_key, key]
        self._move_script(keys, [push, keep, *chain.from_iterable(messages)], client=client)

    def _unregister(self, tags: Iterable[str]) -> None:
        self._dirty.update(tags)
        self._flush()


def _chunks(items: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (items[start : start + CHUNK_SIZE] for start in range(0, len(items), CHUNK_SIZE))


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".encode("unicode_escape").decode()[:200]
