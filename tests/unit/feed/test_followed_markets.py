"""Every market that is to be followed is live or dark with its cause."""

import asyncio
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

from feed import followed_markets
from feed.followed_markets import NO_ROOM, FollowedMarkets
from hip3_tasks.settings import Settings
from tests.support.factories import T0_MS


def started_never(work: Coroutine[Any, Any, None]) -> None:
    work.close()


def followed(clock: SimpleNamespace) -> FollowedMarkets:
    tape = SimpleNamespace(append=lambda *_: None, forget=lambda _: None)
    parts: dict[str, Any] = {"clock": clock, "tape": tape, "listener": None, "tape_ends": {}, "last_signals": {}}
    group: Any = SimpleNamespace(create_task=started_never)
    return FollowedMarkets(Settings(redis_url="redis://localhost"), group=group, **parts)


def test_markets_beyond_the_venues_limit_are_dark_until_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followed_markets, "MAX_SUBSCRIPTIONS", 4)
    clock = SimpleNamespace(now_ms=lambda: T0_MS)
    all_coins = dict.fromkeys(["xyz:A", "xyz:B", "xyz:C", "xyz:D"], 0.9)

    async def script() -> None:
        markets = followed(clock)
        markets.follow(all_coins)
        left_out = [dark for dark in markets.dark() if dark.cause == NO_ROOM]
        assert [dark.coin for dark in left_out] == ["xyz:C", "xyz:D"]
        assert sorted(markets.coins) == sorted(all_coins)
        clock.now_ms = lambda: T0_MS + 60_000
        markets.follow({coin: fee for coin, fee in all_coins.items() if coin != "xyz:A"})
        left_out = [dark for dark in markets.dark() if dark.cause == NO_ROOM]
        assert [(dark.coin, dark.since_ms) for dark in left_out] == [("xyz:D", T0_MS)]
        assert sorted(markets.coins) == ["xyz:B", "xyz:C", "xyz:D"]

    asyncio.run(script())
