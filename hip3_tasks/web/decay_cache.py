"""What viewers ask for of the decay, each answer made once in a while for all of them."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from hip3_tasks.domain.edge import Side
from hip3_tasks.web.decay_table import decay_table
from hip3_tasks.web.figures import decay_figure
from hip3_tasks.web.file_feed import FileFeed

FRESH_S = 10.0
SHARE = 0.005
"""Of a core, at most, for one answer however large the day has become: it then stays for longer."""
MOST = 400
"""Markets x sides, about; a name that nobody trades must not fill the memory."""

Document = dict[str, Any]


class DecayCache:
    """Belongs to the event loop; the reckoning is done beside it, one at a time."""

    def __init__(self, files: FileFeed, *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._files, self._monotonic_s = files, monotonic_s
        self._made: OrderedDict[tuple[str | None, Side | None], tuple[float, Document]] = OrderedDict()
        self._turn = asyncio.Lock()

    async def document(self, coin: str | None, side: Side | None) -> Document:
        """The table and its figure, as they were up to FRESH_S ago, or a little longer."""
        async with self._turn:
            now_s, key = self._monotonic_s(), (coin, side)
            good_until_s, document = self._made.get(key, (now_s, {}))
            if now_s >= good_until_s:
                document = await asyncio.to_thread(self._document, coin, side)
                took_s = self._monotonic_s() - now_s
                self._made[key] = now_s + max(FRESH_S, took_s / SHARE), document
                self._made.move_to_end(key)
                if len(self._made) > MOST:
                    self._made.popitem(last=False)
            return document

    def _document(self, coin: str | None, side: Side | None) -> Document:
        table = decay_table(self._files.decay, coin=coin, side=side)
        return {
            "since_ms": self._files.decay.day_ms,
            "is_complete": self._files.is_caught_up,
            "horizons": [
                asdict(row) | {"edge_bps": row.edge_bps.model_dump(), "markout_bps": row.markout_bps.model_dump()}
                for row in table
            ],
            "figure": decay_figure(table),
        }
