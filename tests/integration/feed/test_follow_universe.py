"""The real feed follows what the venue lists, as far as that can be read, and names the rest."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from hip3_tasks.clock import wall_ms
from tests.support.feed import FeedRig
from tests.support.waiting import eventually_async as eventually

Rigged = Callable[..., FeedRig]
COINS = ("xyz:TSLA", "xyz:AAPL", "para:BTC")


@pytest.fixture
def rigged(redis_url: str, name: str, tmp_path: Path) -> Rigged:
    def make(*faults: str, **settings: Any) -> FeedRig:
        rig = FeedRig(redis_url, name, tmp_path / "data", *COINS, **settings)
        for fault in faults:
            rig.venue.switch_on(fault)
        return rig

    return make


def run(script: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(script, 60))


async def live_within_ms(rig: FeedRig, markets: int) -> int:
    """Start the feed; the time from its first request until so many markets are live."""
    rig.start()
    await eventually("its first request", lambda: rig.venue.info_requests)
    began_ms = wall_ms()
    await eventually("live", lambda: (status := rig.status()) and status.markets_live == markets)
    return wall_ms() - began_ms


def test_a_dex_that_cannot_be_read_keeps_no_other_dark_and_is_red(rigged: Rigged) -> None:
    async def script() -> None:
        async with rigged("dex-html:para", "no-all-perp-metas") as rig:
            assert await live_within_ms(rig, 2) < 5_000
            await eventually("it is red", lambda: rig.status().problems)
            [problem] = rig.status().problems
            assert problem.startswith("dex para: the answer is no JSON, since ") and problem.endswith(
                "; its markets are not followed"
            )
            rig.venue.faults.switches.clear()
            await eventually("it is live", lambda: rig.status().markets_live == 3)
            await eventually("it is green", lambda: rig.status().problems == rig.status().notices == [])

    run(script())


def test_a_dex_that_fails_later_keeps_its_markets_and_is_a_notice(rigged: Rigged) -> None:
    async def script() -> None:
        async with rigged(universe_refresh_s=1) as rig:
            await rig.started()
            rig.venue.switch_on("dex-down:para")
            notices = await eventually("it is named", lambda: rig.status().notices)
            assert "its markets are followed as last read" in notices[0]
            assert (rig.status().markets_live, rig.status().problems) == (3, [])

    run(script())


def test_a_market_whose_fee_is_not_understood_is_followed_and_named(rigged: Rigged) -> None:
    async def script() -> None:
        async with rigged("odd-fee:xyz:TSLA") as rig:
            await rig.started()
            markets = await eventually("facts", rig.store.feed_markets)
            assert markets.markets["xyz:TSLA"].taker_fee_bps == 9.0
            assert rig.status().notices == ["the taker fee of xyz:TSLA is not understood; 9 bps is assumed"]
            assert rig.status().problems == []

    run(script())


def test_a_venue_that_answers_429_is_named_while_no_market_is_live(rigged: Rigged) -> None:
    async def script() -> None:
        async with rigged("rate-limit") as rig:
            rig.start()
            await eventually("it is red", lambda: rig.status() and rig.status().problems)
            assert "429 Too Many Requests; the next request is in" in rig.status().problems[0]

    run(script())


def test_two_hundred_dexes_without_all_perp_metas_delay_no_market_of_the_first(rigged: Rigged) -> None:
    async def script() -> None:
        async with rigged("many-dexes", "no-all-perp-metas") as rig:
            assert await live_within_ms(rig, 3) < 5_000
            assert any("dexes still to be read" in notice for notice in rig.status().notices)
            assert rig.venue.violations == {}

    run(script())
