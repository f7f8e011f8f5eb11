"""The markets of one dex, as a `meta` of the venue lists them: every byte of it may be wrong."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog

from feed.wire import decimal
from hip3_tasks.domain.fees import LOWEST_TIER_BPS
from hip3_tasks.domain.market import COIN, dex_of

log = structlog.get_logger()

BASE_SCALE = 1.0
"""The scale of a market that lists none."""
GROWTH_MODE_SHARE = 0.1
UNDISCOUNTED_FEE_BPS = 9.0
MAX_DROPPED, MAX_DROPPED_SHARE = 3, 0.1
"""A reading may drop this many markets of a dex, or this share of them, without a second one."""
_OTHER_FEE_FIELD = re.compile(r"fee.*(scale|rate|bps|multiplier)(?!.*time)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The coins of a dex."""

    live: Mapping[str, float]
    """The live coins, each with its taker fee in bps."""
    delisted: tuple[str, ...] = ()
    assumed: frozenset[str] = frozenset()
    """The live coins whose fee is not understood; theirs is the highest of the dex, and at least 9 bps."""

    def drops_too_much(self, later: "Listing") -> bool:
        """Whether a later reading leaves out so many live markets that it must be confirmed by another one."""
        dropped = len(self.live.keys() - later.live.keys())
        most = max(MAX_DROPPED, MAX_DROPPED_SHARE * len(self.live))
        return dropped > most or (dropped > 0 and not later.live)

    def confirmed_by(self, later: "Listing") -> "Listing":
        """The later reading, with the markets that this one has besides: only both together drop a market."""
        kept = {coin: fee_bps for coin, fee_bps in self.live.items() if coin not in later.live}
        return replace(
            later,
            live={**later.live, **kept},
            delisted=tuple(coin for coin in later.delisted if coin not in kept),
            assumed=later.assumed | (self.assumed & kept.keys()),
        )


def read_listing(meta: Any) -> Listing:
    """Read one `meta` answer. Raises ValueError for one without markets that can be read, unless it lists none.

    A market that is no object with a coin's name is left out. A fee that is not understood costs no market.
    """
    universe = meta.get("universe") if isinstance(meta, dict) else None
    if not isinstance(universe, list):
        raise ValueError("the answer has no list of markets")
    assets = [asset for asset in universe if _is_market(asset)]
    if universe and not assets:
        raise ValueError("no market in the answer can be read")
    fees = {asset["name"]: _fee_or_none(asset) for asset in assets if not asset.get("isDelisted")}
    known = {coin: fee_bps for coin, fee_bps in fees.items() if fee_bps is not None}
    assumed_bps = max([*known.values(), UNDISCOUNTED_FEE_BPS])
    return Listing(
        live={coin: known.get(coin, assumed_bps) for coin in fees},
        delisted=tuple(asset["name"] for asset in assets if asset.get("isDelisted")),
        assumed=frozenset(fees.keys() - known.keys()),
    )


def taker_fee_bps(asset: Mapping[str, Any]) -> float:
    """Compute base x (scale < 1 ? 1 + scale : 2 x scale) x (growth mode ? 0.1 : 1); Hyperliquid's fees page, 2026-09.

    Raises ValueError for a scale that is no number from 0 to 100, and for one that seems to have another name.
    """
    scale = _fee_scale(asset)
    fee_bps = LOWEST_TIER_BPS * (1 + scale if scale < 1 else 2 * scale)
    return fee_bps * GROWTH_MODE_SHARE if asset.get("growthMode") == "enabled" else fee_bps


def dex_of_meta(meta: Any) -> str | None:
    """The dex of a `meta`, by the name of its first market; None for the venue's own perps and for an empty one."""
    universe = meta.get("universe") if isinstance(meta, dict) else None
    assets = universe if isinstance(universe, list) else []
    return next((dex_of(asset["name"]) for asset in assets if _is_coin(asset)), None)


def _fee_scale(asset: Mapping[str, Any]) -> float:
    value = asset.get("deployerFeeScale")
    if value is None:
        other = next((name for name in asset if name != "deployerFeeScale" and _OTHER_FEE_FIELD.search(name)), None)
        if other is not None:
            raise ValueError(f"no deployerFeeScale, but {other}")
        return BASE_SCALE
    scale = float(value) if type(value) in (int, float) else decimal(value)
    if not 0 <= scale <= 100:
        raise ValueError(f"deployerFeeScale {scale}")
    return scale


def _fee_or_none(asset: Mapping[str, Any]) -> float | None:
    try:
        return taker_fee_bps(asset)
    except ValueError as error:
        log.warning("fee_not_understood", coin=asset["name"], error=str(error)[:80])
        return None


def _is_coin(asset: Any) -> bool:
    name = asset.get("name") if isinstance(asset, dict) else None
    return isinstance(name, str) and COIN.fullmatch(name) is not None


def _is_market(asset: Any) -> bool:
    if not _is_coin(asset):
        log.warning("market_name_refused", market=repr(asset)[:80])
        return False
    return True
