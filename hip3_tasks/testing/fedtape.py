"""A tape that a test feeds by hand, with the product's own writer and reader, in fakeredis or on a server."""

import uuid
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import redis
import redis.asyncio

from hip3_tasks.domain.capture import Capture
from hip3_tasks.domain.market import COIN, Entry, Gap, Market
from hip3_tasks.domain.measure import measure
from hip3_tasks.domain.records import Followup, Missed, Signal
from hip3_tasks.store.keys import Keys
from hip3_tasks.store.tape import Reading, Stamped, TapeReader, stamp
from hip3_tasks.store.tape_writer import TapeWriter
from hip3_tasks.testing.fake import FakeServer

T = TypeVar("T")


class FedTape:
    """Market states and gaps go in with their receive times; the market as of an instant comes out.

    Code under test is given `tape.reader`, or `tape.client` and `tape.keys`, and sees what a feed would have left.
    As a feed does, it holds entries back until `complete_up_to` sends them with the watermark that covers them.
    """

    def __init__(self, client: redis.Redis | None = None, *, name: str | None = None) -> None:
        """Write to fakeredis, or to the server of `client`; under a name that nobody else has, or under `name`."""
        self.client = client or FakeServer().connect()
        self.keys = Keys(name or f"fed-tape-{uuid.uuid4().hex[:16]}")
        self.reader = TapeReader(self.client, self.keys)
        self.watermark_ms: int | None = None
        self._owns_client = client is None
        self._writer = TapeWriter(cast("redis.asyncio.Redis", _DoneAtOnce(self.client)), self.keys, owner="fed tape")
        self._held: list[Stamped] = []
        self._last: dict[str, tuple[int, int]] = {}

    def feed(self, coin: str, value: Market | Gap, *, at_ms: int) -> None:
        """Say what was known of a market from `at_ms` on; of several in one millisecond the last one counts.

        Raises ValueError for an instant at or before the watermark, or before the last one fed of this market.
        """
        _check(coin, at_ms)
        last_ms, last_seq = self._last.get(coin, (0, 0))
        if at_ms < last_ms:
            raise ValueError(f"{coin} fed at {at_ms}, after {last_ms}: feed each market in the order of time")
        if self.watermark_ms is not None and at_ms <= self.watermark_ms:
            raise ValueError(
                f"{coin} fed at {at_ms}, not after the watermark {self.watermark_ms}: feed before complete_up_to"
            )
        seq = last_seq + 1 if at_ms == last_ms else 0
        self._last[coin] = at_ms, seq
        self._held.append(stamp(coin, at_ms, seq, value))

    def complete_up_to(self, at_ms: int) -> None:
        """Move the watermark: whatever was known up to here has been fed. It never goes back."""
        _check_instant(at_ms)
        if self.watermark_ms is not None and at_ms <= self.watermark_ms:
            return
        ready = [entry for entry in self._held if entry[1] <= at_ms]
        _result(self._writer.append(ready, watermark_ms=at_ms, confirmed_ms=self.watermark_ms))
        self._held = [entry for entry in self._held if entry[1] > at_ms]
        self.watermark_ms = at_ms

    def as_of(self, coin: str, at_ms: int) -> Entry | None:
        """The newest state or gap received at or before an instant; None where nothing had been fed by then.

        Raises ValueError beyond the watermark, where a worker would wait.
        """
        _check(coin, at_ms)
        return self._reading(Capture(signal_id="", offset_ms=0, market_key=coin, timestamp_ms=at_ms)).entry

    def follow_up(self, signal: Signal, offset_ms: int) -> Followup | Missed:
        """What a worker that is never late records of a signal. Raises ValueError beyond the watermark."""
        capture = Capture.from_ids(signal.signal_id, offset_ms)
        due = self._reading(capture).entry
        (origin,) = self.reader.origins([capture])
        return measure(signal, capture, due=due, t0=origin.entry, at_ms=capture.due_at_ms)

    def close(self) -> None:
        """Delete what was written, and close the client unless it was given."""
        self.client.delete(self.keys.watermark, self.keys.feed, self.keys.tapes, *map(self.keys.tape, self._last))
        if self._owns_client:
            self.client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _reading(self, capture: Capture) -> Reading:
        (reading,) = self.reader.read([capture])
        if not reading.is_complete_at(capture.due_at_ms):
            asked = f"asked as of {capture.due_at_ms}, beyond the watermark {reading.watermark_ms}"
            raise ValueError(f"{asked}: call complete_up_to first")
        return reading


class _DoneAtOnce:
    """A client for the async writer whose every call a sync client has done when it is awaited."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def register_script(self, script: str) -> Callable[..., Awaitable[Any]]:
        run = self._client.register_script(script)

        async def run_at_once(*, keys: list[str], args: list[Any]) -> Any:
            return run(keys=keys, args=args)

        return run_at_once


def _result(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits, without an event loop: a test may have one of its own running."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return cast("T", end.value)
    raise AssertionError("it waits for something")


def _check(coin: str, at_ms: int) -> None:
    if not COIN.fullmatch(coin):
        raise ValueError(f"coin: expected 'DEX:NAME', was {coin!r}")
    _check_instant(at_ms)


def _check_instant(at_ms: int) -> None:
    if not 10**12 <= at_ms < 10**13:
        raise ValueError(f"at_ms: expected 13 digits, ms since 1970, was {at_ms}")
