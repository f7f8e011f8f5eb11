"""Answers of the info endpoint about prices, trades, users and dexes, in the venue's shapes."""

from __future__ import annotations

import pytest

from simulator.candles import HOUR_MS, MINUTE_MS
from simulator.info import ANSWERS, answer
from simulator.info.answer import InfoAnswer
from simulator.info.weights import surcharge, weight
from simulator.limits import Limits, Usage
from simulator.trades import TRADERS, SimulatedTrade
from simulator.venue_data import VenueData
from simulator.wire import asset_ctx

UNIVERSE = {
    "xyz": [
        {"name": "xyz:TSLA", "szDecimals": 3},
        {"name": "xyz:AAPL", "szDecimals": 3},
        {"name": "xyz:OLD", "szDecimals": 3, "isDelisted": True},
    ],
    "para": [{"name": "para:TECH", "szDecimals": 2}],
}
HOUR_AT_MS = 1_788_328_800_000
NOW_MS = HOUR_AT_MS + 90 * MINUTE_MS


def venue() -> VenueData:
    data = VenueData(UNIVERSE)
    data.ctxs["xyz:TSLA"] = asset_ctx(oracle_px="431.2", mid_px="431.225")
    data.ctxs["xyz:AAPL"] = asset_ctx(oracle_px="324.1")
    data.books["xyz:TSLA"] = ("431.2", "3.0", 2), ("431.25", "2.0")
    data.books["xyz:AAPL"] = None, ("324.2", "1.0")
    return data


def ask(kind: str, data: VenueData | None = None, **fields: object) -> InfoAnswer:
    return answer({"type": kind, **fields}, data or venue(), now_ms=NOW_MS)


def test_all_perp_metas_has_one_meta_a_dex_in_the_order_of_perp_dexs() -> None:
    names = [dex["name"] if dex else "" for dex in ask("perpDexs").body]
    metas = ask("allPerpMetas").body
    assert names == ["", "xyz", "para"]
    assert [[market["name"] for market in meta["universe"]] for meta in metas] == [
        [],
        ["xyz:TSLA", "xyz:AAPL", "xyz:OLD"],
        ["para:TECH"],
    ]
    assert metas[1] == ask("meta", dex="xyz").body
    assert set(metas[0]) == {"universe", "marginTables", "collateralToken"}


def test_mids_are_of_one_dex_and_of_books_with_both_sides() -> None:
    assert ask("allMids", dex="xyz").body == {"xyz:TSLA": "431.225"}
    assert ask("allMids").body == ask("allMids", dex="para").body == {}


def test_the_whole_book_begins_with_the_touch_and_has_twenty_levels() -> None:
    book = ask("l2Book", coin="xyz:TSLA").body
    bids, asks = book["levels"]
    assert (book["coin"], book["time"]) == ("xyz:TSLA", NOW_MS)
    assert bids[:2] == [{"px": "431.2", "sz": "3.0", "n": 2}, {"px": "431.19", "sz": "6.0", "n": 2}]
    assert asks[0] == {"px": "431.25", "sz": "2.0", "n": 1}
    assert len(bids) == len(asks) == 20
    prices = [float(level["px"]) for level in bids[::-1] + asks]
    assert prices == sorted(set(prices))


def test_the_time_of_an_answer_is_between_the_blocks_before_and_after_it() -> None:
    data = venue()
    assert data.state_time_ms(NOW_MS) == NOW_MS - 300
    data.last_block_ms = NOW_MS - 220
    assert data.state_time_ms(NOW_MS) == NOW_MS - 220


@pytest.mark.parametrize(("coin", "sides"), [("xyz:AAPL", [0, 20]), ("xyz:OLD", [0, 0]), ("para:TECH", [0, 0])])
def test_a_side_without_quotes_has_no_levels(coin: str, sides: list[int]) -> None:
    assert [len(side) for side in ask("l2Book", coin=coin).body["levels"]] == sides


def test_an_unknown_coin_has_the_book_null_and_no_history() -> None:
    assert ask("l2Book", coin="xyz:NOPE") == InfoAnswer(200, None)
    assert ask("fundingHistory", coin="xyz:NOPE", startTime=0) == InfoAnswer(500, None)
    assert ask("recentTrades", coin="xyz:NOPE") == InfoAnswer(500, None)


def traded(*trades: tuple[str, int]) -> VenueData:
    data = venue()
    for px, time_ms in trades:
        data.trades.add("xyz:TSLA", SimulatedTrade("B", px, "0.5"), time_ms=time_ms)
        data.candles.add("xyz:TSLA", px=px, sz="0.5", time_ms=time_ms)
    return data


def test_recent_trades_are_ten_with_the_newest_first() -> None:
    rows = ask("recentTrades", traded(*[("431.2", time_ms) for time_ms in range(1, 15)]), coin="xyz:TSLA").body
    assert [row["time"] for row in rows] == list(range(14, 4, -1))
    assert set(rows[0]) == {"coin", "side", "px", "sz", "time", "hash", "tid", "users"}
    assert len(rows[0]["hash"]) == 66
    assert rows[0]["users"][0] != rows[0]["users"][1]


def test_a_candle_has_the_first_highest_lowest_and_last_price_of_its_interval() -> None:
    times_ms = [HOUR_AT_MS, HOUR_AT_MS + 5_000, HOUR_AT_MS + MINUTE_MS, HOUR_AT_MS + 6 * MINUTE_MS]
    data = traded(*zip(("431.2", "9.5", "1000.0", "431.3"), times_ms, strict=True))

    def candles(interval: str, **span: int) -> list[list[str]]:
        req = {"coin": "xyz:TSLA", "interval": interval, "startTime": 0, **span}
        return [[row["t"], *(row[key] for key in "ohlcvn")] for row in ask("candleSnapshot", data, req=req).body]

    first = [HOUR_AT_MS, "431.2", "431.2", "9.5", "9.5", "1.0", 2]
    second = [HOUR_AT_MS + MINUTE_MS, "1000.0", "1000.0", "1000.0", "1000.0", "0.5", 1]
    assert candles("1m")[:2] == [first, second]
    assert candles("5m")[0] == [HOUR_AT_MS, "431.2", "1000.0", "9.5", "1000.0", "1.5", 3]
    assert candles("1h") == [[HOUR_AT_MS, "431.2", "1000.0", "9.5", "431.3", "2.0", 4]]
    assert candles("1m", startTime=HOUR_AT_MS + MINUTE_MS, endTime=HOUR_AT_MS + 2 * MINUTE_MS) == [second]


def test_funding_has_one_row_for_each_full_hour_so_far() -> None:
    rows = ask("fundingHistory", coin="xyz:TSLA", startTime=HOUR_AT_MS - HOUR_MS).body
    assert [row["time"] // HOUR_MS - HOUR_AT_MS // HOUR_MS for row in rows] == [-1, 0, 1]
    assert len(ask("fundingHistory", coin="xyz:TSLA", startTime=0).body) == 500


def test_the_trades_of_a_trader_are_its_fills_and_a_stranger_has_none() -> None:
    data = traded(*[("431.2", time_ms) for time_ms in range(1, 30)])
    fills = ask("userFills", data, user=TRADERS[0]).body
    assert fills
    assert {fill["coin"] for fill in fills} == {"xyz:TSLA"}
    assert ask("userFills", data, user="0x" + "0" * 40).body == []
    later = ask("userFillsByTime", data, user=TRADERS[0], startTime=fills[0]["time"]).body
    assert later == fills[:1]


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("l2Book", {}),
        ("l2Book", {"coin": ["xyz:TSLA"]}),
        ("fundingHistory", {"coin": "xyz:TSLA"}),
        ("candleSnapshot", {"coin": "xyz:TSLA"}),
        ("candleSnapshot", {"req": {"coin": "xyz:TSLA", "interval": "7m", "startTime": 0, "endTime": 1}}),
        ("userFees", {}),
        ("perpDexLimits", {}),
    ],
)
def test_a_missing_or_wrong_field_is_unprocessable_text(kind: str, fields: dict[str, object]) -> None:
    assert ask(kind, **fields)[::2] == (422, "text/plain")


def test_every_type_answers_a_complete_question() -> None:
    req = {"coin": "xyz:TSLA", "interval": "1m", "startTime": 0, "endTime": NOW_MS}
    fields = {"dex": "xyz", "coin": "xyz:TSLA", "user": TRADERS[0], "startTime": NOW_MS - HOUR_MS, "req": req}
    assert {kind: ask(kind, **fields).status for kind in ANSWERS} == dict.fromkeys(ANSWERS, 200)


def test_a_request_weighs_what_the_venue_says_and_its_rows_cost_more() -> None:
    assert [weight(kind) for kind in ("l2Book", "allMids", "exchangeStatus", "meta", "allPerpMetas")] == [
        2,
        2,
        2,
        20,
        20,
    ]
    assert surcharge("fundingHistory", [{}] * 59) == 2
    assert surcharge("candleSnapshot", [{}] * 59) == surcharge("meta", {}) == surcharge("recentTrades", None) == 0


def test_the_weight_of_a_minute_is_limited() -> None:
    usage = Usage(Limits(info_weight_per_minute=40))
    assert [usage.take_info_weight(20, at_s=at_s) for at_s in (0, 1)] == [None, None]
    assert usage.take_info_weight(2, at_s=59) == "info_weight_per_minute"
    assert usage.take_info_weight(20, at_s=60) is None
    usage.add_info_weight(5, at_s=60)
    assert usage.take_info_weight(20, at_s=62) == "info_weight_per_minute"
