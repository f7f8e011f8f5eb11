"""Sentences about markets that are dark, for health and for the operator."""

from collections import Counter
from collections.abc import Sequence

from hip3_tasks.domain.records import Dark
from hip3_tasks.terminal_text import counted, utc_time

NOTICE_MS = 60_000
RED_MS = 10_000
MAX_NAMED = 5
MAX_CAUSES = 2


def dark_problem(dark: Sequence[Dark], *, wanted: int, at_ms: int) -> str | None:
    """The problem when no market is live, or when most have been dark for a while; None otherwise."""
    if len(dark) == wanted:
        return f"no market is live: {_causes(dark)}"
    lasting = [market for market in dark if at_ms - market.since_ms > RED_MS]
    if 2 * len(lasting) <= wanted:
        return None
    return f"{len(lasting)} of {counted(wanted, 'market')} are dark: {_causes(lasting)}"


def dark_notices(dark: Sequence[Dark], *, at_ms: int) -> list[str]:
    """A sentence that names the markets that have been dark for more than a minute."""
    coins = [market.coin for market in dark if at_ms - market.since_ms > NOTICE_MS]
    if not coins:
        return []
    named = [*coins[:MAX_NAMED], *([f"{len(coins) - MAX_NAMED} more"] if len(coins) > MAX_NAMED else [])]
    return [f"{counted(len(coins), 'market')} dark for more than a minute: {', '.join(named)}"]


def _causes(dark: Sequence[Dark]) -> str:
    """The most frequent causes with their numbers, and the first instant of the markets that have them."""
    causes = Counter(market.cause for market in dark).most_common(MAX_CAUSES)
    since_ms = min(market.since_ms for market in dark if market.cause in dict(causes))
    texts = [f"{cause} ({number})" if number < len(dark) else cause for cause, number in causes]
    return f"{', '.join(texts)}, since {utc_time(since_ms)}"
