"""The lines of the data files."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hip3_tasks.domain.records import Dark, Followed, Followup, Missed, Record, Signal, key_of
from hip3_tasks.errors import MalformedRecord
from tests.support.factories import T0_MS, a_followup, a_missed, a_signal, released
from tests.support.strategies import followups, missed, records, signals

SIXTEEN = """
    signal_id market_key side signal_timestamp_ms offset_ms captured_at_ms t0_oracle_px t0_best_px t0_raw_edge_bps
    oracle_px best_px best_size raw_edge_bps edge_change_bps oracle_moved_bps market_moved_bps
"""
TWELVE = """
    due_at_ms state_at_ms bid_px bid_sz ask_px ask_sz mark_px bbo_age_ms oracle_age_ms oracle_updates markout_bps
"""
OF_A_SIGNAL = """
    timestamp_ms market_key side raw_edge_bps net_edge_bps oracle_px best_px best_size signal_id
    bid_px bid_sz ask_px ask_sz mark_px bbo_age_ms oracle_age_ms threshold_bps offsets_ms
"""
LATER = "lag_ms ctx_age_ms oracle_age_max_ms ctx_mid_px impact_bid_px impact_ask_px"
LATER_OF_A_SIGNAL = """
    lag_ms ctx_age_ms oracle_age_max_ms trigger ctx_mid_px impact_bid_px impact_ask_px taker_fee_bps slippage_bps
"""


@given(record=records)
def test_a_line_decodes_to_the_record_it_was(record: Record) -> None:
    line = record.line()
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert type(record).from_line(line) == record


@pytest.mark.parametrize("cause", ["subscription refused", 'Invalid {"at":1e5,"x":1e-7}'])
def test_a_line_of_followed_markets_names_the_dark_ones(cause: str) -> None:
    record = Followed(at_ms=T0_MS, coins=("a:A", "b:B"), heard=("a:A",), dark=(Dark("b:B", cause, T0_MS - 5000),))
    assert Followed.from_line(record.line()) == record
    assert json.loads(record.line())["dark"] == [{"coin": "b:B", "cause": cause, "since_ms": T0_MS - 5000}]


def test_a_line_of_followed_markets_of_the_first_release_does_not_tell_which_were_heard() -> None:
    record = Followed.from_line(b'{"at_ms":1795338701358,"coins":["a:A"]}')
    assert (record.coins, record.heard, record.dark) == (("a:A",), None, None)


@given(record=records)
def test_a_line_has_the_keys_in_the_order_of_the_fields(record: Record) -> None:
    assert list(json.loads(record.line())) == list(type(record).model_fields)


@given(record=signals | followups)
def test_a_number_that_is_a_price_a_size_or_bps_carries_a_decimal_point(record: Record) -> None:
    written = json.loads(record.line(), parse_int=lambda text: ("int", text), parse_float=lambda text: ("float", text))
    for name, value in written.items():
        if name.endswith(("_px", "_sz", "_bps", "_size")) and value is not None:
            kind, text = value
            assert (kind, "." in text) == ("float", True), f"{name}: {text}"


@pytest.mark.parametrize("number", [1e-7, -1e-7, 1e16, 1e17, -1e22, 5e-324, 3.0, 1e15, 123456789012345680.0])
def test_a_number_that_python_writes_without_a_point_gets_one(number: float) -> None:
    line = a_followup(markout_bps=number, edge_change_bps=number).line()
    for text in json.loads(line, parse_float=str)["markout_bps"], json.loads(line, parse_float=str)["edge_change_bps"]:
        assert "." in text
        assert float(text) == number


def test_numbers_within_a_text_are_unchanged() -> None:
    record = a_missed(detail='lost: {"at":1e5,"x":1e-7}')
    assert Missed.from_line(record.line()) == record


@pytest.mark.parametrize(
    ("kind", "fields", "later"),
    [(Followup, SIXTEEN + TWELVE, LATER), (Signal, OF_A_SIGNAL, LATER_OF_A_SIGNAL)],
    ids=["follow-up", "signal"],
)
def test_the_fields_and_their_order_are_the_contract(kind: type[Record], fields: str, later: str) -> None:
    assert list(kind.model_fields) == [*fields.split(), *later.split()]
    assert (len(fields.split()),) == kind.RELEASED


@given(record=signals | followups)
def test_a_line_of_an_earlier_release_is_read_without_the_later_fields(record: Record) -> None:
    (count,) = record.RELEASED
    later = list(type(record).model_fields)[count:]
    assert type(record).from_line(released(record)) == record.model_copy(update=dict.fromkeys(later))


@pytest.mark.parametrize("name", SIXTEEN.split())
def test_the_first_sixteen_of_a_follow_up_are_never_null(name: str) -> None:
    with pytest.raises(MalformedRecord, match=name):
        Followup.from_line(_changed(a_followup(), **{name: None}))


@given(line=st.binary())
def test_any_bytes_are_a_record_or_a_malformed_one(line: bytes) -> None:
    _is_record_or_malformed(line)


@given(line=records.map(Record.line), data=st.data())
def test_a_damaged_line_is_a_record_or_a_malformed_one(line: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(line)))
    _is_record_or_malformed(line[:cut])
    _is_record_or_malformed(line[:cut] + data.draw(st.binary(max_size=3)) + line[cut + 1 :])


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["signal_id", "offset_ms", "side"]), inner),
    )
)
def test_any_json_is_a_record_or_a_malformed_one(value: Any) -> None:
    _is_record_or_malformed(orjson.dumps(value))


def _is_record_or_malformed(line: bytes) -> None:
    for decode in (Signal.from_line, Followup.from_line, Missed.from_line, key_of):
        try:
            decode(line)
        except MalformedRecord as error:
            assert error.line == line


@pytest.mark.parametrize("line", [b"[" * 100_000, b'{"a":' * 100_000, b"1" * 100_000, b"\x00" * 4096, b"\xff\xfe{}"])
def test_hostile_lines_are_malformed(line: bytes) -> None:
    for decode in (Signal.from_line, key_of):
        with pytest.raises(MalformedRecord):
            decode(line)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("oracle_px", "250.0"),
        ("oracle_px", 0.0),
        ("oracle_px", -1.0),
        ("best_size", 0.0),
        ("side", "hold"),
        ("market_key", "TSLA"),
        ("timestamp_ms", 1795338701),
        ("timestamp_ms", 1795338701358.0),
        ("offsets_ms", [0]),
        ("offsets_ms", ["1000"]),
        ("bbo_age_ms", -1),
        ("signal_id", "xyz:TSLA-1795338701359"),
    ],
)
def test_a_signal_with_an_impossible_value_is_malformed(name: str, value: Any) -> None:
    with pytest.raises(MalformedRecord):
        Signal.from_line(_changed(a_signal(), **{name: value}))


def test_an_error_names_the_field_of_a_malformed_line() -> None:
    with pytest.raises(MalformedRecord, match="best_px: Input should be greater than 0"):
        Followup.from_line(_changed(a_followup(), best_px=0.0))


def test_a_field_of_a_later_version_is_no_error() -> None:
    assert Followup.from_line(_changed(a_followup(), new_in_version_9=1)) == a_followup()


def test_not_a_number_is_refused_before_it_reaches_a_file() -> None:
    with pytest.raises(ValueError, match="finite"):
        a_signal(raw_edge_bps=float("nan"))


def test_a_signal_requires_one_capture_for_each_of_its_own_offsets() -> None:
    captures = a_signal(offsets_ms=(500, 7000)).captures()
    assert [capture.member for capture in captures] == [f"xyz:TSLA-{T0_MS}|500", f"xyz:TSLA-{T0_MS}|7000"]


@given(record=followups | missed)
def test_the_key_of_an_outcome_is_its_signal_and_offset(record: Followup | Missed) -> None:
    assert key_of(record.line()) == record.key == (record.signal_id, record.offset_ms)


def _changed(record: Record, **changes: Any) -> bytes:
    return orjson.dumps(orjson.loads(record.line()) | changes)
