"""Markets that a broken venue keeps dark: each is named with its cause, and retried until it is live."""

import asyncio
import re
import subprocess
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.support.feed import FeedRig, universe
from tests.support.process import HIP3, environment
from tests.support.waiting import eventually_async as eventually

BAD, GOOD = "xyz:BAD", "xyz:GOOD"

Rigged = Callable[..., FeedRig]


@pytest.fixture
def rigged(redis_url: str, name: str, tmp_path: Path) -> Rigged:
    def make(*coins: str, **settings: Any) -> FeedRig:
        return FeedRig(redis_url, name, tmp_path / "data", *(coins or (BAD, GOOD)), **settings)

    return make


def run(script: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(script, 120))


def dark(rig: FeedRig) -> dict[str, str]:
    """The cause of each dark market, as the feed reports it."""
    markets = rig.store.feed_markets()
    return {market.coin: market.cause for market in markets.dark or ()} if markets else {}


async def all_live(rig: FeedRig, *, within_s: float) -> None:
    wanted = len(rig.prices)
    await eventually("all markets live", lambda: (s := rig.status()) and s.markets_live == wanted, within_s=within_s)
    await eventually("none is dark", lambda: dark(rig) == {})


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("no-ack", "subscription not answered"),
        ("refused-subscription", 'subscription refused: Invalid subscription {"type":"bbo","coin":"xyz:BAD"}'),
    ],
)
def test_a_subscription_without_success_is_named_and_retried_until_it_succeeds(
    rigged: Rigged, fault: str, cause: str
) -> None:
    async def script() -> None:
        async with rigged() as rig:
            switch = rig.venue.switch_on(f"{fault}:{BAD}")
            await rig.started(live=1)
            await eventually("it is named", lambda: dark(rig) == {BAD: cause}, within_s=10)
            assert rig.status().problems == []
            rig.venue.switch_off(switch)
            await all_live(rig, within_s=15)
            assert rig.status().reconnects == 0

    run(script())


def test_dark_markets_are_shown_by_the_status_command_and_in_the_file(rigged: Rigged) -> None:
    async def script() -> None:
        async with rigged() as rig:
            rig.venue.switch_on(f"no-ack:{BAD}")
            await rig.started(live=1)
            await eventually("it is named", lambda: BAD in dark(rig), within_s=10)
            text = await asyncio.to_thread(status, rig)
            assert re.search(
                r"^dark +1 market: xyz:BAD \(subscription not answered, since \d\d:\d\d:\d\d UTC\)$", text, re.MULTILINE
            )
            assert (
                '"dark": [{"coin": "xyz:BAD", "cause": "subscription not answered", "since_ms": '
                in await asyncio.to_thread(status, rig, "--json")
            )
            line = await eventually(
                "it is on file", lambda: (w := rig.watched()) and w[-1].heard == (GOOD,) and w[-1], within_s=75
            )
            assert line.coins == (BAD, GOOD)
            assert [(market.coin, market.cause) for market in line.dark] == [(BAD, "subscription not answered")]

    run(script())


def test_a_new_listing_that_the_socket_does_not_know_yet_harms_no_other_market(rigged: Rigged) -> None:
    async def script() -> None:
        async with rigged(GOOD, universe_refresh_s=0.3) as rig:
            rig.venue.set_universe(universe(BAD, GOOD))
            hidden = rig.venue.switch_on(f"not-listed:{BAD}")
            await rig.started(live=1)
            rig.venue.switch_on(f"late-coin:{BAD}")
            rig.venue.switch_off(hidden)
            words = r"closes the socket when subscribed: next try at \d\d:\d\d:\d\d UTC"
            await eventually("it is named", lambda: re.fullmatch(words, dark(rig).get(BAD, "")), within_s=20)
            assert rig.status().reconnects == 0 and rig.status().markets_live == 1
            assert "coin_refused" in rig.log and '"next_try_s": 60' in rig.log

    run(script())


def test_a_new_listing_joins_the_others_once_it_was_tried_alone(rigged: Rigged) -> None:
    async def script() -> None:
        late = [f"xyz:N{number}" for number in range(9)]
        async with rigged(GOOD, universe_refresh_s=0.3) as rig:
            await rig.started()
            rig.venue.set_universe(universe(GOOD, *late))
            for coin in late:
                rig.quote(coin, bid=9.99, ask=10.01, oracle=10.0)
            await all_live(rig, within_s=20)
            await eventually("one socket", lambda: rig.venue.connection_count == 1)
            assert rig.status().reconnects == 0
            assert rig.venue.connections_opened <= 1 + 4

    run(script())


@pytest.mark.slow
def test_a_coin_that_ended_the_socket_at_the_start_is_tried_again_after_a_minute(rigged: Rigged) -> None:
    async def script() -> None:
        async with rigged() as rig:
            switch = rig.venue.switch_on(f"late-coin:{BAD}")
            rig.start()
            await eventually("it is refused", lambda: "closes the socket" in dark(rig).get(BAD, ""))
            refused_s = time.monotonic()
            rig.venue.switch_off(switch)
            await eventually("the other is live", lambda: rig.status().markets_live == 1)
            reconnects = rig.status().reconnects
            await all_live(rig, within_s=70)
            assert time.monotonic() - refused_s > 55
            assert rig.status().reconnects == reconnects

    run(script())


def test_a_quiet_book_without_a_first_frame_is_read_from_the_info_endpoint(rigged: Rigged) -> None:
    async def script() -> None:
        async with rigged() as rig:
            rig.venue.switch_on(f"no-first-bbo:{BAD}")
            await rig.started()
            assert rig.venue.info_requests["l2Book"] == 1
            assert "book_read" in rig.log

    run(script())


def test_a_market_without_a_first_frame_is_named(rigged: Rigged) -> None:
    async def script() -> None:
        rig = rigged()
        rig.venue.switch_on(f"no-ctx:{BAD}")
        async with rig:
            await rig.started(live=1)
            await eventually("it is named", lambda: dark(rig) == {BAD: "no first frame of the context"}, within_s=10)

    run(script())


def test_most_markets_dark_is_red_with_the_cause_and_the_time(rigged: Rigged) -> None:
    async def script() -> None:
        async with rigged("xyz:A", "xyz:B", GOOD) as rig:
            for coin in ("xyz:A", "xyz:B"):
                rig.venue.switch_on(f"no-ack:{coin}")
            await rig.started(live=1)
            words = r"2 of 3 markets are dark: subscription not answered, since \d\d:\d\d:\d\d UTC"
            await eventually(
                "red", lambda: any(re.fullmatch(words, text) for text in rig.status().problems), within_s=25
            )

    run(script())


def test_contexts_that_cannot_be_used_are_red_with_their_cause_and_the_time(rigged: Rigged) -> None:
    async def script() -> None:
        rig = rigged()
        rig.venue.switch_on("bad-ctx")
        async with rig:
            rig.start()
            words = r"no market is live: gap: a context that cannot be used, since \d\d:\d\d:\d\d UTC"
            await eventually(
                "red", lambda: (s := rig.status()) and any(re.fullmatch(words, text) for text in s.problems)
            )

    run(script())


def test_error_frames_are_counted_and_ten_of_a_minute_are_logged(rigged: Rigged) -> None:
    async def script() -> None:
        async with rigged() as rig:
            await rig.started()
            rig.venue.switch_on("error-frames")
            await eventually("many", lambda: rig.status().frames.get("error", 0) > 400, within_s=20)
            assert rig.log.count("venue_error") == 10
            assert rig.status().markets_live == 2 and rig.status().reconnects == 0

    run(script())


def status(rig: FeedRig, *options: str) -> str:
    env = environment(HIP3_REDIS_URL=rig.url, HIP3_NAME=rig.keys.prefix.split(":")[1], HIP3_DATA_DIR=str(rig.data_dir))
    return subprocess.run([*HIP3, "status", *options], env=env, capture_output=True, text=True).stdout
