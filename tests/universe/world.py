"""One universe: a venue, a feed, a server, a worker and a disk in one thread; the seed chooses what happens to them."""

import asyncio
import logging
import random
import shutil
import tempfile
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import structlog

import feed.connection
import feed.tape_buffer
from hip3_tasks.domain.market import Entry, Market
from hip3_tasks.files.rules_log import note_rules
from hip3_tasks.settings import Settings
from hip3_tasks.store.keys import Keys
from tests.universe.chance import Chance
from tests.universe.controls import CONTROLS
from tests.universe.disk import Disk
from tests.universe.feed import FeedProcess
from tests.universe.laws import Absence, Broken, FrozenBook, Judge, Tape
from tests.universe.loop import VirtualLoop
from tests.universe.recorder import PERIOD_S, RecorderProcess
from tests.universe.server import FATES, REFUSALS, Execute, Server
from tests.universe.venue import HALF_SPREAD, Venue
from tests.universe.worker import Worker, never_waits

COINS = ("xyz:A", "xyz:B", "abc:C")
OFFSETS_MS = (1000, 2000)
HEARTBEAT_S = 1.0
FLUSH_INTERVAL_S = 0.2
"""The tape buffer's interval, instead of 5 ms: a flush follows every frame, and idle ones cost the most."""
KEYFRAME_INTERVAL_MS = 2_000
"""Instead of 30 s: a universe lasts some ten seconds."""
MEMORY_MS = 4_000
"""Instead of 60 s, so that the server may be away for longer than the feed remembers."""
QUIET_S = 60.0
TRACE_LINES = 40
STEPS_EACH = 50
RECORDED = 4
"""Every fourth universe has a recorder, which takes as long as all the rest."""
CHANGED = 8
"""In every eighth, feeds also have other rules than those before them."""
OTHER_OFFSETS_MS = (1000, 3000)
CALM_S = 1.0

STEPS = {
    "dislocation": 30.0,
    "the book follows": 14.0,
    "the oracle returns": 6.0,
    "nothing": 8.0,
    "the feed is about to die": 9.0,
    "the feed stops for a while": 2.0,
    "the feed is about to stop within a call": 2.0,
    "a call has a fate": 9.0,
    "the server is away": 2.0,
    "the server refuses": 2.0,
    "the server is emptied": 0.7,
    "the server is set back": 1.0,
    "the disk is full": 2.0,
    "the venue hangs up": 2.0,
    "a book stands still": 1.0,
    "a frame cannot be used": 2.0,
    "a book of an older block comes": 1.0,
    "the socket stalls": 2.0,
    "the worker is about to die": 4.0,
    "the worker stops for a while": 2.0,
    "a task is revoked": 2.0,
    "the wall clock steps": 1.0,
    "the power is cut": 0.5,
    "the power is about to be cut at a call": 1.5,
}


@dataclass
class Result:
    """The end of one universe."""

    seed: int
    failure: str
    """The law that broke; empty when all hold."""
    drawn: Counter[str]
    trace: list[str]
    signals: int
    followups: int
    missed: int


class World:
    """Everything in one universe."""

    def __init__(self, seed: int, loop: VirtualLoop, data_dir: Path) -> None:
        self.loop, self.data_dir = loop, data_dir
        self.chance = Chance(seed)
        self.settings = Settings(
            data_dir=data_dir, name="universe", redis_url="redis://localhost", offsets_ms=OFFSETS_MS, worker_wait_s=0
        )
        keys = Keys(self.settings.feed_name)
        self.server = Server(loop, self.chance)
        self.disk = Disk(data_dir, loop, self.chance)
        self.venue = Venue(loop, COINS)
        self.tape = Tape(self.server.direct, self.server.length, keys, COINS)
        self.worker = Worker(loop, self.chance, server=self.server, disk=self.disk, keys=keys, data_dir=data_dir)
        self.absences: list[Absence] = []
        self.heard: dict[tuple[str, int], list[Market]] = {}
        self.frozen: list[FrozenBook] = []
        self.deaths: Iterator[int] = iter(())
        """The number of effects after which each next feed dies; those after the last do not."""
        self.recorder: RecorderProcess | None = None
        if seed % RECORDED == 0:
            if seed % CHANGED:
                note_rules(data_dir, self.settings.rules, from_ms=loop.wall_ms())
            self.recorder = RecorderProcess(seed, server=self.server, keys=keys, data_dir=data_dir)
        self._changes_rules = seed % CHANGED == 0
        self.reached_live: list[bool] = []
        """Whether each dead feed had become live."""
        self._feed: FeedProcess | None = None
        self._starts_at_s = 0.0
        self._oracle_steps = 0
        self._background: list[asyncio.Task[None]] = []
        self.server.watch_append = self._watched

    def _watched(self, append: Execute) -> object:
        """Hold an executed call that adds entries to the watermark's law."""
        before_ms = self.tape.watermark_ms()
        try:
            return append()
        finally:
            self.tape.read_new(watermark_before_ms=before_ms)

    async def run(self, steps: int) -> None:
        """Let things happen, then heal everything and judge. Raises Broken."""
        async with self._running():
            for _ in range(steps):
                kind = self.chance.pick(STEPS)
                if kind == "a book stands still":
                    await self._let_book_stand_still()
                else:
                    self._step(kind)
                await self._pass(self.chance.choice([0.0, 0.001, 0.004, 0.05, 0.3, self.chance.uniform(0, 0.6)]))

    async def run_deaths(self, in_burst: int, in_starts: Sequence[int]) -> None:
        """Kill the feed at an effect after a burst, and each next one at an effect of its start. Raises Broken."""
        async with self._running():
            self.deaths = iter(in_starts)
            for market in self.venue.markets.values():
                market.oracle = market.mid * 1.002
                self.venue.publish(market, "ctx")
            assert self._feed is not None
            self._feed.life.ends_after = in_burst
            until_s = self.loop.time() + QUIET_S
            while len(self.reached_live) <= len(in_starts) and self.loop.time() < until_s:
                await self._pass(0.05)

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        """All parts run, and are judged at the end."""
        works = [self._beat(), self._work(), self._keep_feed(), *([self._record()] if self.recorder else [])]
        self._background = [self.loop.create_task(work) for work in works]
        try:
            await self._live(within_s=QUIET_S)
            yield
            await self._finish()
        finally:
            for task in self._background:
                task.cancel()
            await asyncio.gather(*self._background, return_exceptions=True)
            if self._feed is not None:
                await self._feed.bury()

    def tell(self, text: str) -> None:
        self.chance.tell(self.loop.time(), text)

    def _step(self, kind: str) -> None:
        chance, now_s = self.chance, self.loop.time()
        if not kind.startswith(("dislocation", "the book", "the oracle", "nothing")):
            chance.drawn[kind] += 1
        self.tell(kind)
        later = self.loop.call_later
        match kind:
            case "dislocation":
                self._dislocate()
            case "the book follows":
                for market in chance.some(list(self.venue.markets.values())):
                    market.mid = market.oracle
                    self.venue.publish(market, "bbo")
            case "the oracle returns":
                market = chance.choice(list(self.venue.markets.values()))
                market.oracle = market.mid
                self.venue.publish(market, "ctx")
            case "the feed is about to die":
                if self._feed is not None and self._feed.life.is_alive:
                    self._feed.life.ends_after = chance.choice([0, 1, 2, 3, 5, chance.randint(0, 30)])
            case "the feed stops for a while":
                self._stop_feed(chance.uniform(0.05, 6))
            case "the feed is about to stop within a call":
                if self._feed is not None and self._feed.life.is_alive:
                    self._feed.life.stops_after = chance.choice([0, 1, 2, 3, 5, chance.randint(0, 30)])
            case "a call has a fate":
                self.server.next_fate, self.server.next_fate_is_rare = chance.pick(FATES), chance.random() < 0.5
                chance.drawn[f"call: {self.server.next_fate}"] += 1
            case "the server is away":
                self.server.is_away = True
                later(chance.choice([chance.uniform(0.1, 3), chance.uniform(3, 9)]), self._server_returns)
            case "the server refuses":
                self.server.refusal = chance.pick(REFUSALS)
                later(chance.choice([chance.uniform(0.1, 3), chance.uniform(3, 9)]), self._server_accepts)
            case "the server is emptied":
                self.server.empty()
                self.tape.on_lost_data()
            case "the server is set back":
                self.server.set_back()
                self.tape.on_lost_data()
            case "the disk is full":
                self.disk.is_full = True
                later(chance.uniform(0.1, 2), self._disk_has_room)
            case "the venue hangs up":
                self.venue.close_sockets()
            case "a frame cannot be used":
                market = chance.choice(list(self.venue.markets.values()))
                self.venue.send_unusable(market, chance.choice(["bbo", "ctx"]))
            case "a book of an older block comes":
                for _ in range(chance.randint(1, 3)):
                    self.venue.send_older(chance.choice(list(self.venue.markets.values())))
            case "the socket stalls":
                for socket in self.venue.sockets:
                    socket.is_stalled = True
                    later(chance.uniform(0.1, 6), socket.resume)
            case "the worker is about to die":
                self.worker.life.ends_after = chance.randint(0, 8)
            case "the worker stops for a while":
                self.worker.stopped_until_s = now_s + chance.uniform(0.1, 4)
            case "a task is revoked":
                self.worker.revoke()
            case "the wall clock steps":
                self.loop.wall_step_ms += chance.randint(-2000, 2000)
            case "the power is cut":
                self._cut_power()
            case "the power is about to be cut at a call":
                lives = [self.worker.life] + ([self._feed.life] if self._feed else [])
                life = chance.choice(lives)
                life.ends_after, life.on_death = chance.choice([0, 1, 2, 3, 5, chance.randint(0, 30)]), self._cut_power
                life.ends_on_disk = chance.random() < 0.5
        if chance.random() < 0.2:
            self.server.run_late()
        if chance.random() < 0.1:
            self.server.keep_snapshot()

    def _dislocate(self) -> None:
        """Move the oracles of some markets to values they never had, away from the books."""
        for market in self.chance.some(list(self.venue.markets.values())):
            self._oracle_steps += 1
            market.oracle = market.mid * (1 + self.chance.choice([-1, 1]) * (0.002 + 0.00001 * self._oracle_steps))
            self.venue.publish(market, "ctx")

    async def _let_book_stand_still(self) -> None:
        """Let a book stand still for some seconds, in which nothing else goes wrong: one feed hears all of it."""
        self.tell("a book stands still")
        self.chance.drawn["a book stands still"] += 1
        feed, market = self._feed, self.chance.choice(list(self.venue.markets.values()))
        if feed is None or feed.clock is None or not feed.is_live:
            return
        feed.life.ends_after = feed.life.stops_after = self.worker.life.ends_after = None
        self.server.next_fate = ""
        began, began_ms = (feed, self.venue.opened), feed.clock.now_ms()
        self.venue.freeze(market)
        until_s = self.loop.time() + self.chance.uniform(5, 9)
        while self.loop.time() < until_s:
            self._dislocate()
            await self._pass(0.4)
        if began == (self._feed, self.venue.opened):
            assert market.frozen is not None
            bid_px = market.frozen[0] - HALF_SPREAD
            self.frozen.append(FrozenBook(market.coin, bid_px, began_ms, feed.clock.now_ms()))
        self.venue.thaw(market)

    def _stop_feed(self, seconds: float) -> None:
        """Let the others go on while the feed's process is stopped."""
        until_s = self.loop.time() + seconds
        while self.loop.time() < until_s:
            self.loop.jump(0.25)
            if not self.disk.journal_is_locked():
                self.worker.run()
            self.venue.publish_contexts()
            if self.chance.random() < 0.3:
                self._dislocate()

    def _stop_within_call(self) -> None:
        seconds = self.chance.uniform(0.05, 6)
        self.tell(f"feed stops within a call for {seconds:.3f} s")
        self._stop_feed(seconds)

    def _server_returns(self) -> None:
        self.server.is_away = False

    def _server_accepts(self) -> None:
        self.server.refusal = ""

    def _disk_has_room(self) -> None:
        self.disk.is_full = False

    def _cut_power(self) -> None:
        """End everything on this machine; the server has what it saved last."""
        if self._feed is not None:
            self._feed.life.end()
        self.server.set_back()
        self.tape.on_lost_data()
        self.disk.cut_power()
        self.worker.life.end()
        if self.recorder:
            self.recorder.end()

    async def _pass(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        for task in self._background:
            if task.done():
                task.result()  # raises what ended it

    async def _live(self, *, within_s: float) -> None:
        until_s = self.loop.time() + within_s
        while self._feed is None or not self._feed.is_live:
            if self.loop.time() > until_s:
                raise Broken(f"no feed is live after {within_s:g} s without a fault")
            await self._pass(0.05)

    async def _recapture(self, *, within_s: float) -> None:
        """Recapture what was revoked, again where it was not due yet by the feed's clock."""
        until_s = self.loop.time() + within_s
        while revoked := self.worker.count_revoked():
            if self.loop.time() > until_s:
                raise Broken(f"{revoked} captures were revoked, and a recapture did not capture them")
            self.worker.recapture_revoked()
            await self._pass(CALM_S)

    async def _finish(self) -> None:
        """Let no fault happen any more; drain the feed, and judge what is there."""
        self.tell("calm")
        self.chance.is_calm = True
        self.server.is_away = self.disk.is_full = False
        self.server.next_fate = self.server.refusal = ""
        self.worker.life.ends_after = None
        if self._feed is not None:
            self._feed.life.ends_after = self._feed.life.stops_after = None
        self.server.run_late()
        await self._live(within_s=QUIET_S)
        await self._pass(CALM_S)  # a feed notices at its next flush what a server lost
        feed = self._feed
        assert feed is not None and feed.clock is not None
        drain_at_ms = feed.clock.now_ms()
        left_open = await feed.drain()
        await self._pass(0)
        if left_open:
            raise Broken(f"{left_open} captures were left open")
        await self._recapture(within_s=QUIET_S)
        judge = Judge(
            self.data_dir,
            self.tape,
            absences=self.absences,
            heard=self.heard,
            frozen=self.frozen,
            rules=self.settings.rules,
            detecting_until_ms=drain_at_ms,
            lost_data=self.server.lost_data,
            damaged=self.disk.damaged,
            acknowledged=self.disk.acknowledged,
        )
        judge.check()
        if self.recorder:
            self.recorder.finish(is_clock_sound=not self.chance.drawn["the wall clock steps"])

    async def _beat(self) -> None:
        """Send every market's context each second, changed or not."""
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            self.venue.publish_contexts()

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(0.03)
            self.worker.run()

    async def _record(self) -> None:
        assert self.recorder is not None
        while True:
            await asyncio.sleep(PERIOD_S)
            self.recorder.run(self.loop.time())

    def _feed_settings(self) -> Settings:
        if not self._changes_rules:
            return self.settings
        offsets_ms = self.chance.choice([OFFSETS_MS, OTHER_OFFSETS_MS])
        return Settings(**(self.settings.model_dump() | {"offsets_ms": offsets_ms}))

    async def _keep_feed(self) -> None:
        """Start a feed, and another one when it has died."""
        while True:
            self._feed = FeedProcess(
                self.loop,
                self.chance,
                settings=self._feed_settings(),
                server=self.server,
                disk=self.disk,
                coins=COINS,
                on_entry=self._on_entry,
                on_stop=self._stop_within_call,
                notes_rules=self._changes_rules,
            )
            self._feed.life.ends_after = next(self.deaths, None)
            self.tell("a feed starts")
            await self._feed.life.ended.wait()
            if failure := self._feed.failure():
                raise Broken(f"the feed ended by itself: {failure!r}")
            self.reached_live.append(self._feed.knows_all)
            self.tell("the feed is fenced" if self._feed.is_fenced else "the feed is dead")
            await self._feed.bury()
            self._note_absence()
            await asyncio.sleep(self.chance.choice([0.0, 0.01, self.chance.uniform(0, 2.5)]))

    def _note_absence(self) -> None:
        """Note that no feed knows the markets from now on, unless the clock went back to a time that one did know.

        It does so when the wall clock was set back while the server lost the tape.
        """
        assert self._feed is not None
        if self._feed.clock is not None:
            now_ms = self._feed.clock.now_ms()
            if now_ms >= max((absence.from_ms for absence in self.absences), default=0):
                self.absences.append(Absence(now_ms))

    def _on_entry(self, coin: str, entry: Entry) -> None:
        if isinstance(entry.value, Market):
            self.heard.setdefault((coin, entry.at_ms), []).append(entry.value)
            for absence in self.absences:
                # The earliest, for the clock may go back into an absence: by a step, after the tape was lost.
                absence.until_ms[coin] = min(entry.at_ms, absence.until_ms.get(coin, entry.at_ms))


def run_universe(seed: int, *, steps: int = STEPS_EACH, control: str = "") -> Result:
    """Run one universe to its end; `control` names a fault of `tests.universe.controls` to build in."""
    return run_world(seed, lambda world: world.run(steps), control=control)


def run_world(seed: int, course: Callable[[World], Coroutine[Any, Any, None]], *, control: str = "") -> Result:
    """Run one universe on its course."""
    random.seed(seed)  # for the product's jitter
    shm = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="universe-", dir=shm if shm.is_dir() else None))
    data_dir = folder / "data"  # a name that is the same in each trace
    data_dir.mkdir()
    loop = VirtualLoop()
    failure = ""
    asyncio.set_event_loop(loop)
    world = World(seed, loop, data_dir)
    try:
        with CONTROLS[control](), _installed(world):
            try:
                loop.run_until_complete(course(world))
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt | SystemExit):
                    raise
                failure = str(error) if isinstance(error, Broken) else "".join(traceback.format_exception(error))
                world.tell(failure)
        counts = {
            name: sum(len(path.read_bytes().splitlines()) for path in data_dir.glob(f"{name}_*.jsonl"))
            for name in ("signals", "followups", "missed")
        }
        return Result(seed, failure, world.chance.drawn, world.chance.trace, **counts)
    finally:
        world.server.close()
        with suppress(RuntimeError):
            loop.close()
        asyncio.set_event_loop(None)
        shutil.rmtree(folder, ignore_errors=True)


def run_shortened(seed: int, *, steps: int, control: str) -> Result:
    """Run a universe, and keep of its trace what a failure needs."""
    result = run_universe(seed, steps=steps, control=control)
    result.trace = result.trace[-TRACE_LINES:] if result.failure else []
    return result


@contextmanager
def _installed(world: World) -> Iterator[None]:
    """Put the world's parts in the place of what the product would use."""
    config = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        with (
            world.disk.installed(),
            never_waits(),
            patch.object(feed.connection, "connect", world.venue.connect),
            patch.object(feed.tape_buffer, "FLUSH_INTERVAL_S", FLUSH_INTERVAL_S),
            patch.object(feed.tape_buffer, "KEYFRAME_INTERVAL_MS", KEYFRAME_INTERVAL_MS),
            patch.object(feed.tape_buffer, "MEMORY_MS", MEMORY_MS),
        ):
            yield
    finally:
        structlog.configure(**config)
