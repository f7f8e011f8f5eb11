"""Writes the tape to Redis: entries, watermark and keyframes, and again what a server has lost.

The last minute is kept in memory, so that it can be written again to a server that was away or lost data. The buffer
runs on the event loop, so no entry can be stamped while a flush decides how far the tape is complete.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import redis
import structlog

from feed.market_state import keyframe_conditions
from hip3_tasks.clock import FeedClock
from hip3_tasks.domain.conditions import Conditions, Memory
from hip3_tasks.domain.market import Entry, Gap, Market
from hip3_tasks.errors import Fenced
from hip3_tasks.store.keys import is_cancelled
from hip3_tasks.store.tape import Stamped, stamp, stamp_again
from hip3_tasks.store.tape_writer import TapeWriter, WatermarkDiffers

log = structlog.get_logger()

MILLISECOND_S = 0.001
FLUSH_INTERVAL_S = 0.005
RETRY_INTERVAL_S = 0.1
MEMORY_MS = 60_000
KEYFRAME_INTERVAL_MS = 30_000
MAX_UNANSWERED = 1_000
"""A call that is executed after so many later ones is not recognised; the feed then has to start again."""


class Signals(Protocol):
    """The signals that the tape makes, as far as the buffer needs them."""

    def on_sealed(self, sealed_ms: int) -> None:
        """Every entry up to `sealed_ms` is on the tape, or at least final while Redis is away."""

    def on_lost_data(self) -> None:
        """The server has lost data."""

    def detected_ms(self, sealed_ms: int) -> int:
        """The instant, `sealed_ms` at most, up to which every signal is in the signals file."""


class TapeBuffer:
    """Buffers the tape. `covered_until_ms` is when the cover of live connections ends; None without a connection.

    `memory` is what the detector remembers of a market; keyframes carry it.
    """

    def __init__(
        self,
        writer: TapeWriter,
        *,
        clock: FeedClock,
        covered_until_ms: Callable[[], int | None],
        signals: Signals,
        memory: Callable[[str], Memory],
    ) -> None:
        self._writer, self._clock = writer, clock
        self._covered_until_ms, self._signals, self._detector_memory = covered_until_ms, signals, memory
        self.watermark_ms = 0
        """The last watermark that the server confirmed."""
        self.entries = 0
        self._unsent: list[Stamped] = []
        self._memory: dict[str, deque[Stamped]] = {}
        self._horizon_ms = 0
        """The memory has every entry after this instant, and `_base` the state of each market at it."""
        self._base: dict[str, Stamped] = {}
        self._latest: dict[str, tuple[int, Market | Gap, Conditions]] = {}
        """Instant, value and conditions of the last entry of each market that is followed."""
        self._unanswered: deque[int] = deque(maxlen=MAX_UNANSWERED)
        """The watermarks of the last calls since the confirmed one."""
        self._wake = asyncio.Event()
        self._is_away = False
        self._forgot_unsent = False

    def start(self, watermark_ms: int) -> None:
        """Continue from the server's watermark (0 when it has none), with an empty memory."""
        self.watermark_ms = watermark_ms
        # Nothing is known before this instant, whatever a restored server or a dead feed's late call may bring.
        self._horizon_ms = self._clock.now_ms() - 1

    def append(self, coin: str, at_ms: int, value: Market | Gap, conditions: Conditions | None = None) -> Entry:
        """Add an entry to the tape without blocking, and return it. A market's entries come in order of time."""
        at_ms, seq = self._place(coin, at_ms)
        self._latest[coin] = at_ms, value, conditions or Conditions()
        self._keep(stamp(coin, at_ms, seq, value, conditions))
        return Entry(at_ms, value, conditions)

    def forget(self, coin: str) -> None:
        """Stop the keyframes of a market that is no longer followed."""
        self._latest.pop(coin, None)

    def complete_to_ms(self) -> int:
        """The instant up to which every state is known, including entries that the server does not have yet."""
        covered_ms, now_ms = self._covered_until_ms(), self._clock.now_ms()
        return now_ms - 1 if covered_ms is None else min(now_ms - 1, covered_ms)

    async def run(self) -> None:
        """Flush after every entry and every 5 ms, until cancelled. Raises Fenced."""
        while not is_cancelled():
            with suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_INTERVAL_S):
                    await self._wake.wait()
            self._wake.clear()
            if self._unsent:
                await asyncio.sleep(MILLISECOND_S)  # an entry can be sent once its millisecond is over
            await self._flush()

    async def write_keyframes(self) -> None:
        """Write the state of every market again at intervals, so that trimming never removes the only entry.

        A keyframe has the detector's memory, so that a replay can begin at it.
        """
        while True:
            await asyncio.sleep(KEYFRAME_INTERVAL_MS / 1000)
            # No later than the connections cover, so that a gap of a lost connection begins after it.
            at_ms = self.complete_to_ms() + 1
            for coin, (last_ms, value, conditions) in list(self._latest.items()):
                passed_ms = max(0, at_ms - last_ms)
                how = keyframe_conditions(conditions, passed_ms, self._detector_memory(coin))
                self.append(coin, at_ms, value, how)

    def _place(self, coin: str, at_ms: int) -> tuple[int, int]:
        """The next free `ms-seq` of a market, after its last one."""
        entries = self._memory.get(coin)
        if not entries or entries[-1][1] < at_ms:
            return at_ms, 0
        return entries[-1][1], entries[-1][2] + 1

    def _keep(self, entry: Stamped) -> None:
        self._memory.setdefault(entry[0], deque()).append(entry)
        self._unsent.append(entry)
        self.entries += 1
        self._wake.set()

    async def _flush(self) -> None:
        watermark_ms = max(self.watermark_ms, self.complete_to_ms())
        try:
            if self._forgot_unsent:
                await self._restore(self.watermark_ms or None, watermark_ms)
            else:
                # Younger entries wait: the tape never reaches beyond its watermark.
                ready = [entry for entry in self._unsent if entry[1] <= watermark_ms]
                if ready or watermark_ms > self.watermark_ms:
                    await self._append(ready, watermark_ms, expected_ms=self.watermark_ms or None)
        except WatermarkDiffers as server:
            await self._follow_server(server.watermark_ms, watermark_ms)
        except redis.RedisError as error:
            await self._pause(error)
        else:
            self._confirm(watermark_ms)
        self._signals.on_sealed(watermark_ms if self._is_away else self.watermark_ms)
        self._forget_old(watermark_ms - MEMORY_MS)

    async def _append(self, entries: list[Stamped], watermark_ms: int, *, expected_ms: int | None) -> None:
        self._unanswered.append(watermark_ms)
        detected_ms = self._signals.detected_ms(watermark_ms)
        await self._writer.append(entries, watermark_ms=watermark_ms, expected_ms=expected_ms, detected_ms=detected_ms)

    async def _follow_server(self, server_ms: int | None, watermark_ms: int) -> None:
        """Continue from a watermark of the server that is not the confirmed one."""
        if server_ms is not None and server_ms in self._unanswered:
            self._confirm(server_ms)  # that call was executed; it had every entry up to its watermark
            return
        if server_ms is not None and server_ms > self.watermark_ms:
            raise Fenced(f"the server's watermark is {server_ms}, which this feed never wrote: start the feed again")
        log.error("server_lost_data", server_watermark_ms=server_ms, watermark_ms=self.watermark_ms)
        self._signals.on_lost_data()  # first: if a call below fails, the next flush may not see the loss
        try:
            await self._restore(server_ms, watermark_ms)
            self._confirm(watermark_ms)
        except redis.RedisError as error:
            await self._pause(error)

    async def _pause(self, error: redis.RedisError) -> None:
        log.error("redis_away", outage=error)
        self._is_away = True
        await asyncio.sleep(RETRY_INTERVAL_S)

    def _confirm(self, watermark_ms: int) -> None:
        if self._is_away:
            log.info("redis_back", held_entries=len(self._unsent))
        self._is_away = False
        self.watermark_ms = watermark_ms
        self._unanswered.clear()
        self._unsent = [entry for entry in self._unsent if entry[1] > watermark_ms]

    async def _restore(self, server_ms: int | None, watermark_ms: int) -> None:
        """Write everything in memory that the server lacks, in one atomic call.

        Between the server's watermark and the start of the memory, the state of every market is a gap.
        """
        while True:
            entries = self._missing_since(server_ms, watermark_ms, others=await self._writer.coins())
            try:
                await self._append(entries, watermark_ms, expected_ms=server_ms)
                break
            except WatermarkDiffers as other:  # a call without an answer was executed, or more was lost since
                if (other.watermark_ms or 0) < (server_ms or 0):
                    self._signals.on_lost_data()
                server_ms = other.watermark_ms
        self._forgot_unsent = False
        log.warning("tape_restored", entries=len(entries), since_ms=max(server_ms or 0, self._horizon_ms))

    def _missing_since(self, server_ms: int | None, watermark_ms: int, *, others: set[str]) -> list[Stamped]:
        entries: list[Stamped] = []
        for coin in self._memory.keys() | self._base.keys() | others:
            if server_ms is None or server_ms < self._horizon_ms or coin not in self._memory:
                entries.append(stamp(coin, (server_ms or 0) + 1, 0, Gap("lost: Redis was away or lost its data")))
                if coin in self._base:
                    entries.append(stamp_again(self._base[coin], self._horizon_ms, 1))
            since_ms = max(server_ms or 0, self._horizon_ms)
            entries += [entry for entry in self._memory.get(coin, ()) if since_ms < entry[1] <= watermark_ms]
        return entries

    def _forget_old(self, horizon_ms: int) -> None:
        if horizon_ms < self._horizon_ms + 1000:
            return
        self._horizon_ms = horizon_ms
        for coin, entries in list(self._memory.items()):
            while entries and entries[0][1] <= horizon_ms:
                oldest = self._base[coin] = entries.popleft()
                self._forgot_unsent |= oldest[1] > self.watermark_ms
            if not entries and coin not in self._latest:
                del self._memory[coin]
                self._base.pop(coin, None)
        if self._forgot_unsent:
            self._unsent = [entry for entry in self._unsent if entry[1] > horizon_ms]
