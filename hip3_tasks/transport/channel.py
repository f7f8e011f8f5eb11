"""Kombu's Redis transport, with a cheaper and safer way to receive.

The laws:
1. A message is always in its queue or in `unacked`. A worker waits with a BLMOVE from the queue's end to the same end,
   which changes nothing; then one script moves a batch from the queue to `unacked`. Kombu's BRPOP loses the message of
   a worker that is killed right after it.
2. A reply that does not arrive loses no message: its batch is in `unacked`, and the visibility timeout restores it.
3. A message that makes kombu or Celery fail goes to the dead-letter list: it moves from `unacked` to a capped list,
   and one log line names it. It neither ends a worker nor delays other messages. What Celery rejects by itself, such
   as an unknown task or a pickle, is left to Celery.
4. Requeueing and acknowledging take one round-trip for hundreds of messages.
5. This restores what kombu registered, and kombu restores what this registered. Publishing is kombu's own.

Kombu's own way of receiving remains for fanout, and for a channel that consumes from several queues, with priorities,
without acknowledgements or under a global key prefix. One message wakes all idle workers, and all but one of them
fetch nothing: acceptable for the few workers that share a queue here.
"""

from collections import deque
from collections.abc import Callable
from queue import Empty
from time import monotonic
from typing import Any

from kombu.transport import redis as stock
from kombu.transport import virtual
from redis.exceptions import OutOfMemoryError, ResponseError

from hip3_tasks.transport.qos import QoS
from hip3_tasks.transport.validate import JSON, check_envelope, check_task, decode

BATCH_SIZE = 64
"""Small, because a worker's event loop fires its timers only between batches."""
BATCH_PAUSE_S = 0.010
"""Pause between two batches, so that one round-trip fetches many messages under load."""
FULL_SERVER_PAUSE_S = 0.1


class Message(virtual.Message):
    """A message that keeps the body that `check_task` has decoded."""

    parsed: Any = None

    def _decode(self) -> Any:
        is_accepted = self.accept is None or JSON in self.accept
        return super()._decode() if self.parsed is None or not is_accepted else self.parsed


class Channel(stock.Channel):
    Message = Message
    QoS = QoS
    from_transport_options: Any = (*stock.Channel.from_transport_options, "dead_letter_key")

    dead_letter_key: str | None = None
    """The list of messages that cannot be handled; default: `{queue}:quarantine`."""
    dead_lettered = 0

    _in_poll: Any
    _brpop_sent_at: Any
    _waiting_queue: str | None = None
    _server_is_full = False
    _paused_until_s = 0.0
    _pooled_client: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._callbacks: dict[str, Callable[[virtual.Message], object]] = {}
        super().__init__(*args, **kwargs)

    def basic_consume(self, queue: str, no_ack: bool, callback: Any, consumer_tag: str, **kwargs: Any) -> Any:
        self._callbacks.pop(queue, None)
        if not no_ack:
            self._callbacks[queue] = callback
        return super().basic_consume(queue, no_ack, callback, consumer_tag, **kwargs)

    def close(self) -> None:
        if self._waiting_queue is not None:
            # That reply carries no message; kombu would wait for it, and fail if the server is gone.
            self._waiting_queue = self._in_poll = None
        super().close()

    def _brpop_start(self, timeout: float | None = None) -> None:
        if monotonic() < self._paused_until_s:
            return
        self._waiting_queue = queue = self._waitable_queue()
        if queue is None:
            super()._brpop_start(timeout)
            return
        self._in_poll = self.client.connection
        self._brpop_sent_at = monotonic()
        if self._server_is_full:
            # A full server refuses BLMOVE, but waits on a key that no client writes; fetching then frees its memory.
            self._in_poll.send_command("BRPOP", f"{queue}:none", FULL_SERVER_PAUSE_S)
        else:
            self._in_poll.send_command("BLMOVE", queue, queue, "RIGHT", "RIGHT", timeout or self.brpop_timeout or 0)

    def _brpop_read(self, **options: Any) -> bool:
        queue, self._waiting_queue = self._waiting_queue, None
        if queue is None:
            return bool(super()._brpop_read(**options))
        try:
            if not self._read_wakeup(**options) or queue not in self.active_queues:
                raise Empty
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()
        self._queue_cycle.rotate(queue)
        self._deliver_batch(queue)
        self._pause()
        return True

    def _pause(self) -> None:
        if self.connection.loop is not None:
            self._paused_until_s = monotonic() + BATCH_PAUSE_S
            # Any call makes the event loop poll its channels.
            self.connection.loop.call_later(BATCH_PAUSE_S, lambda: None)

    def _read_wakeup(self, **options: Any) -> bool:
        paused, self._server_is_full = self._server_is_full, False
        try:
            return self.client.parse_response(self.client.connection, "BLMOVE", **options) is not None or paused
        except OutOfMemoryError:
            self._server_is_full = True
            return False
        except self.connection_errors:
            # As in kombu: the next turn connects again.
            self.client.connection.disconnect()
            raise

    def _waitable_queue(self) -> str | None:
        """The one queue that BLMOVE can wait for; None where kombu has to receive."""
        queues = self.active_queues
        is_plain = self.ack_emulation and not self.global_keyprefix and list(self.priority_steps) == [0]
        return queues[0] if is_plain and len(queues) == 1 and queues[0] in self._callbacks else None

    def _deliver_batch(self, queue: str) -> None:
        room = self.qos.can_consume_max_estimate()
        limit = BATCH_SIZE if room is None else min(BATCH_SIZE, room)
        fetched = self.qos.fetch(queue, limit) if limit else []
        if not fetched:
            raise Empty
        received: deque[tuple[virtual.Message, bytes]] = deque()
        rejected: list[tuple[str, bytes, Exception]] = []
        for tag, raw in fetched:
            try:
                received.append((self._parse(tag, raw), raw))
            except Exception as error:  # noqa: BLE001 - any exception means that this message cannot be handled
                rejected.append((tag, raw, error))
        # All are registered before the first is delivered, so that an error in between does not lose the others.
        for message, _ in received:
            self.qos.register(message)
        for tag, raw, reason in rejected:
            self.qos.dead_letter(queue, tag, raw, reason)
        while received:
            if queue not in self.active_queues:
                self.qos.requeue([message.delivery_tag for message, _ in received])
                return
            self._deliver(queue, *received.popleft())

    def _parse(self, tag: str, raw: bytes) -> virtual.Message:
        payload = decode(raw)
        check_envelope(payload)
        payload["properties"]["delivery_tag"] = tag
        message = self.Message(payload, channel=self)
        check_task(message)
        return message

    def _deliver(self, queue: str, message: virtual.Message, raw: bytes) -> None:
        try:
            self._callbacks[queue](message)
        except KeyError as error:
            # Kombu takes a KeyError for a lost connection; here it is a field that the message lacks.
            self.qos.dead_letter(queue, message.delivery_tag, raw, error)
        except (MemoryError, ResponseError, *self.connection_errors):
            raise
        except Exception as error:  # noqa: BLE001 - the message would fail in the next worker as well
            self.qos.dead_letter(queue, message.delivery_tag, raw, error)

    def _create_client(self, asynchronous: bool = False) -> Any:
        """Keep one client for the pool; kombu makes one for each command, which costs more than the command."""
        if asynchronous:
            return super()._create_client(asynchronous=True)
        if self._pooled_client is None or self._pooled_client.connection_pool is not self.pool:
            self._pooled_client = super()._create_client()
        return self._pooled_client


class Transport(stock.Transport):
    Channel = Channel
    loop: Any = None

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        self.loop = loop
        super().register_with_event_loop(connection, loop)
