"""A feed process: the product's own parts from frame to signal, on virtual time, and its death."""

import asyncio
import os
from collections.abc import Callable
from typing import Any, TypeVar

from feed.__main__ import rules_noted, write_now
from feed.directory_lock import DirectoryLock
from feed.feed import Feed
from feed.past import resume, signals_on_file, take_tape
from feed.shutdown import drain
from feed.signal_publisher import SignalPublisher
from feed.sweeper import Sweeper
from feed.universe import Universe
from hip3_tasks.clock import FeedClock
from hip3_tasks.domain.conditions import Conditions
from hip3_tasks.domain.detector import Detector
from hip3_tasks.domain.market import Entry, Gap, Market, dex_of
from hip3_tasks.errors import Fenced, JournalError
from hip3_tasks.files.rules_log import RulesNote
from hip3_tasks.settings import Settings
from hip3_tasks.store.keys import Keys
from hip3_tasks.store.store import Store
from hip3_tasks.store.tape_writer import TapeWriter
from tests.universe.chance import Chance, Life
from tests.universe.disk import Disk
from tests.universe.loop import VirtualLoop
from tests.universe.server import Server, travel

T = TypeVar("T")
TAKER_FEE_BPS = 0.9
OnEntry = Callable[[str, Entry], None]


class _Threads:
    """The feed's threads: each piece of work is done at one instant, after and before some virtual time."""

    def __init__(self, life: Life, disk: Disk, chance: Chance) -> None:
        self._life, self._disk, self._chance = life, disk, chance

    async def _run(self, work: Callable[..., T], *args: object) -> T:
        await travel(self._chance)
        result = self._disk.run(self._life, work, *args)
        await travel(self._chance)
        self._life.check()
        return result

    on_disk = on_redis = on_files = _run


class _Info:
    """The venue's list of markets, which never changes."""

    def __init__(self, coins: tuple[str, ...]) -> None:
        self._live = dict.fromkeys(coins, TAKER_FEE_BPS)

    async def watch(self, _: Settings, on_change: Callable[[Universe], None]) -> None:
        dexes = frozenset(map(dex_of, self._live))
        on_change(Universe(dexes=dexes, dexes_read=dexes, live=self._live))
        await asyncio.Event().wait()

    async def book(self, _: str) -> None:
        """No answer: every subscription brings its first frames."""


class _NoRules:
    def write(self) -> None:
        """Nothing: every feed of this universe has the rules that stand there from its beginning."""


class FeedProcess:
    """One life of the feed. `on_entry` is told each state and gap that it puts down for the tape.

    `on_stop` lets time pass while it is stopped within a call.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        chance: Chance,
        *,
        settings: Settings,
        server: Server,
        disk: Disk,
        coins: tuple[str, ...],
        on_entry: OnEntry,
        on_stop: Callable[[], None],
        notes_rules: bool,
    ) -> None:
        self._loop, self._chance, self._settings = loop, chance, settings
        self._server, self._disk, self._coins, self._on_entry = server, disk, coins, on_entry
        self._notes_rules = notes_rules
        self.life = Life("feed", chance, on_stop)
        self.feed: Feed | None = None
        self.publisher: SignalPublisher | None = None
        self.sweeper: Sweeper | None = None
        self.clock: FeedClock | None = None
        self._lock_fd: int | None = None
        self.task = loop.create_task(self._run())
        self.task.add_done_callback(lambda _: self.life.ended.set())

    async def _run(self) -> None:
        settings = self._settings
        directory = DirectoryLock(settings.data_dir)
        self._lock_fd = directory._fd
        keys, threads = Keys(settings.feed_name), _Threads(self.life, self._disk, self._chance)
        store = Store(self._server.client(self.life), keys)  # type: ignore[arg-type]
        writer = TapeWriter(self._server.async_client(self.life), keys, owner=directory.owner)  # type: ignore[arg-type]
        tape = await take_tape(writer, wall_ms=self._loop.wall_ms)
        at_ms = max(self._loop.wall_ms(), tape.marks.watermark_ms or 0)
        on_file = self._disk.run(self.life, lambda: signals_on_file(settings.data_dir, at_ms=at_ms))
        noted = self._disk.run(self.life, lambda: rules_noted(settings.data_dir)) if self._notes_rules else []
        past = resume(Detector(settings.rules), tape, on_file, noted=noted)
        clock = self.clock = FeedClock(
            not_before_ms=past.last_ms + 1, wall_ns=self._loop.wall_ns, monotonic_ns=self._loop.monotonic_ns
        )
        rules: Any = _NoRules()
        if self._notes_rules:
            from_ms = past.last_ms + 1 if past.last_ms else clock.now_ms()
            rules = RulesNote(settings.data_dir, settings.rules, from_ms=from_ms)
            self._disk.run(self.life, lambda: write_now(rules))
        self.publisher = SignalPublisher(settings, store=store, threads=threads, clock=clock, rules=rules)  # type: ignore[arg-type]
        on_lost = self.publisher.on_lost_data
        self.sweeper = Sweeper(store, threads=threads, clock=clock, on_lost_data=on_lost)  # type: ignore[arg-type]
        self.publisher.rebuilder._recapture_open = _nothing_older  # type: ignore[method-assign]
        self.feed = feed = Feed(settings, clock=clock, writer=writer, publisher=self.publisher, past=past)
        append = feed.tape.append

        def noted(coin: str, at_ms: int, value: Market | Gap, conditions: Conditions | None = None) -> Entry:
            self.life.check()
            entry = append(coin, at_ms, value, conditions)
            self._on_entry(coin, entry)
            return entry

        feed.tape.append = noted  # type: ignore[method-assign]
        feed.start()
        feed.start_detecting()
        async with asyncio.TaskGroup() as group:
            group.create_task(feed.run(_Info(self._coins)))  # type: ignore[arg-type]
            group.create_task(self.sweeper.run())

    @property
    def is_live(self) -> bool:
        """Whether it runs and knows the state of every market."""
        return self.life.is_alive and self.knows_all

    @property
    def knows_all(self) -> bool:
        """Whether it knows the state of every market, or did when it died."""
        return self.feed is not None and len(self.feed.markets.live) == len(self._coins)

    async def drain(self) -> int:
        """Drain as on SIGTERM; the number of captures that were left open."""
        assert self.feed and self.publisher and self.sweeper
        longest_ms = max(self._settings.offsets_ms)
        return await drain(self.feed, self.publisher, self.sweeper, max_offset_ms=longest_ms)

    async def bury(self) -> None:
        """Remove what is left of a dead feed. Nothing of it may run between its death and this."""
        self.life.end()
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        self._disk.close_files(self.life)
        if self._lock_fd is not None:
            os.close(self._lock_fd)

    @property
    def is_fenced(self) -> bool:
        """Whether the feed ended itself, and is then started again: the server has what it never wrote, or the disk
        does not sync the lines of the feed before."""
        error = self.task.exception() if self.task.done() and not self.task.cancelled() else None
        has_strange = isinstance(error, BaseExceptionGroup) and error.subgroup(Fenced) is not None
        return has_strange or isinstance(error, JournalError)

    def failure(self) -> BaseException | None:
        """The error that ended the feed, when it was neither killed nor fenced."""
        if not self.task.done() or self.task.cancelled() or not self.life.is_alive or self.is_fenced:
            return None
        return self.task.exception()


async def _nothing_older() -> None:
    """No day is older."""
