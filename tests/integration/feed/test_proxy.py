"""Both halves of the venue go through the proxy of the environment, or neither does."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.feed import FeedRig
from tests.support.http_proxy import HttpProxy
from tests.support.waiting import eventually_async as eventually


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ws_proxy", "wss_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


def named_venue(rig: FeedRig) -> dict[str, str | None]:
    """Settings for a venue that only a proxy can find, since its name has no address."""
    return {"venue": f"http://venue.invalid:{rig.venue.base_url.rpartition(':')[2]}", "venue_url": None}


def test_info_and_sockets_of_a_real_venue_go_through_the_proxy(
    redis_url: str, name: str, tmp_path: Path, no_proxies: pytest.MonkeyPatch
) -> None:
    async def script() -> None:
        async with FeedRig(redis_url, name, tmp_path / "data") as rig, HttpProxy() as proxy:
            no_proxies.setenv("ALL_PROXY", proxy.url)
            await rig.started(**named_venue(rig))
            assert proxy.methods == {"POST", "CONNECT"}
            assert "proxy_used" in rig.log and "secret" not in rig.log

    asyncio.run(asyncio.wait_for(script(), 60))


def test_a_venue_on_loopback_is_reached_without_the_proxy(
    redis_url: str, name: str, tmp_path: Path, no_proxies: pytest.MonkeyPatch
) -> None:
    async def script() -> None:
        async with FeedRig(redis_url, name, tmp_path / "data") as rig, HttpProxy() as proxy:
            for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "WS_PROXY"):
                no_proxies.setenv(variable, proxy.url)
            await rig.started(venue=rig.venue.base_url, venue_url=None)
            assert proxy.asked == []

    asyncio.run(asyncio.wait_for(script(), 60))


def test_a_proxy_that_refuses_is_named(
    redis_url: str, name: str, tmp_path: Path, no_proxies: pytest.MonkeyPatch
) -> None:
    async def script() -> None:
        async with (
            FeedRig(redis_url, name, tmp_path / "data") as rig,
            HttpProxy(refusal="407 Proxy Authentication Required") as proxy,
        ):
            no_proxies.setenv("HTTP_PROXY", proxy.url)
            rig.start(**named_venue(rig))
            place = proxy.url.rpartition("@")[2]
            await eventually("it is named", lambda: f"through the proxy {place}: the " in rig.log)
            assert "answered 407 Proxy Authentication Required" in rig.log

    asyncio.run(asyncio.wait_for(script(), 60))


def test_a_socks_proxy_ends_the_feed_with_one_line(
    redis_url: str, name: str, tmp_path: Path, no_proxies: pytest.MonkeyPatch
) -> None:
    async def script() -> None:
        async with FeedRig(redis_url, name, tmp_path / "data") as rig:
            no_proxies.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
            rig.start(**named_venue(rig))
            assert await rig.ended() == 2
            assert rig.log == (
                "hip3 feed: ALL_PROXY: expected an HTTP proxy, http://HOST:PORT; SOCKS is not supported; "
                "NO_PROXY=venue.invalid connects without a proxy\n"
            )

    asyncio.run(asyncio.wait_for(script(), 60))
