"""Starting prices and spreads from one recorded frame of all markets (`allDexsAssetCtxs`)."""

import math
from pathlib import Path
from random import Random
from typing import Any

import orjson

from simulator.listing import BUSY_BBO_PER_S, QUIET_BBO_PER_S, MarketListing

DEX = "xyz"
BUSY_USD = 1e5


class SnapshotError(Exception):
    """The file is not a frame of all markets with live `xyz` markets."""


def listings_from_frame(path: Path, *, seed: int) -> list[MarketListing]:
    """The frame's `xyz` markets, named by position: `xyz:A000`, `xyz:A001` and so on. Raises SnapshotError.

    The frame has no names, only positions. A context without a book (no midPx or no impactPxs; in a recorded
    frame it has no volume and no open interest either) becomes a delisted market with a frozen oracle price.
    """
    contexts = _contexts(path)
    rng = Random(seed)  # nosec B311  # no secret, a market
    try:
        listings = [_listing(f"{DEX}:A{index:03d}", ctx, rng) for index, ctx in enumerate(contexts)]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise SnapshotError(f"{path}: a context of {DEX} cannot be read: {error!r}") from error
    if all(listing.is_delisted for listing in listings):
        raise SnapshotError(f"{path}: no context of {DEX} has a book")
    return listings


def _contexts(path: Path) -> list[dict[str, Any]]:
    try:
        frame = orjson.loads(path.read_bytes())
        by_dex: dict[str, list[dict[str, Any]]] = dict(frame["data"]["ctxs"])
        return by_dex[DEX]
    except OSError as error:
        raise SnapshotError(f"{path}: {error.strerror}") from error
    except orjson.JSONDecodeError as error:
        raise SnapshotError(f"{path}: not JSON: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise SnapshotError(f"{path}: not an allDexsAssetCtxs frame with the dex {DEX}") from error


def _listing(coin: str, ctx: dict[str, Any], rng: Random) -> MarketListing:
    oracle_px = float(ctx["oraclePx"])
    if oracle_px <= 0:
        raise ValueError(f"oraclePx {ctx['oraclePx']}")
    has_book = bool(ctx["midPx"] and ctx["impactPxs"])
    return MarketListing(
        coin=coin,
        oracle_px=oracle_px,
        mark_px=float(ctx["markPx"]),
        bid_px=float(ctx["impactPxs"][0]) if has_book else None,
        ask_px=float(ctx["impactPxs"][1]) if has_book else None,
        px_decimals=max(_decimals(ctx[key]) for key in ("oraclePx", "markPx", "prevDayPx")),
        sz_decimals=min(max(math.ceil(math.log10(oracle_px)), 0), 4),
        bbo_per_s=rng.uniform(*(BUSY_BBO_PER_S if float(ctx["dayNtlVlm"]) > BUSY_USD else QUIET_BBO_PER_S)),
        is_delisted=not has_book,
    )


def _decimals(px: str) -> int:
    """Number of decimals in a price's text; 0 for the `.0` of a whole number."""
    fraction = px.partition(".")[2]
    return 0 if fraction == "0" else len(fraction)
