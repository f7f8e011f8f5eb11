"""`feed.liveness`: silent markets get a gap and a renewal, sockets are given up rarely, and no dex harms another."""

from collections.abc import Iterable
from typing import Any, cast

import pytest

from feed.connection import Connection
from feed.followed_markets import FollowedMarkets
from feed.liveness import (
    ABORT_PAUSE_MS,
    GIVEN_UP_RED,
    MAX_PAUSE_MS,
    MAX_RENEWALS,
    NEXT_FRAME_MS,
    RENEWAL_PAUSE_MS,
    Liveness,
)
from feed.witness import CONTRADICTED, NOT_HEARD, OLDER_BLOCK, UNUSABLE, Objection
from hip3_tasks.clock import FeedClock

T0_MS = 1_795_338_700_000
SILENT = Objection("no context for 5 s", blames_socket=True)
XYZ, PARA = [f"xyz:C{number}" for number in range(4)], [f"para:P{number}" for number in range(4)]


class FakeWitness:
    """A witness whose objections are set by the test."""

    def __init__(self) -> None:
        self.last_data_at_ms: int | None = T0_MS
        self.objections: dict[str, Objection] = {}
        self.renewed: list[str] = []

    def objection(self, coin: str, at_ms: int) -> Objection | None:
        return self.objections.get(coin)

    def renew(self, coin: str) -> None:
        self.renewed.append(coin)


class FakeConnection:
    """A connection that notes what is asked of it."""

    def __init__(self, *coins: str) -> None:
        self.coins = dict.fromkeys(coins)
        self.witness = FakeWitness()
        self.given_up: list[tuple[int, str]] = []
        self.aborted: list[str] = []
        self.resubscribed: list[str] = []

    def abort(self, reason: str) -> None:
        self.aborted.append(reason)

    def resubscribe(self, coin: str) -> None:
        self.witness.renew(coin)
        self.resubscribed.append(coin)

    def object(self, coins: Iterable[str], objection: Objection = SILENT) -> None:
        self.witness.objections = dict.fromkeys(coins, objection)


class FakeMarkets:
    """Followed markets that note their gaps."""

    def __init__(self, *connections: FakeConnection) -> None:
        self.connections = list(connections)
        self.gaps: list[tuple[str, str]] = []
        self.states: Any = {coin: self for connection in connections for coin in connection.coins}
        self.cause = "silent"
        self.unknown_since_ms = T0_MS

    def begin_gap(self, coin: str, cause: str, *, last_data_at_ms: int | None) -> None:
        self.gaps.append((coin, cause))


class Rig:
    def __init__(self, *connections: FakeConnection) -> None:
        self.markets = FakeMarkets(*connections)
        self.connections = connections
        self.liveness = Liveness(cast(FollowedMarkets, self.markets), clock=FeedClock())

    def check(self, seconds: float = 0, *, every_ms: int = 500) -> "Rig":
        """Check all connections at once, or again and again for some seconds."""
        for at_ms in range(T0_MS, T0_MS + int(seconds * 1000) + 1, every_ms):
            for connection in self.connections:
                self.liveness.check(cast(Connection, connection), at_ms)
        return self


def test_a_market_that_its_socket_does_not_know_gets_a_gap_with_the_cause() -> None:
    connection = FakeConnection(*XYZ)
    connection.object(XYZ[:1], UNUSABLE["bbo"])
    assert Rig(connection).check().markets.gaps == [(XYZ[0], "a book that cannot be used")]


@pytest.mark.parametrize("objection", [*UNUSABLE.values(), OLDER_BLOCK])
def test_a_quiet_market_whose_last_frame_cannot_be_used_is_subscribed_again_after_a_while(objection: Objection) -> None:
    connection = FakeConnection(*XYZ)
    connection.object(XYZ, objection)
    rig = Rig(connection).check((NEXT_FRAME_MS - 1) / 1000)
    assert not connection.resubscribed
    rig.check(3)
    assert sorted(connection.resubscribed) == XYZ
    assert not connection.aborted


@pytest.mark.parametrize("objection", NOT_HEARD.values())
def test_a_market_without_a_first_frame_keeps_the_cause_of_its_gap(objection: Objection) -> None:
    connection = FakeConnection(*XYZ)
    connection.object(XYZ, objection)
    assert Rig(connection).check().markets.gaps == []


def test_a_socket_without_data_is_left_to_its_watchdog() -> None:
    connection = FakeConnection(*XYZ)
    connection.object(XYZ)
    connection.witness.last_data_at_ms = None
    assert Rig(connection).check().markets.gaps == []
    assert not connection.aborted


@pytest.mark.parametrize("objection", [SILENT, CONTRADICTED])
def test_one_market_is_subscribed_again_after_growing_pauses(objection: Objection) -> None:
    connection = FakeConnection(*XYZ)
    connection.object(XYZ[:1], objection)
    Rig(connection).check(200)
    times_s = [0, 4, 12, 28, 60, 120, 180]  # 4 s, doubled up to 60 s
    assert RENEWAL_PAUSE_MS == 4_000 and MAX_PAUSE_MS == 60_000
    assert connection.resubscribed == connection.witness.renewed == XYZ[:1] * len(times_s)
    assert not connection.aborted


def test_few_markets_are_renewed_at_one_check() -> None:
    connection = FakeConnection(*XYZ, *PARA)
    connection.object(XYZ)
    rig = Rig(connection).check()
    assert connection.resubscribed == XYZ[:MAX_RENEWALS]
    assert rig.markets.gaps == [(coin, SILENT.cause) for coin in XYZ]
    rig.check(0.5)
    assert sorted(connection.resubscribed) == XYZ


def test_a_market_that_was_well_for_long_is_renewed_after_the_short_pause_again() -> None:
    connection = FakeConnection(*XYZ)
    connection.object(XYZ[:1])
    rig = Rig(connection).check(60)
    before = len(connection.resubscribed)
    later_ms = T0_MS + 60_000 + 3 * MAX_PAUSE_MS
    for at_ms in (later_ms, later_ms + RENEWAL_PAUSE_MS):
        rig.liveness.check(cast(Connection, connection), at_ms)
    assert len(connection.resubscribed) == before + 2


def test_a_socket_is_half_dead_only_if_more_than_half_of_each_dex_is_silent() -> None:
    connection = FakeConnection(*XYZ, *PARA)
    for silent, is_dead in [
        (XYZ, False),
        ([*XYZ, *PARA[:2]], False),
        ([*XYZ[:2], *PARA], False),
        ([*XYZ[:3], *PARA[:3]], True),
    ]:
        connection.object(silent)
        Rig(connection).check()
        assert bool(connection.aborted) == is_dead
    assert connection.aborted == ["half-dead: 6 of 8 markets silent"]


def test_contradictions_of_the_markets_of_one_dex_close_no_socket_of_another() -> None:
    shared, own = FakeConnection(*XYZ[:2], *PARA[:2]), FakeConnection(*XYZ[2:])
    for cause in (SILENT, CONTRADICTED):
        shared.object(PARA[:2], cause)
        Rig(shared, own).check(120)
    assert not shared.aborted
    assert not own.aborted and not own.resubscribed


def test_one_market_alone_on_its_socket_does_not_close_it() -> None:
    connection = FakeConnection(XYZ[0])
    connection.object([XYZ[0]])
    Rig(connection).check(120)
    assert not connection.aborted


def test_after_an_abort_no_market_of_the_socket_is_known_by_the_same_context_again() -> None:
    connection = FakeConnection(*XYZ)
    connection.object(XYZ[:3])
    Rig(connection).check()
    assert connection.aborted and connection.witness.renewed == XYZ


def test_an_abort_that_brought_nothing_is_repeated_after_growing_pauses() -> None:
    connection = FakeConnection(*XYZ)
    connection.object(XYZ)
    Rig(connection).check(230)
    times_s = [0, 15, 45, 105, 165, 225]
    assert ABORT_PAUSE_MS == 15_000
    assert len(connection.aborted) == len(times_s)


def test_connections_that_are_given_up_again_and_again_are_a_problem_for_a_minute() -> None:
    first, second = FakeConnection(*XYZ), FakeConnection(*PARA)
    rig = Rig(first, second)
    first.given_up = [(T0_MS, "half-dead"), (T0_MS + 30_000, "stalled")]
    assert GIVEN_UP_RED == 3
    assert rig.liveness.problems(T0_MS + 40_000) == []
    second.given_up = [(T0_MS + 40_000, "half-dead")]
    expected = ["3 connections were given up within a minute, mostly: half-dead"]
    assert rig.liveness.problems(T0_MS + 40_000) == expected
    assert rig.liveness.problems(T0_MS + 60_000) == []
