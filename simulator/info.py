"""Answers of the info endpoint, computed from the universe and the last known contexts."""

from typing import Any, TypeAlias

from simulator.wire import asset_ctx

Universe: TypeAlias = dict[str, list[dict[str, Any]]]
Answer: TypeAlias = tuple[int, Any]

UNPROCESSABLE: Answer = (422, "Failed to deserialize the JSON body into the target type")
UNKNOWN_DEX: Answer = (500, None)
DEPLOYER = "0x00000000000000000000000000000000000000{:02x}"


def answer(request: Any, *, universe: Universe, ctxs: dict[str, dict[str, Any]]) -> Answer:
    """HTTP status and JSON body for one info request. The first dex, which has no name, lists no markets."""
    if not isinstance(request, dict):
        return UNPROCESSABLE
    if request.get("type") == "perpDexs":
        return 200, [
            None,
            *(_dex(name, universe[name], index) for index, name in enumerate(universe, start=1)),
        ]
    if request.get("type") not in ("meta", "metaAndAssetCtxs"):
        return UNPROCESSABLE
    dex = str(request.get("dex") or "")
    if dex and dex not in universe:
        return UNKNOWN_DEX
    markets = universe.get(dex, [])
    meta = {"universe": markets, "marginTables": [], "collateralToken": 0}
    if request["type"] == "meta":
        return 200, meta
    return 200, [meta, [_ctx(market["name"], ctxs) for market in markets]]


def _ctx(coin: str, ctxs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The last context. As on the venue, a market without a price yet shows the oracle price "0.0" and no book."""
    return ctxs.get(coin) or asset_ctx(oracle_px="0.0")


def _dex(name: str, markets: list[dict[str, Any]], index: int) -> dict[str, Any]:
    # Sorted by name, unlike `meta`, as on the real venue: these positions are not the assets' indices.
    coins = sorted(market["name"] for market in markets)
    return {
        "name": name,
        "fullName": f"{name.upper()} (simulated)",
        "deployer": DEPLOYER.format(index),
        "oracleUpdater": None,
        "feeRecipient": None,
        "assetToStreamingOiCap": [[coin, "25000000.0"] for coin in coins],
        "subDeployers": [],
        "deployerFeeScale": "1.0",
        "lastDeployerFeeScaleChangeTime": "1970-01-01T00:00:00",
        "assetToFundingMultiplier": [],
    }
