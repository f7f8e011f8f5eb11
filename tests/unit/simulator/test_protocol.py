"""The messages, the info answers and the limits of the simulated venue, without a socket."""

from __future__ import annotations

import json
import re
from contextlib import suppress

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.info import answer
from simulator.info.answer import InfoAnswer
from simulator.limits import Limits, Usage
from simulator.numerals import numeral
from simulator.subscription import Request, RequestError, Subscription, read_request
from simulator.venue_data import VenueData
from simulator.wire import asset_ctx, bbo_frame

UNIVERSE = {
    "xyz": [{"name": "xyz:TSLA", "szDecimals": 3}, {"name": "xyz:AAPL", "szDecimals": 3}],
    "gone": [{"name": "gone:ALPHA", "szDecimals": 2, "isDelisted": True}],
}
NOW_MS = 1_788_330_949_235


def ask(question: object, data: VenueData | None = None) -> InfoAnswer:
    return answer(question, data or VenueData(UNIVERSE), now_ms=NOW_MS)


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (324.18, 2, "324.18"),
        (31252, 0, "31252.0"),
        (31250, 0, "31250.0"),
        (1.2, 4, "1.2"),
        (5, 3, "5.0"),
        (0, 4, "0.0"),
    ],
)
def test_a_numeral_keeps_one_zero_and_no_needless_one(value: float, decimals: int, text: str) -> None:
    assert numeral(value, decimals) == text


@given(st.floats(-1e9, 1e9), st.integers(0, 8))
def test_a_numeral_is_the_rounded_value_in_the_wires_pattern(value: float, decimals: int) -> None:
    text = numeral(value, decimals)
    assert re.fullmatch(r"-?\d+\.\d+", text)
    assert float(text) == pytest.approx(round(value, decimals), abs=10.0**-decimals)


words = st.sampled_from(["method", "subscription", "type", "coin", "subscribe", "ping", "bbo", "xyz:TSLA"])
json_values = st.recursive(
    st.none() | st.integers() | words | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=6,
)


@given(st.text() | json_values.map(json.dumps))
def test_any_text_is_a_request_or_the_one_error(text: str) -> None:
    with suppress(RequestError):
        assert isinstance(read_request(text), Request)


def test_requests_are_understood() -> None:
    bbo = Subscription("bbo", "xyz:TSLA")
    assert read_request('{"method":"ping"}') == Request("ping")
    for method in ("subscribe", "unsubscribe"):
        text = json.dumps({"method": method, "subscription": {"type": "bbo", "coin": "xyz:TSLA"}})
        assert read_request(text) == Request(method, bbo)


@pytest.mark.parametrize(
    ("wanted", "subscription"),
    [
        ({"type": "l2Book", "coin": "xyz:TSLA"}, Subscription("l2Book", "xyz:TSLA")),
        (
            {"type": "l2Book", "coin": "xyz:TSLA", "fast": True, "nSigFigs": None},
            Subscription("l2Book", "xyz:TSLA", "fast"),
        ),
        ({"type": "candle", "coin": "xyz:TSLA", "interval": "1h"}, Subscription("candle", "xyz:TSLA", "1h")),
        ({"type": "trades", "coin": "xyz:TSLA"}, Subscription("trades", "xyz:TSLA")),
        ({"type": "allMids"}, Subscription("allMids", "")),
        ({"type": "allMids", "dex": "xyz"}, Subscription("allMids", "", "xyz")),
    ],
)
def test_every_channel_is_repeated_with_its_defaults(wanted: dict[str, object], subscription: Subscription) -> None:
    assert read_request(json.dumps({"method": "subscribe", "subscription": wanted})).subscription == subscription
    assert subscription.as_json().items() >= wanted.items()


@pytest.mark.parametrize(
    "wanted",
    [
        {"type": "candle", "coin": "xyz:TSLA", "interval": "7m"},
        {"type": "candle", "coin": "xyz:TSLA"},
        {"type": "l2Book", "coin": "xyz:TSLA", "nSigFigs": 3},
        {"type": "bbo", "coin": ["xyz:TSLA"]},
        {"type": ["bbo"], "coin": "xyz:TSLA"},
        {"type": "allMids", "dex": 7},
    ],
)
def test_an_odd_subscription_is_the_one_error(wanted: dict[str, object]) -> None:
    with pytest.raises(RequestError):
        read_request(json.dumps({"method": "subscribe", "subscription": wanted}))


def test_a_missing_side_of_the_book_is_null() -> None:
    frame = orjson.loads(bbo_frame("xyz:TSLA", None, ("431.25", "2.0"), time_ms=1_788_330_949_235))
    ask = {"px": "431.25", "sz": "2.0", "n": 1}
    assert frame == {
        "channel": "bbo",
        "data": {"coin": "xyz:TSLA", "time": 1_788_330_949_235, "bbo": [None, ask]},
    }


def test_perp_dexs_begin_with_null_and_list_coins_alphabetically_unlike_meta() -> None:
    status, dexs, _ = ask({"type": "perpDexs"})
    assert (status, dexs[0], [dex["name"] for dex in dexs[1:]]) == (200, None, ["xyz", "gone"])
    assert [coin for coin, _ in dexs[1]["assetToStreamingOiCap"]] == ["xyz:AAPL", "xyz:TSLA"]
    meta = ask({"type": "meta", "dex": "xyz"}).body
    assert [market["name"] for market in meta["universe"]] == ["xyz:TSLA", "xyz:AAPL"]


def test_contexts_come_in_the_order_of_meta() -> None:
    data = VenueData(UNIVERSE)
    data.ctxs["xyz:TSLA"] = asset_ctx(oracle_px="431.2")
    meta, ctxs = ask({"type": "metaAndAssetCtxs", "dex": "xyz"}, data).body
    assert meta["universe"] == UNIVERSE["xyz"]
    assert [ctx["oraclePx"] for ctx in ctxs] == ["431.2", "0.0"]


@pytest.mark.parametrize("kind", ["meta", "metaAndAssetCtxs", "perpDexLimits", "perpDexStatus", "allMids"])
def test_an_unknown_dex_is_500_with_null(kind: str) -> None:
    assert ask({"type": kind, "dex": "XYZ"})[:2] == (500, None)


@pytest.mark.parametrize("request_", [None, [], "meta", {}, {"type": "noSuchType"}, {"type": ["meta"]}])
def test_a_malformed_info_request_is_unprocessable(request_: object) -> None:
    assert ask(request_) == (422, "Failed to deserialize the JSON body into the target type", "text/plain")


def test_limits_count_open_connections_and_those_of_the_last_minute() -> None:
    usage = Usage(Limits(connections=2, new_connections_per_minute=3))
    assert [usage.take_connection(at_s=0), usage.take_connection(at_s=1)] == [None, None]
    assert usage.take_connection(at_s=2) == "connections"
    usage.release(connections=2)
    assert usage.take_connection(at_s=3) is None
    assert usage.take_connection(at_s=59) == "new_connections_per_minute"
    assert usage.take_connection(at_s=60) is None


def test_limits_count_messages_a_minute_and_subscriptions_held() -> None:
    usage = Usage(Limits(subscriptions=1, messages_per_minute=1))
    assert [usage.take_message(at_s=at_s) for at_s in (0, 59, 60)] == [None, "messages_per_minute", None]
    assert [usage.take_subscription(), usage.take_subscription()] == [None, "subscriptions"]
    usage.release(subscriptions=1)
    assert usage.take_subscription() is None
