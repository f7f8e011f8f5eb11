"""Weight of an info request against the limit per minute, as the venue documents it."""

from typing import Any

LIGHT = {"l2Book", "allMids", "exchangeStatus"}
LIGHT_WEIGHT, WEIGHT = 2, 20
ITEMS_PER_WEIGHT = {
    "recentTrades": 20,
    "fundingHistory": 20,
    "userFills": 20,
    "userFillsByTime": 20,
    "candleSnapshot": 60,
}


def weight(kind: str) -> int:
    """Weight of a request before it is answered."""
    return LIGHT_WEIGHT if kind in LIGHT else WEIGHT


def surcharge(kind: str, body: Any) -> int:
    """Weight of the rows in its answer."""
    return len(body) // ITEMS_PER_WEIGHT[kind] if kind in ITEMS_PER_WEIGHT and isinstance(body, list) else 0
