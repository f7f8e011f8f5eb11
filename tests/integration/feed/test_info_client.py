"""The client of the info endpoint against a venue whose faults are switched on; its pauses pass 200 times as fast."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from feed.info_requests import Timer, UniverseError
from feed.universe import InfoClient, Universe
from hip3_tasks.settings import Settings
from simulator.limits import Limits
from simulator.server import VenueServer
from tests.support.feed import universe
from tests.support.waiting import eventually_async as eventually

SPEED = 200
COINS = ("xyz:TSLA", "xyz:AAPL", "para:BTC")


class FastTimer(Timer):
    """Seconds pass `SPEED` times as fast as they do; a busy machine lengthens no pause that was asked for."""

    def __init__(self) -> None:
        self.pauses_s: list[float] = []

    def now_s(self) -> float:
        return super().now_s() * SPEED

    async def sleep(self, pause_s: float) -> None:
        self.pauses_s.append(pause_s)
        await super().sleep(pause_s / SPEED)


class Watch:
    """A venue, and a client that watches its universe."""

    def __init__(self, server: VenueServer, client: InfoClient, timer: FastTimer) -> None:
        self.server, self.client, self.timer = server, client, timer
        self.readings: list[Universe] = []

    @property
    def live(self) -> set[str]:
        return set(self.client.universe.live)

    async def until(self, what: str, condition: Callable[[Universe], Any]) -> Universe:
        """Wait for a universe as it is handed to the feed; it is the last one."""
        await eventually(what, lambda: self.readings and condition(self.readings[-1]))
        return self.readings[-1]

    async def reads(self, count: int) -> None:
        """Wait until the universe was read so many times more."""
        wanted = self.server.info_requests["allPerpMetas"] + count
        await eventually("read again", lambda: self.server.info_requests["allPerpMetas"] >= wanted)


@asynccontextmanager
async def watching(
    *faults: str, dexes: tuple[str, ...] = (), listed: Any = None, limits: Limits | None = None, refresh_s: float = 20
) -> AsyncIterator[Watch]:
    server = VenueServer(listed or universe(*COINS), limits=limits or Limits(info_weight_per_minute=10**6))
    await server.start()
    for fault in faults:
        server.switch_on(fault)
    timer = FastTimer()
    async with aiohttp.ClientSession() as session:
        watch = Watch(server, InfoClient(session, server.base_url, timer=timer), timer)
        chosen = Settings(dexes=dexes, universe_refresh_s=refresh_s)
        task = asyncio.create_task(watch.client.watch(chosen, watch.readings.append))
        try:
            yield watch
            assert not task.done(), task.exception()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await server.stop()


def run(script: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(script(), 60))


def test_the_universe_is_one_request() -> None:
    async def script() -> None:
        async with watching() as watch:
            reading = await watch.until("all markets", lambda read: len(read.live) == 3)
            assert watch.server.info_requests == {"allPerpMetas": 1}
            assert (reading.dexes, reading.dexes_read) == ({"xyz", "para"}, {"xyz", "para"})
            assert (reading.broken, reading.unread, reading.trouble) == ({}, frozenset(), None)

    run(script)


def test_a_dex_without_markets_and_a_dex_that_is_not_wanted_are_known() -> None:
    async def script() -> None:
        async with watching(listed={"empty": [], **universe(*COINS)}, dexes=("xyz", "empty", "moon")) as watch:
            reading = await watch.until("its dex", lambda read: "xyz" in read.dexes_read)
            assert set(reading.live) == {"xyz:TSLA", "xyz:AAPL"}
            assert (reading.dexes, reading.dexes_read) == ({"empty", "xyz", "para"}, {"empty", "xyz"})
            assert (reading.broken, reading.unread) == ({}, frozenset())

    run(script)


def test_a_venue_without_all_perp_metas_is_asked_for_each_dex_and_not_again_for_all_at_once() -> None:
    async def script() -> None:
        async with watching("no-all-perp-metas") as watch:
            await watch.until("all markets", lambda read: len(read.live) == 3)
            await eventually("read again", lambda: watch.server.info_requests["perpDexs"] >= 3)
            assert watch.server.info_requests["allPerpMetas"] == 1
            assert watch.server.info_requests["meta"] >= 4

    run(script)


def test_many_dexes_are_read_within_the_limit_and_serve_what_has_been_read() -> None:
    async def script() -> None:
        async with watching("no-all-perp-metas", "many-dexes") as watch:
            began_s = watch.timer.now_s()
            first = await watch.until("the first dexes", lambda read: len(read.live) == 3)
            assert watch.timer.now_s() - began_s < 60
            assert len(first.unread) > 150
            await watch.until("all dexes", lambda read: len(read.dexes_read) == 202)
            passed_s = watch.timer.now_s() - began_s
            # 480 a minute, and as much at once at the start.
            assert 20 * watch.server.info_requests.total() <= 480 * (1 + passed_s / 60)
            assert watch.live == set(COINS)

    run(script)


def test_a_broken_dex_is_asked_again_while_many_others_are_still_to_be_read() -> None:
    async def script() -> None:
        async with watching("no-all-perp-metas", "many-dexes", "dex-down:para") as watch:
            reading = await watch.until("asked again", lambda r: "para" in r.broken and r.broken["para"].attempts > 1)
            assert len(reading.unread) > 120

    run(script)


def test_many_dexes_are_one_request_too() -> None:
    async def script() -> None:
        async with watching("many-dexes") as watch:
            reading = await watch.until("all dexes", lambda read: len(read.dexes_read) == 202)
            assert watch.server.info_requests.total() == 1
            assert len(reading.delisted) == 200

    run(script)


@pytest.mark.parametrize("mode", [(), ("no-all-perp-metas",)], ids=["all", "each"])
@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("dex-down:para", "the venue answered 500 Internal Server Error"),
        ("dex-html:para", "the answer is no JSON"),
        ("dex-null:para", "the answer has no list of markets"),
    ],
)
def test_a_dex_that_cannot_be_read_is_named_and_costs_no_other(mode: tuple[str, ...], fault: str, cause: str) -> None:
    async def script() -> None:
        async with watching(*mode) as watch:
            switch = watch.server.switch_on(fault)
            reading = await watch.until("it is named", lambda read: "para" in read.broken)
            assert set(reading.live) == {"xyz:TSLA", "xyz:AAPL"}
            assert reading.broken["para"].cause == cause
            await watch.until("it is asked again", lambda read: read.broken["para"].attempts >= 3)
            assert set(reading.live) == {"xyz:TSLA", "xyz:AAPL"}
            assert watch.readings[-1].broken["para"].since_ms == reading.broken["para"].since_ms
            watch.server.switch_off(switch)
            await watch.until("it is read", lambda read: len(read.live) == 3 and not read.broken)
            watch.server.switch_on(fault)
            await watch.until("it is named again", lambda read: "para" in read.broken)
            assert watch.live == set(COINS)  # as last read

    run(script)


def test_one_odd_reading_drops_nothing() -> None:
    """All requests of the reading are answered so: the names of the dexes are asked when one is missing."""

    async def script() -> None:
        async with watching() as watch:
            await watch.until("all markets", lambda read: len(read.live) == 3)
            shown = watch.server.faults.universe
            odd = [{"xyz": [], **universe("para:BTC")}, universe("para:BTC")]

            def once(listed: Any) -> Any:
                return odd.pop() if odd else shown(listed)

            watch.server.switch_on("no-fee")  # so that faults are applied
            watch.server.faults.universe = once  # type: ignore[method-assign]
            await watch.reads(2)
            assert odd == []
            assert all(len(reading.live) == 3 for reading in watch.readings if reading.dexes_read)

    run(script)


@pytest.mark.parametrize("mode", [(), ("no-all-perp-metas",)], ids=["all", "each"])
@pytest.mark.parametrize(
    ("listed", "live"),
    [
        ({"xyz": [], **universe("para:BTC")}, {"para:BTC"}),
        (universe("para:BTC"), {"para:BTC"}),
        (universe(*COINS, TSLA={"isDelisted": True}, AAPL={"isDelisted": True}), {"para:BTC"}),
        (universe("xyz:TSLA", "para:BTC"), {"xyz:TSLA", "para:BTC"}),
    ],
    ids=["empty-dex", "no-dex", "delisted-dex", "one-market"],
)
def test_markets_that_two_readings_do_not_have_are_dropped(mode: tuple[str, ...], listed: Any, live: set[str]) -> None:
    async def script() -> None:
        async with watching(*mode) as watch:
            await watch.until("all markets", lambda read: len(read.live) == 3)
            watch.server.set_universe(listed)
            await watch.until("dropped", lambda read: set(read.live) == live)
            assert not watch.readings[-1].broken

    run(script)


def test_429_is_waited_out_and_what_was_read_stays() -> None:
    async def script() -> None:
        # A limit of the venue that is used up by the first ten dexes.
        listed = universe(*(f"d{number:02}:A" for number in range(15)))
        limits = Limits(info_weight_per_minute=10 * 20)
        async with watching("no-all-perp-metas", listed=listed, limits=limits) as watch:
            reading = await watch.until("429", lambda read: read.trouble)
            assert "429 Too Many Requests; the next request is in 10 s" in str(reading.trouble)
            assert len(reading.live) >= 4
            asked = watch.server.info_requests.total()
            began_s = watch.timer.now_s()
            await watch.until("120 s", lambda read: "120 s" in str(read.trouble))
            assert watch.timer.now_s() - began_s > 10 + 20 + 40
            assert watch.server.info_requests.total() - asked <= 5 * 4
            assert watch.readings[-1].live.keys() >= reading.live.keys()
            assert not watch.readings[-1].broken

    run(script)


def test_a_venue_that_answers_429_alone_is_named_and_read_once_it_answers() -> None:
    async def script() -> None:
        async with watching() as watch:
            switch = watch.server.switch_on("rate-limit")
            await watch.until("429", lambda read: "429 Too Many Requests" in str(read.trouble))
            watch.server.switch_off(switch)
            await watch.until("all markets", lambda read: len(read.live) == 3 and read.trouble is None)

    run(script)


@pytest.mark.parametrize(
    ("fault", "fee_bps", "is_assumed"),
    [
        ("odd-fee:xyz:TSLA", 9.0, True),
        ("renamed-fee:xyz:TSLA", 9.0, True),
        ("number-fee:xyz:TSLA", 0.9, False),
        ("no-fee:xyz:TSLA", 0.9, False),
    ],
)
def test_no_form_of_the_fee_costs_a_market(fault: str, fee_bps: float, is_assumed: bool) -> None:
    async def script() -> None:
        async with watching(fault) as watch:
            reading = await watch.until("all markets", lambda read: len(read.live) == 3)
            assert reading.live == pytest.approx({"xyz:TSLA": fee_bps, "xyz:AAPL": 0.9, "para:BTC": 0.9})
            assert reading.assumed == ({"xyz:TSLA"} if is_assumed else set())

    run(script)


def test_a_venue_that_is_away_is_named_and_its_markets_stay() -> None:
    async def script() -> None:
        async with watching() as watch:
            await watch.until("all markets", lambda read: len(read.live) == 3)
            await watch.server.stop()
            reading = await watch.until("away", lambda read: "connection refused" in str(read.trouble))
            assert len(reading.live) == 3
            await watch.server.start()
            await watch.until("back", lambda read: read.trouble is None)

    run(script)


def test_a_book_has_its_touch_and_its_own_block_time() -> None:
    async def script() -> None:
        async with watching() as watch:
            watch.server.publish_bbo("xyz:TSLA", ("99.5", "3"), ("100.5", "4"), time_ms=1_795_338_701_358)
            bbo = await watch.client.book("xyz:TSLA")
            assert bbo and bbo.bid and bbo.ask and bbo.coin == "xyz:TSLA"
            assert (bbo.bid.px, bbo.bid.sz, bbo.ask.px, bbo.ask.sz) == (99.5, 3.0, 100.5, 4.0)
            assert bbo.time_ms >= 1_795_338_701_358
            quiet = await watch.client.book("xyz:AAPL")
            assert quiet and (quiet.bid, quiet.ask) == (None, None)
            assert await watch.client.book("xyz:NOPE") is None
            watch.server.publish_bbo("xyz:TSLA", None, ("100.5", "-4"), time_ms=1_795_338_701_358)
            with pytest.raises(UniverseError, match=r"/info: l2Book of xyz:TSLA: the answer is no book$"):
                await watch.client.book("xyz:TSLA")

    run(script)


def test_books_are_within_the_limit_and_readings_leave_them_room() -> None:
    async def script() -> None:
        async with watching("no-all-perp-metas", "many-dexes", refresh_s=10**6) as watch:
            await watch.until("the first dexes", lambda read: len(read.live) == 3)
            began_s = watch.timer.now_s()
            watch.timer.pauses_s.clear()
            await asyncio.gather(*(watch.client.book("xyz:TSLA") for _ in range(60)))
            assert all(pause_s < 60 for pause_s in watch.timer.pauses_s)
            await asyncio.gather(*(watch.client.book("xyz:TSLA") for _ in range(600)))
            requests = watch.server.info_requests
            weight = 20 * requests.total() - 18 * requests["l2Book"]
            assert weight <= 600 * (1 + (watch.timer.now_s() - began_s) / 60) + 600

    run(script)
