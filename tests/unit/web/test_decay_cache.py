"""All viewers share the answers about the decay."""

import asyncio
from pathlib import Path

from hip3_tasks.web.decay_cache import FRESH_S, DecayCache
from hip3_tasks.web.file_feed import FileFeed
from tests.support.factories import T0_MS, a_followup, a_signal


def test_an_answer_is_computed_once_for_all_viewers(tmp_path: Path) -> None:
    now_s, files = [0.0], FileFeed(tmp_path)
    files.decay.turn_to(T0_MS)
    answers = DecayCache(files, monotonic_s=lambda: now_s[0])

    async def counts(coin: str | None = None) -> list[int]:
        return [row.n for row in (await answers.document(coin, None))["horizons"]]

    async def asking() -> None:
        assert await counts() == []
        for n in range(2):
            files.decay.take("followups", a_followup(a_signal(at_ms=T0_MS + n)).model_dump(mode="json"))
        assert await counts() == []
        assert await counts("xyz:TSLA") == [2, 2]
        now_s[0] = FRESH_S
        assert await counts() == [2, 2]

    asyncio.run(asking())
