"""The venue's lists of dexes and markets, as its info endpoint shows them. Every byte of them may be wrong."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from feed.rate_limits import MAX_SUBSCRIPTIONS
from feed.wire import decimal
from hip3_tasks.domain.market import COIN

WEIGHT, MAX_WEIGHT = 20, 1_200
"""The weight of one request, and what the venue allows an IP in a minute."""
MAX_FEE_SCALE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class DexList:
    """The markets of one dex."""

    volumes: Mapping[str, float]
    """The live coins, each with its volume of the day in USD."""
    delisted: int = 0
    unnamed: int = 0
    """Entries that have no coin's name."""
    odd_fees: Mapping[str, str] = field(default_factory=dict)
    """The live coins whose fee scale has a form that is not documented, with that form."""


@dataclass(slots=True, kw_only=True)
class VenueLists:
    """The lists that the probe has read."""

    dexes: Mapping[str, int] = field(default_factory=dict)
    """All dexes of the venue, with their positions in its lists."""
    has_all_perp_metas: bool | None = None
    lists: dict[str, DexList] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    """The dexes that could not be read, with the reason."""
    unread: int = 0
    """Dexes that were not asked, because that would have cost too much of the IP's limit."""
    requests: int = 0
    limited: int = 0
    """Requests that were answered by 429."""
    trouble: str | None = None
    """The reason why no list could be read."""

    @property
    def volumes(self) -> dict[str, float]:
        return {coin: volume for dex in self.lists.values() for coin, volume in dex.volumes.items()}

    def busiest(self, number: int) -> list[str]:
        volumes = self.volumes
        return sorted(volumes, key=lambda coin: (-volumes[coin], coin))[:number]

    def summary(self) -> dict[str, Any]:
        live = len(self.volumes)
        return {
            "dexes": len(self.dexes),
            "live_markets": live,
            "delisted_markets": sum(dex.delisted for dex in self.lists.values()),
            "subscriptions_needed": 2 * live,
            "subscriptions_allowed": MAX_SUBSCRIPTIONS,
            "weight_one_by_one": WEIGHT * (len(self.dexes) + 1),
            "weight_allowed": MAX_WEIGHT,
            "weight_used": WEIGHT * self.requests,
            "has_all_perp_metas": self.has_all_perp_metas,
            "limited": self.limited,
            "unread_dexes": self.unread,
            "broken_dexes": self.broken,
            "odd_fees": {coin: form for dex in self.lists.values() for coin, form in dex.odd_fees.items()},
            "live_by_dex": {name: len(dex.volumes) for name, dex in self.lists.items()},
            "trouble": self.trouble,
        }


def read_dex_names(answer: Any) -> dict[str, int]:
    """The dexes of a `perpDexs` answer with their positions; the first is null: the venue's own perps.

    Raises ValueError.
    """
    rows = list(enumerate(answer)) if isinstance(answer, list) else []
    named = [(row["name"], position) for position, row in rows if isinstance(row, dict) and "name" in row]
    names = {name: position for name, position in named if isinstance(name, str)}
    if not names:
        raise ValueError("perpDexs has no list of dexes")
    return names


def read_dex(meta: Any, ctxs: Any = ()) -> DexList:
    """Read a `meta`, with the contexts of its markets in the same order if there are any. Raises ValueError."""
    universe = meta.get("universe") if isinstance(meta, dict) else None
    if not isinstance(universe, list):
        raise ValueError("the answer has no list of markets")
    if not universe:
        raise ValueError("its list of markets is empty")
    contexts = ctxs if isinstance(ctxs, list | tuple) else ()
    rows = list(zip_longest(universe, contexts[: len(universe)]))
    named = [(asset, ctx) for asset, ctx in rows if _is_named(asset)]
    live = [(asset, ctx) for asset, ctx in named if not asset.get("isDelisted")]
    return DexList(
        volumes={asset["name"]: _volume(ctx) for asset, ctx in live},
        delisted=len(named) - len(live),
        unnamed=len(rows) - len(named),
        odd_fees=dict(_odd_fees(asset for asset, _ in live)),
    )


def odd_fee(asset: Mapping[str, Any]) -> str | None:
    """The form of a market's fee scale, unless it is absent or text of a number from 0 to 100, as documented."""
    value = asset.get("deployerFeeScale")
    if value is None:
        others = [name for name in asset if "fee" in name.lower() and "time" not in name.lower()]
        others = [name for name in others if name != "deployerFeeScale"]
        return f"no deployerFeeScale, but {others[0]}"[:80] if others else None
    with suppress(ValueError):
        if decimal(value) <= MAX_FEE_SCALE:
            return None
    return f"{type(value).__name__} {value!r}"[:80]


def _odd_fees(assets: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, str]]:
    for asset in assets:
        if (form := odd_fee(asset)) is not None:
            yield asset["name"], form


def _is_named(asset: Any) -> bool:
    name = asset.get("name") if isinstance(asset, dict) else None
    return isinstance(name, str) and COIN.fullmatch(name) is not None


def _volume(ctx: Any) -> float:
    try:
        return decimal(ctx.get("dayNtlVlm"))
    except (AttributeError, ValueError):
        return 0.0
