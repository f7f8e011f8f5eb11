"""Cached answers of `/api/decay`, each computed at most every 10 s for all viewers, and the page's headline."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from hip3_tasks.domain.edge import Side
from hip3_tasks.status.outcome_sums import judged
from hip3_tasks.web.decay import decay_table, trip_table
from hip3_tasks.web.figures import decay_figure
from hip3_tasks.web.file_feed import FileFeed
from hip3_tasks.web.snapshot import TakenToday

FRESH_S = 10.0
MAX_CPU_SHARE = 0.005
"""The share of a core that one answer may take: an answer that took T s of CPU time is kept for T / MAX_CPU_SHARE."""
MAX_ANSWERS = 400
"""About markets times sides. Requests for names that do not exist must not fill the memory."""

Document = dict[str, Any]


class DecayCache:
    """Belongs to the event loop. Answers are computed in a thread, one at a time."""

    def __init__(self, files: FileFeed, *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._files, self._monotonic_s = files, monotonic_s
        self._answers: OrderedDict[tuple[str | None, Side | None], tuple[float, Document]] = OrderedDict()
        self._lock = asyncio.Lock()

    async def document(self, coin: str | None, side: Side | None) -> Document:
        """The table and its figure, at most FRESH_S old, or older if they take long to compute."""
        async with self._lock:
            now_s, key = self._monotonic_s(), (coin, side)
            valid_until_s, document = self._answers.get(key, (now_s, {}))
            if now_s >= valid_until_s:
                document, took_s = await asyncio.to_thread(self._document, coin, side)
                self._answers[key] = now_s + max(FRESH_S, took_s / MAX_CPU_SHARE), document
                self._answers.move_to_end(key)
                if len(self._answers) > MAX_ANSWERS:
                    self._answers.popitem(last=False)
            return document

    async def taken(self) -> TakenToday:
        """The headline, from the table of all markets and both sides."""
        document = await self.document(None, None)
        taken: TakenToday = document["taken"]
        return taken

    def _document(self, coin: str | None, side: Side | None) -> tuple[Document, float]:
        """The document, and the CPU time that it took, in s."""
        began_s = time.thread_time()
        today, is_complete = self._files.today, self._files.is_caught_up
        table, trips = decay_table(today, coin=coin, side=side), trip_table(today, coin=coin, side=side)
        taken = TakenToday(since_ms=today.day_ms, is_complete=is_complete, judged=judged(trips))
        drawn = [trip for trip in trips if taken.judged and trip.latency_ms == taken.judged.latency_ms]
        document = {
            "since_ms": taken.since_ms,
            "is_complete": is_complete,
            "horizons": table,
            "trips": trips,
            "taken": taken,
            "figure": decay_figure(table, drawn),
        }
        return document, time.thread_time() - began_s
