"""For any bytes the parser returns a frame or raises MalformedFrame; numbers are positive and finite."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed.wire import Ack, Bbo, Ctx, Level, Other, Refusal, parse_frame
from hip3_tasks.errors import MalformedFrame
from tests.support.frame_pipeline import understood

CAPTURED = Path(__file__).parents[4] / "shared/data/hyperliquid"
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def bbo(levels: object, *, coin: object = "xyz:TSLA", time_ms: object = 1_788_330_949_235) -> str:
    return json.dumps({"channel": "bbo", "data": {"coin": coin, "time": time_ms, "bbo": levels}})


def ctx(**values: object) -> str:
    return json.dumps({"channel": "activeAssetCtx", "data": {"coin": "xyz:TSLA", "ctx": values}})


def test_a_bbo_is_bid_then_ask_and_an_empty_side_is_none() -> None:
    bid, ask = {"px": "324.18", "sz": "3.085", "n": 1}, {"px": "324.21", "sz": "0.58", "n": 1}
    both = parse_frame(bbo([bid, ask]))
    assert both == Bbo("xyz:TSLA", 1_788_330_949_235, Level(324.18, 3.085), Level(324.21, 0.58))
    assert parse_frame(bbo([None, ask])).bid is None  # type: ignore[union-attr]
    assert parse_frame(bbo([bid])) == parse_frame(bbo([bid, None]))
    assert parse_frame(bbo([])) == parse_frame(bbo([None, None]))


def test_a_ctx_gives_oracle_mark_and_a_sample_of_the_book_and_null_is_none() -> None:
    sampled = ctx(oraclePx="31252.0", markPx="31249.0", midPx="31248.5", impactPxs=["31248.0", "31249.0"])
    assert parse_frame(sampled) == Ctx("xyz:TSLA", 31252.0, 31249.0, 31248.5, 31248.0, 31249.0)
    assert parse_frame(ctx(oraclePx="31252.0", markPx="31249.0")) == Ctx("xyz:TSLA", 31252.0, 31249.0)
    assert parse_frame(ctx(oraclePx=None, markPx=None, midPx=None)) == Ctx("xyz:TSLA", None, None)


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "inf",
        "-1",
        "0",
        "0.0",
        "1e309",
        "1e",
        "e5",
        "0e5",
        "1e30",
        "1_000",
        "١٢",
        "",
        " 1",
        "1 ",
        "+1",
        ".5",
        "5.",
        "0x1",
        "9" * 400,
    ],
)
def test_a_number_that_is_not_plain_positive_and_finite_is_refused(text: str) -> None:
    with pytest.raises(MalformedFrame) as caught:
        parse_frame(bbo([{"px": text, "sz": "1"}, None]))
    assert caught.value.kind == "bad_bbo"
    with pytest.raises(MalformedFrame):
        parse_frame(ctx(oraclePx=text))


@pytest.mark.parametrize(("text", "px"), [("1.0002e+02", 100.02), ("1E2", 100.0), ("25e-2", 0.25)])
def test_a_number_with_an_exponent_is_a_number(text: str, px: float) -> None:
    frame = parse_frame(bbo([{"px": text, "sz": "1"}, None]))
    assert isinstance(frame, Bbo) and frame.bid == Level(px, 1.0)


@pytest.mark.parametrize("mark", ["0.0", "-1", 1.5, "abc", [], None])
def test_a_mark_or_sample_that_cannot_be_used_is_unknown_and_costs_no_oracle(mark: object) -> None:
    unusable = ctx(oraclePx="31252.0", markPx=mark, midPx=mark, impactPxs=[mark, mark])
    assert parse_frame(unusable) == Ctx("xyz:TSLA", 31252.0, None)
    assert parse_frame(ctx(oraclePx="31252.0", impactPxs=mark)) == Ctx("xyz:TSLA", 31252.0, None)


def test_a_frame_that_cannot_be_used_names_its_market_as_far_as_it_can_be_read() -> None:
    def refused(raw: str) -> tuple[str | None, str | None]:
        with pytest.raises(MalformedFrame) as caught:
            parse_frame(raw)
        return caught.value.channel, caught.value.coin

    assert refused(bbo([{"px": "x", "sz": "1"}])) == ("bbo", "xyz:TSLA")
    assert refused(ctx(oraclePx=1.5)) == ("activeAssetCtx", "xyz:TSLA")
    assert refused(bbo([], coin=7)) == ("bbo", None)
    assert refused('{"channel":"bbo","data":[]}') == ("bbo", None)
    assert refused("[]") == (None, None)


@pytest.mark.parametrize("number", [1, 1.5, True, [], {}])
def test_a_number_that_is_not_text_is_refused(number: object) -> None:
    with pytest.raises(MalformedFrame):
        parse_frame(bbo([{"px": number, "sz": "1"}, None]))


@pytest.mark.parametrize("time_ms", ["1788330949235", 1.5, True, None, 0, -1, 10**13])
def test_a_time_that_is_no_time_is_refused(time_ms: object) -> None:
    with pytest.raises(MalformedFrame):
        parse_frame(bbo([None, None], time_ms=time_ms))


def test_a_ctx_without_an_oracle_is_malformed_not_zero() -> None:
    with pytest.raises(MalformedFrame):
        parse_frame(ctx(markPx="1.0"))


def test_frames_without_market_data_are_understood() -> None:
    subscription = {"type": "bbo", "coin": "BTC"}
    ack = {"channel": "subscriptionResponse", "data": {"method": "subscribe", "subscription": subscription}}
    assert parse_frame(json.dumps(ack)) == Ack("bbo", "BTC")
    assert parse_frame('{"channel":"pong"}') == Other("pong")
    assert parse_frame("Websocket connection established.") == Other("greeting")
    assert parse_frame('{"channel":"trades","data":[]}') == Other("unknown_channel")
    assert parse_frame('{"channel":"error","data":"Already subscribed: {}"}') == Refusal("Already subscribed: {}")


@given(st.text() | st.binary())
def test_any_bytes_are_a_frame_or_the_one_error(raw: str | bytes) -> None:
    understood(raw)


@given(st.sampled_from(["bbo", "activeAssetCtx", "subscriptionResponse", "error", "pong"]), json_values)
def test_any_data_in_a_known_channel_is_a_frame_or_the_one_error(channel: str, data: object) -> None:
    understood(json.dumps({"channel": channel, "data": data}))


@given(st.floats(min_value=1e-9, max_value=1e9), st.integers(min_value=1, max_value=10))
def test_a_price_written_plainly_is_read_as_it_is(px: float, decimals: int) -> None:
    text = f"{px:.{decimals}f}"
    if float(text) > 0:
        frame = parse_frame(bbo([{"px": text, "sz": "1"}, None]))
        assert isinstance(frame, Bbo) and frame.bid == Level(float(text), 1.0)


@pytest.mark.skipif(not CAPTURED.exists(), reason="the captured frames are not part of the project")
def test_every_captured_frame_is_understood_or_knowingly_ignored() -> None:
    raws = [json.loads(line)["raw"] for line in (CAPTURED / "frames.jsonl").read_text().splitlines()]
    raws.append((CAPTURED / "all_dexs_asset_ctxs.json").read_text())
    assert len(raws) == 52
    for raw in raws:
        channel = json.loads(raw)["channel"]
        expected = {"bbo": Bbo, "activeAssetCtx": Ctx, "error": Refusal, "pong": Other}.get(channel)
        frame = parse_frame(raw)
        if channel == "subscriptionResponse":
            assert isinstance(frame, Ack | Other)
        else:
            assert isinstance(frame, expected) if expected else frame == Other("unknown_channel")
