"""Answers about dexes and their markets: `perpDexs`, `meta`, `allPerpMetas` and the limits of a dex."""

from typing import Any

from simulator.info.answer import Question, UnknownName, text
from simulator.venue_data import VenueData
from simulator.wire import asset_ctx

DEPLOYER = "0x00000000000000000000000000000000000000{:02x}"
OI_CAP_USD = "25000000.0"
FUNDING_MULTIPLIER = "0.5"
MARGIN_TABLES = [[50, {"description": "", "marginTiers": [{"lowerBound": "0.0", "maxLeverage": 50}]}]]


def perp_dexs(_: Question, data: VenueData, __: int) -> list[Any]:
    """The dexes by position; the first, which has no name, is null."""
    listed = enumerate(data.universe.items(), start=1)
    return [None, *(_dex(name, markets, index) for index, (name, markets) in listed)]


def meta(question: Question, data: VenueData, _: int) -> dict[str, Any]:
    return _meta(_listed(question, data))


def meta_and_asset_ctxs(question: Question, data: VenueData, _: int) -> list[Any]:
    markets = _listed(question, data)
    return [_meta(markets), [_ctx(market["name"], data) for market in markets]]


def all_perp_metas(_: Question, data: VenueData, __: int) -> list[Any]:
    """One `meta` a dex, in the order of `perpDexs`. The first dex lists no markets here."""
    return [_meta([]), *map(_meta, data.universe.values())]


def perp_dex_limits(question: Question, data: VenueData, _: int) -> dict[str, Any]:
    coins = sorted(market["name"] for market in _listed(question, data, is_named=True))
    return {
        "totalOiCap": "10000000000.0",
        "oiSzCapPerPerp": "20000000000.0",
        "maxTransferNtl": "3000000000.0",
        "coinToOiCap": [[coin, OI_CAP_USD] for coin in coins],
    }


def perp_dex_status(question: Question, data: VenueData, _: int) -> dict[str, Any]:
    return {"totalNetDeposit": f"{1_000_000 * len(_listed(question, data))}.0"}


def perps_at_open_interest_cap(question: Question, data: VenueData, _: int) -> list[str]:
    """No simulated market reaches its cap."""
    _listed(question, data)
    return []


def _listed(question: Question, data: VenueData, *, is_named: bool = False) -> list[dict[str, Any]]:
    """The markets of the dex in question. The first dex has no name and no markets. Raises UnknownName."""
    dex = text(question, "dex") if question.get("dex") is not None or is_named else ""
    if dex not in data.universe and (dex or is_named):
        raise UnknownName(dex)
    return data.universe.get(dex, [])


def _meta(markets: list[dict[str, Any]]) -> dict[str, Any]:
    return {"universe": markets, "marginTables": MARGIN_TABLES, "collateralToken": 0}


def _ctx(coin: str, data: VenueData) -> dict[str, Any]:
    """The last context. As on the venue, a market without a price yet shows the oracle price "0.0" and no book."""
    return data.ctxs.get(coin) or asset_ctx(oracle_px="0.0")


def _dex(name: str, markets: list[dict[str, Any]], index: int) -> dict[str, Any]:
    # Sorted by name, unlike `meta`, as on the real venue: these positions are not the assets' indices.
    coins = sorted(market["name"] for market in markets)
    return {
        "name": name,
        "fullName": f"{name.upper()} (simulated)",
        "deployer": DEPLOYER.format(index),
        "oracleUpdater": None,
        "feeRecipient": None,
        "assetToStreamingOiCap": [[coin, OI_CAP_USD] for coin in coins],
        "subDeployers": [],
        "assetToFundingMultiplier": [[coin, FUNDING_MULTIPLIER] for coin in coins],
        "assetToFundingInterestRate": [],
        "assetToFundingClamp": [],
    }
