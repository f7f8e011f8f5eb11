"""One signal in full: its outcomes, the prices around it from the tape, and links to its tasks in Flower."""

from typing import Any
from urllib.parse import quote

import redis

from hip3_tasks.errors import MalformedEntry, Unavailable
from hip3_tasks.web.figures import signal_figure
from hip3_tasks.web.recent_signals import SignalRow
from hip3_tasks.web.system_locator import SystemLocator

BEFORE_MS = 5_000
AFTER_MS = 2_000
MAX_ENTRIES = 5_000


def signal_detail(locator: SystemLocator, row: SignalRow) -> dict[str, Any]:
    """The document of `/api/signal`. If the tape has no prices for a figure, the reason is in `why_no_figure`."""
    tasks = [f"{row.signal_id}:{cell.offset_ms}" for cell in row.cells]
    flower = locator.flower_url
    links = [f"{flower}/task/{quote(task, safe='')}" for task in tasks] if flower else []
    try:
        figure = _figure(locator, row)
        why = None if figure else "the tape no longer has the prices around it"
    except (redis.RedisError, Unavailable, MalformedEntry) as error:
        figure, why = None, str(error)
    return {"signal": row, "tasks": tasks, "links": links, "figure": figure, "why_no_figure": why}


def _figure(locator: SystemLocator, row: SignalRow) -> dict[str, Any] | None:
    from_ms = row.at_ms - BEFORE_MS
    until_ms = row.at_ms + max((cell.offset_ms for cell in row.cells), default=0) + AFTER_MS
    tape = locator.store.tape
    watermark_ms = tape.watermark_ms()
    entries = tape.between(row.coin, from_ms, until_ms, most=MAX_ENTRIES)
    if watermark_ms is None or not entries:
        return None
    return signal_figure(row, entries, from_ms=from_ms, until_ms=min(until_ms, watermark_ms))
