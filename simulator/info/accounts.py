"""Answers about the exchange, its spot market and its users: what clients ask before they ask for a perp."""

from typing import Any

from simulator.info.answer import Question, number, text
from simulator.trades import MAX_KEPT
from simulator.venue_data import VenueData

SPOT_CTX = {
    "prevDayPx": "0.20432",
    "dayNtlVlm": "8906.0",
    "markPx": "0.20914",
    "midPx": "0.209265",
    "circulatingSupply": "598274922.0",
    "coin": "PURR/USDC",
    "totalSupply": "598274922.0",
    "dayBaseVlm": "42600.0",
}
TAKER_RATE, MAKER_RATE = "0.00045", "0.00015"


def exchange_status(_: Question, __: VenueData, now_ms: int) -> dict[str, Any]:
    return {"specialStatuses": None, "time": now_ms}


def spot_meta(_: Question, __: VenueData, ___: int) -> dict[str, Any]:
    """The token that perps are settled in, and one pair with it."""
    pair = {"tokens": [1, 0], "name": "PURR/USDC", "index": 0, "isCanonical": True}
    return {"universe": [pair], "tokens": [_token("USDC", 0, sz_decimals=8), _token("PURR", 1, sz_decimals=0)]}


def spot_meta_and_asset_ctxs(question: Question, data: VenueData, now_ms: int) -> list[Any]:
    return [spot_meta(question, data, now_ms), [SPOT_CTX]]


def user_fees(question: Question, _: VenueData, __: int) -> dict[str, Any]:
    """The fees of a user who has not traded; the same for all."""
    text(question, "user")
    schedule = {"cross": TAKER_RATE, "add": MAKER_RATE, "tiers": {"vip": [], "mm": []}, "referralDiscount": "0.04"}
    return {
        "dailyUserVlm": [],
        "feeSchedule": schedule,
        "userCrossRate": TAKER_RATE,
        "userAddRate": MAKER_RATE,
        "activeReferralDiscount": "0.0",
        "trial": None,
    }


def user_fills(question: Question, data: VenueData, now_ms: int) -> list[dict[str, Any]]:
    """The trades of one simulated trader, newest first; a stranger has none."""
    user = text(question, "user").lower()
    from_ms, until_ms = number(question, "startTime", 0), number(question, "endTime", now_ms)
    mine = [trade for trade in data.trades.all() if user in trade["users"] and from_ms <= trade["time"] <= until_ms]
    newest = sorted(mine, key=lambda trade: int(trade["time"]), reverse=True)[:MAX_KEPT]
    return [_fill(trade, user) for trade in newest]


def user_fills_by_time(question: Question, data: VenueData, now_ms: int) -> list[dict[str, Any]]:
    number(question, "startTime")
    return user_fills(question, data, now_ms)


def _fill(trade: dict[str, Any], user: str) -> dict[str, Any]:
    side = "B" if user == trade["users"][0] else "A"
    shared = {field: trade[field] for field in ("coin", "px", "sz", "time", "hash", "tid")}
    position = {"startPosition": "0.0", "dir": "Open Long" if side == "B" else "Open Short", "closedPnl": "0.0"}
    costs = {"crossed": side == trade["side"], "fee": "0.0", "feeToken": "USDC"}
    return {**shared, **position, **costs, "side": side, "oid": trade["tid"] % 10**11}


def _token(name: str, index: int, *, sz_decimals: int) -> dict[str, Any]:
    return {
        "name": name,
        "szDecimals": sz_decimals,
        "weiDecimals": sz_decimals + 5 if index else 8,
        "index": index,
        "tokenId": f"0x{index:032x}",
        "isCanonical": True,
        "evmContract": None,
        "fullName": None,
    }
