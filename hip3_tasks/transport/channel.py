"""Kombu's Redis transport, with a cheaper and safer way to receive. Its laws:

1. A message is at every instant in its queue or in `unacked`. A worker waits with a BLMOVE from the queue's end to
   that same end, which changes nothing; then one script moves a batch from the queue to `unacked`. Kombu's BRPOP
   loses the message of a worker that is killed right after it.
2. A reply that never arrives loses nothing either: its batch is in `unacked` and comes back by visibility timeout.
3. A message that kombu or Celery would stumble over is quarantined: moved from `unacked` to a capped list and named
   in the log. It neither ends a worker nor holds up its neighbours. What Celery refuses by itself, such as a task it
   does not know or a pickle, is left to Celery.
4. Giving back and acknowledging cost round-trips by the hundreds of messages, not by the message.
5. What kombu registered this restores, and the other way round. Publishing is kombu's own.

Kombu's own way of receiving remains for fanout, and for a channel that consumes from several queues, with priorities,
without acknowledgements or under a global key prefix. All idle workers wake for one message and all but one find
nothing: fine for the few that share a queue here.
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
from hip3_tasks.transport.validate import JSON, check_envelope, check_task, decoded

BATCH = 64
"""Small, because a worker's event loop fires its timers only between batches."""

REST_S = 0.010
"""Between two batches: under load one round-trip then takes many messages, and few are in such a hurry."""

FULL_SERVER_PAUSE_S = 0.1


class Message(virtual.Message):
    """Does not decode again what was decoded when it was checked."""

    parsed: Any = None

    def _decode(self) -> Any:
        is_welcome = self.accept is None or JSON in self.accept
        return super()._decode() if self.parsed is None or not is_welcome else self.parsed


class Channel(stock.Channel):
    Message = Message
    QoS = QoS
    from_transport_options: Any = (*stock.Channel.from_transport_options, "quarantine_key")

    quarantine_key: str | None = None
    """Where what cannot be handled is kept; `{queue}:quarantine` unless set."""
    quarantined = 0

    _in_poll: Any
    _brpop_sent_at: Any
    _waits_for: str | None = None
    _server_is_full = False
    _rests_until_s = 0.0
    _pooled: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._receivers: dict[str, Callable[[virtual.Message], object]] = {}
        super().__init__(*args, **kwargs)

    def basic_consume(self, queue: str, no_ack: bool, callback: Any, consumer_tag: str, **kwargs: Any) -> Any:
        self._receivers.pop(queue, None)
        if not no_ack:
            self._receivers[queue] = callback
        return super().basic_consume(queue, no_ack, callback, consumer_tag, **kwargs)

    def close(self) -> None:
        if self._waits_for is not None:
            # Nothing comes with that reply; kombu would wait for it, and fail if the server has gone.
            self._waits_for = self._in_poll = None
        super().close()

    def _brpop_start(self, timeout: float | None = None) -> None:
        if monotonic() < self._rests_until_s:
            return
        self._waits_for = queue = self._only_queue()
        if queue is None:
            super()._brpop_start(timeout)
            return
        self._in_poll = self.client.connection
        self._brpop_sent_at = monotonic()
        if self._server_is_full:
            # It refuses BLMOVE, but waits on a key that nobody writes to; what it gives out then frees its memory.
            self._in_poll.send_command("BRPOP", f"{queue}:none", FULL_SERVER_PAUSE_S)
        else:
            self._in_poll.send_command("BLMOVE", queue, queue, "RIGHT", "RIGHT", timeout or self.brpop_timeout or 0)

    def _brpop_read(self, **options: Any) -> bool:
        queue, self._waits_for = self._waits_for, None
        if queue is None:
            return bool(super()._brpop_read(**options))
        try:
            if not self._is_woken(**options) or queue not in self.active_queues:
                raise Empty
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()
        self._queue_cycle.rotate(queue)
        self._receive_batch(queue)
        self._rest()
        return True

    def _rest(self) -> None:
        if self.connection.loop is not None:
            self._rests_until_s = monotonic() + REST_S
            self.connection.loop.call_later(REST_S, _wake_up)

    def _is_woken(self, **options: Any) -> bool:
        paused, self._server_is_full = self._server_is_full, False
        try:
            return self.client.parse_response(self.client.connection, "BLMOVE", **options) is not None or paused
        except OutOfMemoryError:
            self._server_is_full = True
            return False
        except self.connection_errors:
            # As kombu does it: the next turn connects again.
            self.client.connection.disconnect()
            raise

    def _only_queue(self) -> str | None:
        """The queue to wait for, if it can be done here; else None."""
        queues = self.active_queues
        is_plain = self.ack_emulation and not self.global_keyprefix and list(self.priority_steps) == [0]
        return queues[0] if is_plain and len(queues) == 1 and queues[0] in self._receivers else None

    def _receive_batch(self, queue: str) -> None:
        room = self.qos.can_consume_max_estimate()
        most = BATCH if room is None else min(BATCH, room)
        taken = self.qos.take(queue, most) if most else []
        if not taken:
            raise Empty
        received: deque[tuple[virtual.Message, bytes]] = deque()
        refused: list[tuple[str, bytes, Exception]] = []
        for tag, raw in taken:
            try:
                received.append((self._message(tag, raw), raw))
            except Exception as error:  # noqa: BLE001 - whatever it raises, this message cannot be handled
                refused.append((tag, raw, error))
        # All are in the book before the first is delivered: an error on the way must not forget the rest.
        for message, _ in received:
            self.qos.note(message)
        for tag, raw, reason in refused:
            self.qos.quarantine(queue, tag, raw, reason)
        while received:
            if queue not in self.active_queues:
                self.qos.give_back([message.delivery_tag for message, _ in received])
                return
            self._hand_over(queue, *received.popleft())

    def _message(self, tag: str, raw: bytes) -> virtual.Message:
        payload = decoded(raw)
        check_envelope(payload)
        payload["properties"]["delivery_tag"] = tag
        message = self.Message(payload, channel=self)
        check_task(message)
        return message

    def _hand_over(self, queue: str, message: virtual.Message, raw: bytes) -> None:
        try:
            self._receivers[queue](message)
        except KeyError as error:
            # Kombu counts it among the lost connections; here it is a field that a message lacks.
            self.qos.quarantine(queue, message.delivery_tag, raw, error)
        except (MemoryError, ResponseError, *self.connection_errors):
            raise
        except Exception as error:  # noqa: BLE001 - the next worker would fail at this message as well
            self.qos.quarantine(queue, message.delivery_tag, raw, error)

    def _create_client(self, asynchronous: bool = False) -> Any:
        """One client for the pool, where kombu makes one for each command: that costs more than the command."""
        if asynchronous:
            return super()._create_client(asynchronous=True)
        if self._pooled is None or self._pooled.connection_pool is not self.pool:
            self._pooled = super()._create_client()
        return self._pooled


class Transport(stock.Transport):
    Channel = Channel
    loop: Any = None

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        self.loop = loop
        super().register_with_event_loop(connection, loop)


def _wake_up() -> None:
    """To be called at all is enough: the loop then looks after its channels."""
