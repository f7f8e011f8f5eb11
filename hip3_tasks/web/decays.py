"""The decay tables that viewers ask for, each made once in a while for all of them."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from hip3_tasks.edge import Side
from hip3_tasks.web.decay import Decay
from hip3_tasks.web.decaytable import Horizon, decay_table

FRESH_S = 5.0
MOST = 400
"""Markets x sides, about; a name that nobody trades must not fill the memory."""


class Decays:
    """Belongs to the event loop."""

    def __init__(self, decay: Decay, *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._decay, self._monotonic_s = decay, monotonic_s
        self._made: OrderedDict[tuple[str | None, Side | None], tuple[float, list[Horizon]]] = OrderedDict()

    def table(self, coin: str | None, side: Side | None) -> list[Horizon]:
        """At most FRESH_S old."""
        now_s, key = self._monotonic_s(), (coin, side)
        made_at_s, table = self._made.get(key, (None, []))
        if made_at_s is None or now_s - made_at_s >= FRESH_S:
            table = decay_table(self._decay, coin=coin, side=side)
            self._made[key] = now_s, table
            self._made.move_to_end(key)
            if len(self._made) > MOST:
                self._made.popitem(last=False)
        return table


def document(horizon: Horizon) -> dict[str, Any]:
    """As JSON has it."""
    return {
        "offset_ms": horizon.offset_ms,
        "edge_bps": horizon.edge_bps.model_dump(),
        "markout_bps": horizon.markout_bps.model_dump(),
        "n": horizon.n,
        "clusters": horizon.clusters,
    }
