"""kombu `QoS`: the set of delivered, unacknowledged messages, kept in Redis."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import chain, islice
from time import monotonic, time
from typing import Any
from uuid import uuid4

from kombu.transport import redis as stock
from kombu.transport import virtual
from kombu.utils.json import dumps
from pydantic_core import to_json
from redis.exceptions import ResponseError

from hip3_tasks.transport import scripts
from hip3_tasks.transport.validate import decode

CHUNK_SIZE = 500
"""Messages that one round-trip restores, touches or acknowledges."""
MAX_TOUCH_INTERVAL_S = 1.0
MAX_SWEEP = 2_000
"""Messages that one sweep restores after their visibility timeout; the event loop waits meanwhile."""
MAX_DEAD_LETTERS = 1_000

logger = logging.getLogger(__name__)


class QoS(stock.QoS):
    """The unacknowledged messages of one channel, in this process and in Redis."""

    channel: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        client = self.channel._create_client()
        names = "FETCH", "READ", "MOVE", "ACKNOWLEDGE", "TOUCH"
        self._scripts = {name: client.register_script(getattr(scripts, name)) for name in names}

    def fetch(self, lists: Sequence[tuple[str, str]], limit: int) -> list[tuple[str, str, bytes]]:
        """Move up to `limit` messages from lists (queue, name) to `unacked`; return queue, delivery tag and body."""
        prefix = f"{uuid4().hex}-"
        keys = [self.unacked_key, self.unacked_index_key, *(name for _, name in lists)]
        with self.channel.conn_or_acquire() as client:
            args = [limit, prefix, time(), *(to_json(queue) for queue, _ in lists)]
            counts, taken = self._run("FETCH", keys, args, client)
        queues = [queue for (queue, _), count in zip(lists, counts, strict=True) for _ in range(count)]
        tags = [f"{prefix}{number:03}" for number in range(1, len(taken) + 1)]
        return list(zip(queues, tags, taken, strict=True))

    def register(self, messages: Sequence[Any]) -> None:
        """Register messages in this process; the server has registered them already."""
        now_s = monotonic()
        for message in messages:
            message.received_at_s = message.touched_at_s = now_s
            virtual.QoS.append(self, message, message.delivery_tag)

    @property
    def _third_s(self) -> float:
        return float(max(self.visibility_timeout, 1)) / 3

    @property
    def touch_interval_s(self) -> float:
        """Time between two calls of `touch` that renews all that is held within a third of the visibility timeout."""
        for_all_s = self._third_s * CHUNK_SIZE / max(len(self._delivered), 1)
        return min(for_all_s, self._third_s / 4, MAX_TOUCH_INTERVAL_S)

    def touch(self) -> bool:
        """Renew the receipt of up to CHUNK_SIZE messages, if one is a third of the visibility timeout old.

        Returns whether it did. A trickle of messages is touched together, so half of that age is enough for the others.
        """
        self._flush()
        now_s = monotonic()
        oldest = next(iter(self._delivered.values()), None)
        if oldest is None or now_s - oldest.touched_at_s < self._third_s:
            return False
        items = islice(self._delivered.items(), CHUNK_SIZE)
        held = {tag: message for tag, message in items if now_s - message.touched_at_s >= self._third_s / 2}
        try:
            with self.channel.conn_or_acquire() as client:
                self._run("TOUCH", [self.unacked_index_key], [time(), *held], client)
        except (*self.channel.connection_errors, ResponseError) as error:
            logger.debug("not touched, will be tried again: %r", error)
            return False
        for tag, message in held.items():
            message.touched_at_s = now_s
            self._delivered.move_to_end(tag)
        return True

    def ack_many(self, tags: Iterable[str]) -> None:
        """Acknowledge messages, CHUNK_SIZE in a round-trip.

        Their prefetch slots are free even if that fails; the visibility timeout then restores the messages.
        """
        tags = list(tags)
        try:
            with self.channel.conn_or_acquire() as client:
                for chunk in _chunks(tags):
                    self._run("ACKNOWLEDGE", [self.unacked_key, self.unacked_index_key], chunk, client)
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
            # A touch moves tags to the end.
            by_age = sorted(self._delivered, key=lambda tag: (self._delivered[tag].received_at_s, tag))
            self.restore_many(by_age, client)
        except self.channel.connection_errors as error:
            _log(
                logging.WARNING,
                "unacked_left_to_visibility_timeout",
                held=len(self._delivered),
                error=_one_line(error),
            )
        finally:
            self._delivered.clear()

    def restore_visible(self, start: int = 0, num: int | None = None, interval: int = 10) -> None:
        """Restore messages that any channel received longer than the visibility timeout ago, oldest first."""
        self._vrestore_count += 1
        if (self._vrestore_count - 1) % (interval or 1):
            return
        until_s = time() - self.visibility_timeout
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
        _log(logging.ERROR, "message_quarantined", key=key, reason=reason, message=repr(raw[:80]), count=count)

    def _restore(self, tags: Sequence[Any], client: Any, push: str) -> None:
        by_queue: dict[str, list[tuple[Any, str]]] = defaultdict(list)
        absent = []
        for tag, value in zip(tags, self._run("READ", [self.unacked_key], tags, client), strict=True):
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
        self._run("MOVE", keys, [push, keep, *chain.from_iterable(messages)], client)

    def _run(self, script: str, keys: Sequence[str], args: Sequence[Any], client: Any) -> Any:
        """Run a script. Kombu's client puts the global key prefix before the first key of each, and only there."""
        prefix = self.channel.global_keyprefix
        return self._scripts[script]([keys[0], *(prefix + key for key in keys[1:])], args, client=client)

    def _unregister(self, tags: Iterable[str]) -> None:
        self._dirty.update(tags)
        self._flush()


def _chunks(items: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (items[start : start + CHUNK_SIZE] for start in range(0, len(items), CHUNK_SIZE))


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".encode("unicode_escape").decode()[:200]


def _log(level: int, event: str, **fields: object) -> None:
    """Log one line. Handlers that write structured lines find the event and its fields in the record."""
    text = ", ".join(f"{name}=%({name})r" for name in fields)
    logger.log(level, f"{event}: {text}", fields, extra={"event": event, "fields": fields})
