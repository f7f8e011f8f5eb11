"""All viewers share the answers about the decay."""

import asyncio
from pathlib import Path

from hip3_tasks.web.decay_cache import FRESH_S, DecayCache
from hip3_tasks.web.file_feed import FileFeed
from tests.support.factories import T0_MS, a_followup, a_signal


def test_an_answer_is_computed_once_for_all_viewers(tmp_path: Path) -> None:
    now_s, files = [0.0], FileFeed(tmp_path)
    files.today.turn_to(T0_MS)
    answers = DecayCache(files, monotonic_s=lambda: now_s[0])

    async def counts(coin: str | None = None) -> list[int]:
        return [row.n for row in (await answers.document(coin, None))["horizons"]]

    async def asking() -> None:
        assert await counts() == []
        for n in range(2):
            files.today.take("followups", a_followup(a_signal(at_ms=T0_MS + n)).model_dump(mode="json"))
        assert await counts() == []
        assert await counts("xyz:TSLA") == [2, 2]
        assert (await answers.taken()).judged is None
        now_s[0] = FRESH_S
        assert await counts() == [2, 2]

    asyncio.run(asking())


def test_the_headline_is_what_a_taker_had_today(tmp_path: Path) -> None:
    files, signal = FileFeed(tmp_path), a_signal()
    files.today.turn_to(T0_MS)
    for kind, record in (
        ("signals", signal),
        *(("followups", a_followup(signal, ms, market_moved_bps=0.0)) for ms in (1000, 3000, 5000)),
    ):
        files.today.take(kind, record.model_dump(mode="json"))
    taken = asyncio.run(DecayCache(files).taken())
    assert (taken.min_notional_usd, taken.clusters_needed, taken.is_complete) == (10.0, 20, False)
    assert taken.judged is not None
    assert (taken.judged.held_ms, taken.judged.n, taken.judged.clusters) == (4000, 1, 1)
    assert taken.judged.round_trip_bps.low is None
