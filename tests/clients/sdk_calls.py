"""The official Python SDK against a simulated venue: `python sdk_calls.py URL`."""

import queue
import sys
import time
from typing import Any

from calls import CALL_TIMEOUT_S, Calls
from hyperliquid.info import Info

COIN, DEX = "xyz:TSLA", "xyz"
MINUTE_MS = 60_000
FIRST_ASSET = 110_000


def main(url: str) -> None:
    calls = Calls()
    calls.expect("Info(url)", lambda: Info(url, skip_ws=True), lambda info: info.name_to_coin["PURR/USDC"])
    info = Info(url, perp_dexs=["", DEX])
    calls.expect("Info(url, perp_dexs=[...])", lambda: info.coin_to_asset, lambda ids: ids["xyz:XYZ100"] == FIRST_ASSET)
    ask(calls, info)
    for name, subscription, check in SUBSCRIPTIONS:
        calls.expect(f"subscribe({name})", lambda wanted=subscription: first_message(info, wanted), check)
    info.disconnect_websocket()
    calls.finish()


def ask(calls: Calls, info: Info) -> None:
    """Calls that are answered by the info endpoint."""
    trades = wait_for(lambda: info.post("/info", {"type": "recentTrades", "coin": COIN}))
    trader = trades[0]["users"][0]
    now_ms = int(time.time() * 1000)
    span_ms = now_ms - 90 * MINUTE_MS, now_ms
    calls.expect("perp_dexs", info.perp_dexs, lambda dexs: dexs[0] is None and dexs[1]["name"] == DEX)
    calls.expect("meta(dex)", lambda: info.meta(dex=DEX), lambda meta: meta["universe"][0]["name"] == "xyz:XYZ100")
    calls.expect("meta_and_asset_ctxs", info.meta_and_asset_ctxs, lambda both: len(both) == 2)
    calls.expect("spot_meta_and_asset_ctxs", info.spot_meta_and_asset_ctxs, lambda both: both[0]["tokens"])
    calls.expect("all_mids", info.all_mids, lambda mids: isinstance(mids, dict))
    calls.expect("all_mids(dex)", lambda: info.all_mids(dex=DEX), lambda mids: float(mids[COIN]) > 0)
    calls.expect("l2_snapshot", lambda: info.l2_snapshot(COIN), lambda book: len(book["levels"][0]) == 20)
    calls.expect(
        "candles_snapshot", lambda: info.candles_snapshot(COIN, "1m", *span_ms), lambda rows: float(rows[-1]["c"]) > 0
    )
    calls.expect("funding_history", lambda: info.funding_history(COIN, *span_ms), lambda rows: rows[0]["coin"] == COIN)
    calls.expect("user_fees", lambda: info.user_fees(trader), lambda fees: float(fees["userCrossRate"]) > 0)
    calls.expect("user_fills", lambda: info.user_fills(trader), lambda fills: fills[0]["px"])
    calls.expect("user_fills_by_time", lambda: info.user_fills_by_time(trader, *span_ms), len)


SUBSCRIPTIONS = (
    ("bbo", {"type": "bbo", "coin": COIN}, lambda data: data["coin"] == COIN and len(data["bbo"]) == 2),
    ("activeAssetCtx", {"type": "activeAssetCtx", "coin": COIN}, lambda data: float(data["ctx"]["oraclePx"]) > 0),
    ("l2Book", {"type": "l2Book", "coin": COIN}, lambda data: len(data["levels"][1]) == 20),
    ("trades", {"type": "trades", "coin": COIN}, lambda data: data[0]["side"] in "AB"),
    ("candle", {"type": "candle", "coin": COIN, "interval": "1m"}, lambda data: data["s"] == COIN and data["n"] > 0),
    ("allMids", {"type": "allMids", "dex": DEX}, lambda data: float(data["mids"][COIN]) > 0),
)


def first_message(info: Info, subscription: dict[str, str]) -> Any:
    """The data of the first message of a subscription, which then ends."""
    messages: queue.Queue[Any] = queue.Queue()
    number = info.subscribe(dict(subscription), messages.put)
    try:
        return messages.get(timeout=CALL_TIMEOUT_S)["data"]
    finally:
        info.unsubscribe(dict(subscription), number)


def wait_for(rows: Any) -> Any:
    """The first answer that is not empty: trades begin with the venue."""
    until_s = time.monotonic() + CALL_TIMEOUT_S
    while not (answer := rows()) and time.monotonic() < until_s:
        time.sleep(1)
    return answer


if __name__ == "__main__":
    main(sys.argv[1])
