"""The value of a tape entry and its bytes."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hip3_tasks.domain.edge import Side
from hip3_tasks.domain.market import COIN, GAP_FIELD, STATE_FIELD, Entry, Gap, Market, decode_entry, encode_entry
from hip3_tasks.errors import MalformedEntry
from tests.support.factories import T0_MS, a_market
from tests.support.strategies import json_values

numbers = st.none() | st.floats(min_value=0, exclude_min=True, allow_infinity=False)
instants = st.integers(0, 10**13)
markets = st.builds(
    Market,
    bid_px=numbers,
    bid_sz=numbers,
    ask_px=numbers,
    ask_sz=numbers,
    oracle_px=numbers,
    mark_px=numbers,
    bbo_time_ms=instants,
    bbo_at_ms=instants,
    oracle_at_ms=instants,
    oracle_updates=st.integers(0, 2**53),
)


@given(value=markets | st.builds(Gap, st.text()), at_ms=instants, seq=st.integers(0, 2**32))
def test_decoding_returns_the_encoded_state(value: Market | Gap, at_ms: int, seq: int) -> None:
    field, data = encode_entry(value)
    assert decode_entry(f"{at_ms}-{seq}".encode(), {field: data}) == Entry(at_ms, value)


@given(entry_id=st.binary() | st.just(b"1-0"), fields=st.dictionaries(st.binary(max_size=3), st.binary()))
def test_any_bytes_decode_or_raise_malformed_entry(entry_id: bytes, fields: dict[bytes, bytes]) -> None:
    _decodes_or_is_malformed(entry_id, fields)


@given(field=st.sampled_from([STATE_FIELD, GAP_FIELD]), data=st.binary() | json_values.map(orjson.dumps))
def test_any_content_of_a_known_field_decodes_or_raises_malformed_entry(field: bytes, data: bytes) -> None:
    _decodes_or_is_malformed(b"1795338701358-0", {field: data})


def _decodes_or_is_malformed(entry_id: bytes, fields: dict[bytes, bytes]) -> None:
    try:
        decode_entry(entry_id, fields)
    except MalformedEntry as error:
        assert error.data == (entry_id, fields)


@pytest.mark.parametrize("px", [0.0, -1.0, 0, True, "250.0", [250.0], 1e999])
def test_a_price_that_is_no_positive_number_is_malformed_and_never_zero(px: Any) -> None:
    state = [px, 1.0, 2.0, 1.0, 2.0, 2.0, 1, 1, 1, 1]
    data = orjson.dumps(state) if px != 1e999 else b"[1e999,1.0,2.0,1.0,2.0,2.0,1,1,1,1]"
    with pytest.raises(MalformedEntry):
        decode_entry(b"1-0", {STATE_FIELD: data})


@pytest.mark.parametrize("instant", [1.0, None, True, "1"])
def test_an_instant_that_is_no_integer_is_malformed(instant: Any) -> None:
    with pytest.raises(MalformedEntry):
        decode_entry(b"1-0", {STATE_FIELD: orjson.dumps([None] * 6 + [instant, 1, 1, 1])})


def test_an_entry_that_is_both_a_state_and_a_gap_is_a_gap() -> None:
    _, state = encode_entry(a_market())
    assert decode_entry(b"5-0", {STATE_FIELD: state, GAP_FIELD: b"stalled"}) == Entry(5, Gap("stalled"))


def test_a_buyer_meets_the_ask_and_a_seller_the_bid() -> None:
    market = a_market(bid_px=1.0, bid_sz=10.0, ask_px=2.0, ask_sz=20.0)
    assert (market.touch_px(Side.BUY), market.touch_sz(Side.BUY)) == (2.0, 20.0)
    assert (market.touch_px(Side.SELL), market.touch_sz(Side.SELL)) == (1.0, 10.0)
    assert market.mid_px == 1.5


@pytest.mark.parametrize(
    ("bid_px", "ask_px", "is_two_sided"),
    [(1.0, 2.0, True), (2.0, 2.0, False), (3.0, 2.0, False), (None, 2.0, False), (1.0, None, False)],
)
def test_a_book_is_two_sided_unless_a_side_is_empty_or_it_is_crossed_or_locked(
    bid_px: float | None, ask_px: float | None, is_two_sided: bool
) -> None:
    assert a_market(bid_px=bid_px, ask_px=ask_px).is_two_sided is is_two_sided


@pytest.mark.parametrize("coin", ["xyz:TSLA", "xyz:XYZ100", "a:b", "para:BRK.B", "io:A-B_c+d", "Xyz:tsla"])
def test_a_coin_is_a_dex_and_a_name(coin: str) -> None:
    assert COIN.fullmatch(coin)


@pytest.mark.parametrize(
    "coin", ["", "TSLA", "xyz:", ":TSLA", "xyz:TS LA", "xyz:TSLA\n", "xyz:T|A", "xyz:a:b", 'xyz:"', "xyz:É", "x/y:A"]
)
def test_a_text_that_could_break_a_key_is_no_coin(coin: str) -> None:
    assert not COIN.fullmatch(coin)


def test_the_instant_of_an_entry_is_its_id() -> None:
    field, data = encode_entry(a_market())
    assert decode_entry(b"%d-17" % T0_MS, {field: data}).at_ms == T0_MS
