"""No answer of the venue ends the reading of the universe: it is read, or named as broken."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from feed.info_requests import Timer
from feed.universe import InfoClient, Universe
from hip3_tasks.settings import Settings

MAX_PAUSES = 12


class Over(Exception):
    """The test has seen enough."""


class CountedPauses(Timer):
    """Time passes in pauses alone; the last one ends the test."""

    def __init__(self) -> None:
        self._at_s = 0.0
        self._left = MAX_PAUSES

    def now_s(self) -> float:
        return self._at_s

    async def sleep(self, pause_s: float) -> None:
        self._at_s += pause_s
        self._left -= 1
        await asyncio.sleep(0)
        if self._left <= 0:
            raise Over


class Answer:
    """A response with this status and body, and the stream of its body."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status, self._body, self.content = status, body, self

    async def __aenter__(self) -> "Answer":
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def iter_chunked(self, _: int) -> AsyncIterator[bytes]:
        yield self._body


class Session:
    """Answers requests from a list, and again from its start."""

    def __init__(self, answers: list[tuple[int, Any]]) -> None:
        self._answers, self._count = answers, 0

    def post(self, _: str, **__: Any) -> Answer:
        status, value = self._answers[self._count % len(self._answers)]
        self._count += 1
        return Answer(status, orjson.dumps(value))


COINS = st.sampled_from(["xyz:A", "xyz:B", "para:A", "BTC", "xyz:|", ""])
SCALARS = st.none() | st.booleans() | st.integers(0, 9) | st.floats(0, 9) | COINS | st.just("1.0")
MARKETS = st.fixed_dictionaries({"name": COINS}, optional={"isDelisted": SCALARS, "deployerFeeScale": SCALARS})
METAS = st.fixed_dictionaries({"universe": st.lists(MARKETS | SCALARS, max_size=3) | SCALARS})
DEXES = st.lists(st.fixed_dictionaries({"name": st.sampled_from(["xyz", "para", "", "a b"]) | SCALARS}) | SCALARS)
ANSWERS = METAS | DEXES | st.lists(METAS | SCALARS, max_size=3) | SCALARS
STATUSES = st.sampled_from([200, 200, 200, 200, 404, 422, 429, 500])


async def readings_of(answers: list[tuple[int, Any]], dexes: list[str]) -> list[Universe]:
    readings: list[Universe] = []
    client = InfoClient(Session(answers), "http://venue", timer=CountedPauses())  # type: ignore[arg-type]
    try:
        await client.watch(Settings(dexes=tuple(dexes), universe_refresh_s=20), readings.append)
    except* Over:
        pass
    return readings


@settings(max_examples=300)
@given(st.lists(st.tuples(STATUSES, ANSWERS), min_size=1, max_size=6), st.sampled_from([[], ["xyz"], ["moon"]]))
def test_no_answer_ends_the_reading_or_makes_up_a_market(answers: list[tuple[int, Any]], dexes: list[str]) -> None:
    readings = asyncio.run(readings_of(answers, dexes))
    assert readings
    for reading in readings:
        assert all(fee_bps > 0 for fee_bps in reading.live.values())
        assert reading.assumed <= reading.live.keys() <= {"xyz:A", "xyz:B", "para:A"}
        assert reading.dexes_read | reading.broken.keys() | reading.unread <= reading.dexes
        assert not dexes or reading.dexes_read <= set(dexes)
