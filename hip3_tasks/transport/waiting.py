"""Waiting for a list without taking anything from it."""

from collections.abc import Collection
from time import monotonic
from typing import Any

from kombu.transport import redis as stock
from redis.exceptions import OutOfMemoryError

FULL_SERVER_PAUSE_S = 0.1


class Waiting:
    """Waits for one list by a BLMOVE from its end to the same end, which changes nothing.

    Kombu's poller calls it by the names of kombu's own way to wait, a BRPOP.
    """

    client: Any
    connection_errors: Any
    _in_poll: Any = None
    _brpop_sent_at: Any = None
    _flush_brpop_reauth: Any
    _server_is_full = False

    def _send_wait(self, key: str, timeout_s: float) -> None:
        self._in_poll, self._brpop_sent_at = self.client.connection, monotonic()
        if self._server_is_full:
            # A full server refuses BLMOVE, but waits on a key that no client writes; fetching then frees its memory.
            self._in_poll.send_command("BRPOP", f"{key}:none", FULL_SERVER_PAUSE_S)
        else:
            self._in_poll.send_command("BLMOVE", key, key, "RIGHT", "RIGHT", timeout_s)

    def _read_wakeup(self, **options: Any) -> bool:
        """Read the reply; return whether messages may be there."""
        was_full, self._server_is_full = self._server_is_full, False
        try:
            return self.client.parse_response(self.client.connection, "BLMOVE", **options) is not None or was_full
        except OutOfMemoryError:
            self._server_is_full = True
            return False
        except self.connection_errors:
            # As in kombu: the next turn connects again.
            self.client.connection.disconnect()
            raise
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()


class Waiter(Waiting):
    """Waits for one more list of a channel, on a connection of its own. Kombu's poller takes it for a channel."""

    active_fanout_queues: Collection[str] = ()
    _flush_brpop_reauth = maybe_reauth = stock.Channel._flush_brpop_reauth

    def __init__(self, channel: Any, name: str) -> None:
        self._channel, self._name = channel, name
        self.client = channel._create_client(asynchronous=True)
        self.handlers = {"BRPOP": self._brpop_read}
        channel.connection.cycle.add(self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)

    def _brpop_start(self) -> None:
        if not self._channel.is_paused:
            self._send_wait(self._channel.global_keyprefix + self._name, self._channel.brpop_timeout or 0)

    def _brpop_read(self, **options: Any) -> bool:
        return bool(self._channel.receive(self._read_wakeup(**options)))

    def close(self) -> None:
        """End the wait. Its reply, if one comes, carries no message."""
        cycle, connection = self._channel.connection.cycle, self.client.connection
        cycle.discard(self)
        sock = cycle._chan_to_sock.pop((self, self.client, "BRPOP"), None)
        if sock is not None and sock.fileno() in cycle._fd_to_chan:
            del cycle._fd_to_chan[sock.fileno()]
            cycle._unregister_from_poll(sock.fileno())
        if connection is not None:
            self.client.connection = None
            connection.disconnect()
            self.client.connection_pool.release(connection)
