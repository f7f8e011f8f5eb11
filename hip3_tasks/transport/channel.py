"""Kombu's Redis transport, with a cheaper and safer way to receive.

The laws:
1. A message is always in its queue or in `unacked`. A worker waits with a BLMOVE from a list's end to the same end,
   which changes nothing, on one connection per list; then one script moves a batch from all lists to `unacked`, the
   highest priority first and its queues by turns. Kombu's BRPOP loses the message of a worker that is killed after it.
2. A reply that does not arrive loses no message: its batch is in `unacked`, and the visibility timeout restores it.
   What a living channel holds for longer is touched (`qos.py`), so it is delivered once, whatever its countdown.
3. A message that makes kombu or Celery fail goes to the dead-letter list: it moves from `unacked` to a capped list,
   and one log line names it. It neither ends a worker nor delays other messages. What Celery rejects by itself, such
   as an unknown task or a pickle, is left to Celery.
4. Requeueing and acknowledging take one round-trip for hundreds of messages.
5. This restores what kombu registered, and kombu restores what this registered. Publishing is kombu's own.

Kombu's own way of receiving remains for fanout, and for consumers without acknowledgements, which ask for each message
at most once. A channel with both kinds of consumers is refused, since one BRPOP would take the messages of all. One
message wakes all idle workers, and all but one of them fetch nothing: acceptable for the few that share a queue.
"""

from collections.abc import Callable, Sequence
from queue import Empty
from time import monotonic
from typing import Any

from kombu.transport import redis as stock
from kombu.transport import virtual
from redis.exceptions import ResponseError

from hip3_tasks.transport.qos import MAX_TOUCH_INTERVAL_S, QoS
from hip3_tasks.transport.validate import JSON, check_envelope, check_task, decode
from hip3_tasks.transport.waiting import Waiter, Waiting

BATCH_SIZE = 64
"""Small, because a worker's event loop fires its timers only between batches."""
BATCH_PAUSE_S = 0.010
"""Pause between two batches, so that one round-trip fetches many messages under load."""

Delivery = tuple[str, virtual.Message, bytes]
"""Queue, message, and its bytes."""


class NotSupported(ValueError):
    """A consumer that this transport refuses. The message says why, and the way out."""


class Message(virtual.Message):
    """A message that keeps the body that `check_task` has decoded, and when it was received and last touched."""

    parsed: Any = None
    received_at_s = touched_at_s = 0.0

    def _decode(self) -> Any:
        is_accepted = self.accept is None or JSON in self.accept
        return super()._decode() if self.parsed is None or not is_accepted else self.parsed

    def ack_log_error(self, logger: Any, errors: Any, multiple: bool = False) -> None:
        """Acknowledge; a server that is away or refuses is one line, for the message comes again."""
        try:
            self.ack(multiple=multiple)
        except errors as error:
            logger.warning("A message could not be acknowledged, and will come again: %s", error)


class Channel(Waiting, stock.Channel):
    Message = Message
    QoS = QoS
    from_transport_options: Any = (*stock.Channel.from_transport_options, "dead_letter_key", "batch_size")

    batch_size = BATCH_SIZE
    """Messages that one `drain_events` delivers at most; kombu's own delivers one."""
    dead_letter_key: str | None = None
    """The list of messages that cannot be handled; default: `{queue}:quarantine`."""
    dead_lettered = 0

    _waits_for: str | None = None
    """The list that this channel's own connection waits for; its other lists have a waiter each."""
    _is_waiting = False
    _paused_until_s = 0.0
    _pooled_client: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._callbacks: dict[str, Callable[[virtual.Message], object]] = {}
        self._waiters: dict[str, Waiter] = {}
        super().__init__(*args, **kwargs)

    # Consumers

    def basic_consume(self, queue: str, no_ack: bool, callback: Any, consumer_tag: str, **kwargs: Any) -> Any:
        if queue not in self._fanout_queues:
            self._refuse(queue, no_ack=bool(no_ack))
            self._callbacks.pop(queue, None)
            if not no_ack:
                self._callbacks[queue] = callback
        return super().basic_consume(queue, no_ack, callback, consumer_tag, **kwargs)

    def _refuse(self, queue: str, *, no_ack: bool) -> None:
        if not (no_ack or self.ack_emulation):
            raise NotSupported(
                f"queue {queue}: it is consumed with acknowledgements, but ack_emulation is off; "
                "remove that transport option, or consume with no_ack"
            )
        others = [other for other in self.active_queues if other != queue and (other in self._callbacks) == no_ack]
        if others:
            raise NotSupported(
                f"queue {queue}: a channel cannot consume with acknowledgements from some queues and without from "
                f"others (here {others[0]}); give all of them the same no_ack, or use two connections"
            )

    def _update_queue_cycle(self) -> None:
        """Wait for the lists that are consumed now; kombu calls this at each change."""
        super()._update_queue_cycle()
        queues = self.active_queues
        self._callbacks = {queue: callback for queue, callback in self._callbacks.items() if queue in queues}
        names = [name for _, name in self._lists(queues)] if self._callbacks else []
        if self._waits_for not in names:
            self._waits_for = names[0] if names else None
            if self._is_waiting and names and self._in_poll:
                self._in_poll.disconnect()
        waited_for = {name for name in names if name != self._waits_for}
        for name in self._waiters.keys() - waited_for:
            self._waiters.pop(name).close()
        if waited_for:
            self.async_pool.max_connections = max(self.async_pool.max_connections, len(names) + 2)
        for name in waited_for - self._waiters.keys():
            self._waiters[name] = Waiter(self, name)

    def _lists(self, queues: Sequence[str]) -> list[tuple[str, str]]:
        """Queue and name of each list, in the order of receiving."""
        return [(queue, self._q_for_pri(queue, step)) for step in self.priority_steps for queue in queues]

    def close(self) -> None:
        for waiter in self._waiters.values():
            waiter.close()
        self._waiters.clear()
        if self._is_waiting:
            # That reply carries no message; kombu would wait for it, and fail if the server is gone.
            self._is_waiting = self._in_poll = False
        super().close()

    def _on_connection_disconnect(self, connection: Any) -> None:
        for waiter in self._waiters.values():
            if waiter._in_poll is connection:
                waiter._in_poll = None
        super()._on_connection_disconnect(connection)

    # Receiving

    @property
    def is_paused(self) -> bool:
        return monotonic() < self._paused_until_s

    def _brpop_start(self, timeout: float | None = None) -> None:
        if self.is_paused:
            return
        self._is_waiting = self._waits_for is not None
        if self._waits_for is None:
            super()._brpop_start(timeout)
        else:
            self._send_wait(self.global_keyprefix + self._waits_for, timeout or self.brpop_timeout or 0)

    def _brpop_read(self, **options: Any) -> bool:
        if not self._is_waiting:
            return bool(super()._brpop_read(**options))
        return self.receive(self._read_wakeup(**options))

    def receive(self, is_woken: bool) -> bool:
        """Deliver a batch from all lists. Raises Empty when there is none."""
        room = self.qos.can_consume_max_estimate()
        limit = self.batch_size if room is None else min(self.batch_size, room)
        queues = self._queue_cycle.consume(len(self._callbacks))
        cancelled = []
        for queue, message, raw in self._take(self._lists(queues), limit if is_woken else 0):
            if queue in self._callbacks:
                self._deliver(queue, message, raw)
            else:
                cancelled.append(message.delivery_tag)
        if cancelled:
            self.qos.requeue(cancelled)
        self._pause()
        return True

    def _pause(self) -> None:
        if self.connection.loop is not None:
            self._paused_until_s = monotonic() + BATCH_PAUSE_S
            # Any call makes the event loop poll its channels.
            self.connection.loop.call_later(BATCH_PAUSE_S, lambda: None)

    def _take(self, lists: Sequence[tuple[str, str]], limit: int) -> list[Delivery]:
        """Fetch and register messages; those that cannot be handled are set aside. Raises Empty when there is none."""
        fetched = self.qos.fetch(lists, limit) if lists and limit else []
        if not fetched:
            raise Empty
        received: list[Delivery] = []
        rejected: list[tuple[str, str, bytes, Exception]] = []
        for queue, tag, raw in fetched:
            try:
                received.append((queue, self._parse(tag, raw), raw))
            except Exception as error:  # noqa: BLE001 - any exception means that this message cannot be handled
                rejected.append((queue, tag, raw, error))
        # All are registered before the first is delivered, so that an error in between does not lose the others.
        self.qos.register([message for _, message, _ in received])
        for message in rejected:
            self.qos.dead_letter(*message)
        for queue in dict.fromkeys(queue for queue, *_ in fetched):
            self._queue_cycle.rotate(queue)
        return received

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
        except (MemoryError, *self.connection_errors):
            raise
        except Exception as error:  # noqa: BLE001 - the message would fail in the next worker as well
            self.qos.dead_letter(queue, message.delivery_tag, raw, error)

    def basic_get(self, queue: str, no_ack: bool = False, **kwargs: Any) -> virtual.Message | None:
        """Take one message, or None; kombu's own loses it if the process is killed before it registers the message."""
        if no_ack or not self.ack_emulation:
            message: virtual.Message | None = super().basic_get(queue, no_ack=no_ack, **kwargs)
            return message
        with self.conn_or_acquire() as client:
            self._maybe_update_queues_expire(client, queue)
        try:
            # None is left when the message could not be handled.
            while not (received := self._take(self._lists([queue]), 1)):
                continue
        except Empty:
            return None
        return received[0][1]

    def _create_client(self, asynchronous: bool = False) -> Any:
        """Keep one client for the pool; kombu makes one for each command, which costs more than the command."""
        if asynchronous:
            return super()._create_client(asynchronous=True)
        if self._pooled_client is None or self._pooled_client.connection_pool is not self.pool:
            self._pooled_client = super()._create_client()
        return self._pooled_client


class SentinelChannel(Channel, stock.SentinelChannel):
    from_transport_options: Any = (*stock.SentinelChannel.from_transport_options, "dead_letter_key", "batch_size")


class TouchingPoller(stock.MultiChannelPoller):
    """Kombu's poller, which also touches what its channels hold."""

    def get(self, callback: Any, timeout: float | None = None) -> Any:
        # Without an event loop there is no timer, and no other work that waits.
        for qos in self.holders():
            while qos.touch():
                continue
        return super().get(callback, timeout)

    def holders(self) -> list[QoS]:
        channels = [channel for channel in self._channels if isinstance(channel, Channel) and channel.ack_emulation]
        return [channel._qos for channel in channels if channel._qos is not None]


class Transport(stock.Transport):
    Channel = Channel
    cycle: Any
    # A refusal (a full disk, a replica, no permission) ends like a lost connection; kombu's own ends the worker.
    connection_errors = (*stock.Transport.connection_errors, ResponseError)
    loop: Any = None
    _touch_timer: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.cycle = TouchingPoller()

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        self.loop = loop
        super().register_with_event_loop(connection, loop)
        if self._touch_timer is not None:
            self._touch_timer.cancel()
        self._touch()

    def _touch(self) -> None:
        # Kombu takes the client from a transport whose connection is lost, and makes another transport.
        if self.client is None:
            return
        holders = self.cycle.holders()
        for qos in holders:
            qos.touch()
        next_s = min((qos.touch_interval_s for qos in holders), default=MAX_TOUCH_INTERVAL_S)
        self._touch_timer = self.loop.call_later(next_s, self._touch)


class SentinelTransport(Transport, stock.SentinelTransport):
    Channel = SentinelChannel
