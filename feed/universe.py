"""Reads the list of markets from the venue's info endpoint: `meta` of each dex."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
import structlog

from feed.refusal import answered, in_words
from feed.wire import decimal
from hip3_tasks.domain.market import COIN

log = structlog.get_logger()

BASE_TAKER_FEE_BPS = 4.5
GROWTH_MODE_SHARE = 0.1
TIMEOUT_S = 10
MAX_ANSWER_BYTES = 32 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Universe:
    """The dexes of the venue, and the markets of the dexes that were read."""

    dexes: frozenset[str] = frozenset()
    """All dexes of the venue, read or not."""
    dexes_read: frozenset[str] = frozenset()
    live: Mapping[str, float] = field(default_factory=dict)
    """The live coins, each with its taker fee in bps."""
    listed: frozenset[str] = frozenset()
    """The live coins, and those that are delisted or have values that cannot be used."""


class UniverseError(Exception):
    """The venue gave no answer, or one without meaning."""


def taker_fee_bps(asset: dict[str, Any]) -> float:
    """Compute base x (scale < 1 ? 1 + scale : 2 x scale) x (growth mode ? 0.1 : 1); Hyperliquid's fees page, 2026-09.

    Raises ValueError for a scale that is not a plain number of at most 100.
    """
    text = asset.get("deployerFeeScale")
    scale = 1.0 if text is None else decimal(text)
    if scale > 100:
        raise ValueError(f"deployerFeeScale {scale}")
    fee_bps = BASE_TAKER_FEE_BPS * (1 + scale if scale < 1 else 2 * scale)
    return fee_bps * GROWTH_MODE_SHARE if asset.get("growthMode") == "enabled" else fee_bps


def listings(meta: Any) -> dict[str, float]:
    """Taker fees in bps of the live markets of one `meta` answer, without delisted ones and names that are no coin."""
    live = {}
    for asset in meta["universe"]:
        coin = asset["name"]
        if asset.get("isDelisted"):
            continue
        if not isinstance(coin, str) or not COIN.fullmatch(coin):
            log.warning("market_name_refused", name=repr(coin)[:80])
            continue
        try:
            live[coin] = taker_fee_bps(asset)
        except (ValueError, TypeError) as error:
            log.warning("market_refused", coin=coin, error=str(error)[:80])
    return live


def delisted(meta: Any) -> list[str]:
    """The coins of one `meta` answer that the venue lists, but no longer trades."""
    return _coins(asset for asset in meta["universe"] if asset.get("isDelisted"))


def dex_of(coin: str) -> str:
    return coin.partition(":")[0]


def _coins(assets: Iterable[dict[str, Any]]) -> list[str]:
    names = [asset["name"] for asset in assets]
    return [name for name in names if isinstance(name, str) and COIN.fullmatch(name)]


class InfoClient:
    """The info endpoint of one venue."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        self._session, self._url = session, f"{base_url}/info"
        self.delisted: list[str] = []
        """The delisted coins at the last successful reading, narrowed as that was."""
        self.universe = Universe()
        """The universe at the same reading, not narrowed to coins."""

    async def live_markets(self, *, dexes: Collection[str], coins: Collection[str]) -> dict[str, float]:
        """Read the taker fees of all live markets, or of `dexes` and `coins` if not empty. Raises UniverseError.

        One dex that fails makes the whole reading fail: a lost answer must not make a market look delisted. Dexes that
        the venue does not have are skipped.
        """
        existing = await self._dexes()
        wanted = (set(dexes) or set(map(dex_of, coins)) or existing) & existing
        live: dict[str, float] = {}
        gone: list[str] = []
        listed: set[str] = set()
        for dex in sorted(wanted):
            try:
                meta = await self._post({"type": "meta", "dex": dex})
                live |= listings(meta)
                gone += delisted(meta)
                listed.update(_coins(meta["universe"]))
            except (KeyError, TypeError, AttributeError) as error:
                raise UniverseError(f"{self._url}: meta of dex {dex} makes no sense: {_fault(error)}") from None
        self.universe = Universe(
            dexes=frozenset(existing), dexes_read=frozenset(wanted), live=live, listed=frozenset(listed)
        )
        self.delisted = [coin for coin in gone if not coins or coin in coins]
        return {coin: fee_bps for coin, fee_bps in live.items() if not coins or coin in coins}

    async def _dexes(self) -> set[str]:
        answer = await self._post({"type": "perpDexs"})
        try:
            # The first is null: the venue's own perps.
            return {str(dex["name"]) for dex in answer if dex is not None}
        except (KeyError, TypeError) as error:
            raise UniverseError(f"{self._url}: perpDexs makes no sense: {_fault(error)}") from None

    async def _post(self, question: dict[str, str]) -> Any:
        subject = " of dex ".join(question.values())
        try:
            async with self._session.post(
                self._url, json=question, timeout=aiohttp.ClientTimeout(TIMEOUT_S)
            ) as response:
                if response.status != 200:
                    raise UniverseError(f"{self._url}: {subject}: {answered(response.status)}")
                body = bytearray()
                async for chunk in response.content.iter_chunked(1 << 16):
                    body += chunk
                    if len(body) > MAX_ANSWER_BYTES:
                        raise UniverseError(f"{self._url}: {subject}: the answer is over {MAX_ANSWER_BYTES} bytes")
                return orjson.loads(body)
        except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as error:
            raise UniverseError(f"{self._url}: {subject}: {in_words(error, within_s=TIMEOUT_S)}") from None


def _fault(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)
