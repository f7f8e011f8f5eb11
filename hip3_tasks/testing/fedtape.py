"""A tape that a test fills, with the product's writer and reader, in fakeredis or on a server."""

import uuid
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Self, TypeVar, cast

import redis
import redis.asyncio

from hip3_tasks.domain.capture import Capture
from hip3_tasks.domain.conditions import Conditions
from hip3_tasks.domain.market import COIN, Entry, Gap, Market
from hip3_tasks.domain.measure import measure
from hip3_tasks.domain.records import Followup, Missed, Signal
from hip3_tasks.store.keys import Keys
from hip3_tasks.store.tape import Reading, Stamped, TapeReader, stamp
from hip3_tasks.store.tape_writer import TapeWriter
from hip3_tasks.testing.fake import FakeServer

T = TypeVar("T")


class FedTape:
    """Stores market states and gaps with their receive times, and returns the market as of an instant.

    Pass `tape.reader`, or `tape.client` and `tape.keys`, to the code under test, which then sees the tape of a feed.
    Like a feed, it holds entries back until `complete_up_to` sends them with the watermark that covers them.
    """

    def __init__(self, client: redis.Redis | None = None, *, name: str | None = None) -> None:
        """Write to fakeredis, or to the server of `client`; under a unique feed name, or under `name`."""
        self.client = client or FakeServer().connect()
        self.keys = Keys(name or f"fed-tape-{uuid.uuid4().hex[:16]}")
        self.reader = TapeReader(self.client, self.keys)
        self.watermark_ms: int | None = None
        self._owns_client = client is None
        self._writer = TapeWriter(cast("redis.asyncio.Redis", _DoneAtOnce(self.client)), self.keys, owner="fed tape")
        self._held: list[Stamped] = []
        self._last: dict[str, tuple[int, int]] = {}

    def feed(self, coin: str, value: Market | Gap, *, at_ms: int, conditions: Conditions | None = None) -> None:
        """Add a market's state or gap from `at_ms` on; of several in one millisecond the last one counts.

        The columns `lag_ms` to `impact_ask_px` of a follow-up come from the conditions, and are null without them.

        Raises ValueError for an instant at or before the watermark, or before the market's previous entry.
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
        self._held.append(stamp(coin, at_ms, seq, value, conditions))

    def complete_up_to(self, at_ms: int) -> None:
        """Advance the watermark: every entry up to `at_ms` has been fed. An earlier instant changes nothing."""
        _check_instant(at_ms)
        if self.watermark_ms is not None and at_ms <= self.watermark_ms:
            return
        ready = [entry for entry in self._held if entry[1] <= at_ms]
        _result(self._writer.append(ready, watermark_ms=at_ms, expected_ms=self.watermark_ms))
        self._held = [entry for entry in self._held if entry[1] > at_ms]
        self.watermark_ms = at_ms

    def as_of(self, coin: str, at_ms: int) -> Entry | None:
        """The newest state or gap received at or before an instant; None if there is none.

        Raises ValueError beyond the watermark, where a worker would wait.
        """
        _check(coin, at_ms)
        return self._reading(Capture(signal_id="", offset_ms=0, market_key=coin, timestamp_ms=at_ms)).entry

    def follow_up(self, signal: Signal, offset_ms: int) -> Followup | Missed:
        """The record that a worker without lateness writes for a signal. Raises ValueError beyond the watermark."""
        capture = Capture.from_ids(signal.signal_id, offset_ms)
        due = self._reading(capture).entry
        (origin,) = self.reader.origins([capture])
        return measure(signal, capture, due=due, t0=origin.entry, at_ms=capture.due_at_ms)

    def close(self) -> None:
        """Delete the tape, and close the client unless the caller passed it."""
        marks = (self.keys.watermark, self.keys.detected, self.keys.feed, self.keys.epoch)
        self.client.delete(*marks, self.keys.tapes, *map(self.keys.tape, self._last))
        if self._owns_client:
            self.client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _reading(self, capture: Capture) -> Reading:
        (reading,) = self.reader.read([capture])
        if not reading.is_complete_at(capture.due_at_ms):
            asked = f"asked as of {capture.due_at_ms}, beyond the watermark {reading.watermark_ms}"
            raise ValueError(f"{asked}: call complete_up_to first")
        return reading


class _DoneAtOnce:
    """An async client for the writer. Each call is executed by a sync client, so awaiting it never waits."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def register_script(self, script: str) -> Callable[..., Awaitable[Any]]:
        run = self._client.register_script(script)

        async def run_at_once(*, keys: list[str], args: list[Any]) -> Any:
            return run(keys=keys, args=args)

        return run_at_once


def _result(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits, without an event loop, because the test may already run one."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return cast("T", end.value)
    raise AssertionError("the coroutine waits")


def _check(coin: str, at_ms: int) -> None:
    if not COIN.fullmatch(coin):
        raise ValueError(f"coin: expected 'DEX:NAME', was {coin!r}")
    _check_instant(at_ms)


def _check_instant(at_ms: int) -> None:
    if not 10**12 <= at_ms < 10**13:
        raise ValueError(f"at_ms: expected 13 digits, ms since 1970, was {at_ms}")
