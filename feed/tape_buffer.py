"""From states in memory to the tape in Redis: entries, the watermark, keyframes, trimming, and what to do after a loss.

The last minute is kept in memory, so that a server that was away or lost data can be given it again. The pipeline
runs on the event loop, so no entry can be stamped while a flush decides how far the tape is complete.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import redis
import structlog

from hip3_tasks.clock import FeedClock
from hip3_tasks.domain.market import Gap, Market
from hip3_tasks.store.keys import is_cancelled
from hip3_tasks.store.tape import Stamped, stamp
from hip3_tasks.store.tape_writer import LostData, TapeWriter

log = structlog.get_logger()

MILLISECOND_S = 0.001
FLUSH_EVERY_S = 0.005
RETRY_EVERY_S = 0.1
MEMORY_MS = 60_000
KEYFRAME_EVERY_MS = 30_000


class Pipeline:
    """The feed's tape. `hold_ms` is the instant up to which live connections vouch for the state, None for ever."""

    def __init__(
        self,
        writer: TapeWriter,
        *,
        clock: FeedClock,
        hold_ms: Callable[[], int | None],
        on_lost_data: Callable[[], None],
    ) -> None:
        self._writer, self._clock, self._hold_ms, self._on_lost_data = writer, clock, hold_ms, on_lost_data
        self.watermark_ms = 0
        """The last one the server confirmed."""
        self.entries = 0
        self._unsent: list[Stamped] = []
        self._memory: dict[str, deque[Stamped]] = {}
        self._horizon_ms = 0
        """The memory knows every state since then, and in `_base` the one of that instant."""
        self._base: dict[str, Stamped] = {}
        self._latest: dict[str, Stamped] = {}
        self._wake = asyncio.Event()
        self._away = False
        self._forgot_unsent = False

    def start(self, watermark_ms: int) -> None:
        """Take up from the server's watermark, at which nothing is in memory yet."""
        self.watermark_ms = self._horizon_ms = watermark_ms

    def append(self, coin: str, at_ms: int, value: Market | Gap) -> None:
        """Put an entry on the tape; never blocks. A market's entries come in order of time."""
        self._keep(stamp(coin, *self._place(coin, at_ms), value))

    def forget(self, coin: str) -> None:
        """Write no more keyframes of a market that is no longer followed."""
        self._latest.pop(coin, None)

    def complete_to_ms(self) -> int:
        """The instant up to which every state is known, whether the server has it yet or not."""
        hold_ms = self._hold_ms()
        now_ms = self._clock.now_ms()
        return now_ms - 1 if hold_ms is None else min(now_ms - 1, hold_ms)

    async def run(self) -> None:
        """Flush after every entry and every 5 ms, until cancelled. Raises Fenced."""
        while not is_cancelled():
            with suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_EVERY_S):
                    await self._wake.wait()
            self._wake.clear()
            if self._unsent:
                await asyncio.sleep(MILLISECOND_S)  # an entry can go once its millisecond is over
            await self._flush()

    async def write_keyframes(self) -> None:
        """Repeat the state of every market from time to time, so that trimming never takes the only one."""
        while True:
            await asyncio.sleep(KEYFRAME_EVERY_MS / 1000)
            # Not later than connections vouch for: what is lost then begins after it.
            at_ms = self.complete_to_ms() + 1
            for coin, last_ms, _, field, value in list(self._latest.values()):
                if at_ms - last_ms >= KEYFRAME_EVERY_MS // 2:
                    self._keep((coin, at_ms, 0, field, value))

    def _place(self, coin: str, at_ms: int) -> tuple[int, int]:
        """The next free `ms-seq` of a market, not before its last."""
        last = self._latest.get(coin)
        if last is None or last[1] < at_ms:
            return at_ms, 0
        return last[1], last[2] + 1

    def _keep(self, entry: Stamped) -> None:
        coin = entry[0]
        self._latest[coin] = entry
        self._memory.setdefault(coin, deque()).append(entry)
        self._unsent.append(entry)
        self.entries += 1
        self._wake.set()

    async def _flush(self) -> None:
        watermark_ms = max(self.watermark_ms, self.complete_to_ms())
        confirmed_ms = self.watermark_ms or None
        try:
            if self._forgot_unsent:
                await self._restore(confirmed_ms, watermark_ms)
            else:
                # What is younger stays here: the tape never reaches beyond its watermark.
                ready = [entry for entry in self._unsent if entry[1] <= watermark_ms]
                if ready or watermark_ms > self.watermark_ms:
                    await self._writer.append(ready, watermark_ms=watermark_ms, confirmed_ms=confirmed_ms)
        except LostData as lost:
            log.error("server_lost_data", its_watermark_ms=lost.watermark_ms, ours_ms=self.watermark_ms)
            self._on_lost_data()  # also if what follows fails: then the next flush may see nothing wrong any more
            try:
                await self._restore(lost.watermark_ms, watermark_ms)
                self._confirm(watermark_ms)
            except redis.RedisError as error:
                await self._rest(error)
        except redis.RedisError as error:
            await self._rest(error)
        else:
            if self._away:
                log.info("redis_back", held_entries=len(self._unsent))
            self._away = False
            self._confirm(watermark_ms)
        self._forget_old(watermark_ms - MEMORY_MS)

    async def _rest(self, error: redis.RedisError) -> None:
        if not self._away:
            log.error("redis_away", error=str(error))
        self._away = True
        await asyncio.sleep(RETRY_EVERY_S)

    def _confirm(self, watermark_ms: int) -> None:
        self.watermark_ms = watermark_ms
        self._unsent = [entry for entry in self._unsent if entry[1] > watermark_ms]

    async def _restore(self, found_ms: int | None, watermark_ms: int) -> None:
        """Give a server everything in memory that it lacks, in one atomic call.

        Between what it has, exactly, and what memory reaches back to, nothing is known: a gap, for every market.
        """
        while True:
            entries = self._missing_since(found_ms, watermark_ms, others=await self._writer.coins())
            try:
                await self._writer.append(entries, watermark_ms=watermark_ms, confirmed_ms=found_ms, exactly=True)
                break
            except LostData as other:  # a call whose answer was lost had been executed, or more is lost by now
                if (other.watermark_ms or 0) < (found_ms or 0):
                    self._on_lost_data()
                found_ms = other.watermark_ms
        self._forgot_unsent = False
        log.warning("tape_restored", entries=len(entries), since_ms=max(found_ms or 0, self._horizon_ms))

    def _missing_since(self, found_ms: int | None, watermark_ms: int, *, others: set[str]) -> list[Stamped]:
        entries: list[Stamped] = []
        for coin in self._memory.keys() | self._base.keys() | others:
            if found_ms is None or found_ms < self._horizon_ms or coin not in self._memory:
                entries.append(stamp(coin, (found_ms or 0) + 1, 0, Gap("lost: Redis was away or lost its data")))
                if coin in self._base:
                    *_, field, value = self._base[coin]
                    entries.append((coin, self._horizon_ms, 1, field, value))
            entries += [entry for entry in self._memory.get(coin, ()) if entry[1] <= watermark_ms]
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
