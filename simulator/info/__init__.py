"""The info endpoint without HTTP: one function for each type of question, in one table."""

from collections.abc import Callable
from typing import Any

from simulator.info import accounts, markets, perps
from simulator.info.answer import UNKNOWN_NAME, UNPROCESSABLE, InfoAnswer, Question, UnknownName, Unprocessable
from simulator.venue_data import VenueData

ANSWERS: dict[str, Callable[[Question, VenueData, int], Any]] = {
    "allMids": markets.all_mids,
    "allPerpMetas": perps.all_perp_metas,
    "candleSnapshot": markets.candles,
    "exchangeStatus": accounts.exchange_status,
    "fundingHistory": markets.funding_history,
    "l2Book": markets.book_of,
    "meta": perps.meta,
    "metaAndAssetCtxs": perps.meta_and_asset_ctxs,
    "perpDexLimits": perps.perp_dex_limits,
    "perpDexStatus": perps.perp_dex_status,
    "perpDexs": perps.perp_dexs,
    "perpsAtOpenInterestCap": perps.perps_at_open_interest_cap,
    "recentTrades": markets.recent_trades,
    "spotMeta": accounts.spot_meta,
    "spotMetaAndAssetCtxs": accounts.spot_meta_and_asset_ctxs,
    "userFees": accounts.user_fees,
    "userFills": accounts.user_fills,
    "userFillsByTime": accounts.user_fills_by_time,
}


def answer(question: Any, data: VenueData, *, now_ms: int) -> InfoAnswer:
    """Answer one question. A type that is not in the table is unprocessable, as an unknown type is on the venue."""
    kind = question.get("type") if isinstance(question, dict) else None
    if not isinstance(kind, str) or kind not in ANSWERS:
        return UNPROCESSABLE
    try:
        return InfoAnswer(200, ANSWERS[kind](question, data, now_ms))
    except Unprocessable:
        return UNPROCESSABLE
    except UnknownName:
        return UNKNOWN_NAME
