"""The second field of a tape entry: what today's version writes, what later ones may, and what none does."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hip3_tasks.domain.conditions import FORMAT, Conditions, CtxWitness, Fired, Memory, Trigger
from hip3_tasks.domain.edge import Side
from hip3_tasks.domain.market import CONDITIONS_FIELD, STATE_FIELD, Entry, decode_entry, encode_entry
from hip3_tasks.errors import MalformedEntry
from tests.support.factories import T0_MS, a_market
from tests.support.strategies import bps, instants, json_values, px

ages = st.integers(0, 10**13)
memories = st.builds(Memory, st.dictionaries(st.sampled_from(Side), st.builds(Fired, instants, px)))
witnesses = st.builds(
    CtxWitness,
    mid_px=st.none() | px,
    impact_bid_px=st.none() | px,
    impact_ask_px=st.none() | px,
    period_ms=st.none() | ages,
    limit_ms=st.none() | ages,
)
conditions = st.builds(
    Conditions,
    is_news=st.booleans(),
    is_judged=st.booleans(),
    is_doubted=st.booleans(),
    trigger=st.none() | st.sampled_from(Trigger),
    has_lag=st.booleans(),
    witness=st.just(CtxWitness()) | witnesses,
    ctx_age_ms=st.none() | ages,
    taker_fee_bps=st.none() | bps,
    threshold_bps=st.none() | bps,
    memory=st.none() | memories,
)
MEMORY = Memory({Side.SELL: Fired(T0_MS, 250.5)})
WITNESS = CtxWitness(249.8, 249.5, 250.25, period_ms=1008, limit_ms=4000)
A_KEYFRAME = Conditions(
    is_judged=True,
    trigger=Trigger.CTX,
    ctx_age_ms=40,
    taker_fee_bps=9.0,
    threshold_bps=15.0,
    memory=MEMORY,
    witness=WITNESS,
)
ENTRY_ID = b"%d-0" % T0_MS
STATE = dict([encode_entry(a_market())])


def decoded(text: bytes) -> Entry:
    return decode_entry(ENTRY_ID, STATE | {CONDITIONS_FIELD: text})


def changed(position: int, value: Any, *, kept: Conditions = A_KEYFRAME) -> bytes:
    values = orjson.loads(kept.encode())
    values[position] = value
    return orjson.dumps(values)


@given(conditions)
def test_decoding_returns_the_encoded_conditions(conditions: Conditions) -> None:
    text = conditions.encode()
    assert Conditions.decode(text.encode()) == conditions
    assert decoded(text.encode()) == Entry(T0_MS, a_market(), conditions)


def test_the_field_is_a_list_that_begins_with_its_format() -> None:
    values = [3, 18, 40, 9.0, 15.0, [None, [T0_MS, 250.5]], 249.8, 249.5, 250.25, 1008, 4000]
    assert orjson.loads(A_KEYFRAME.encode()) == values
    assert orjson.loads(Conditions(is_news=True).encode()) == [3, 1, None, None, None]


def test_an_entry_of_format_2_has_no_trigger_and_no_witness() -> None:
    text = orjson.dumps([2, 3, 40, 9.0, 15.0, [None, [T0_MS, 250.5]]])
    of_then = replace(A_KEYFRAME, is_news=True, trigger=None, witness=CtxWitness())
    assert Conditions.decode(text) == of_then
    assert Conditions.decode(orjson.dumps([2, 3, 40, 9.0, 15.0])) == replace(of_then, memory=None)


@given(conditions, st.integers(FORMAT, 99), st.lists(json_values, max_size=4))
def test_values_that_a_later_format_adds_at_the_end_are_left_out(
    conditions: Conditions, later: int, added: list[Any]
) -> None:
    values = orjson.loads(conditions.encode())
    values += [None] * (11 - len(values))
    values[0] = later
    assert decoded(orjson.dumps([*values, *added])).conditions == conditions


def test_a_flag_of_a_later_format_is_left_out() -> None:
    text = changed(1, 18 | 64 | 1)
    assert decoded(text).conditions == replace(A_KEYFRAME, is_news=True)


def test_values_that_a_later_format_adds_to_the_state_are_left_out() -> None:
    state = orjson.loads(STATE[STATE_FIELD])
    fields = {STATE_FIELD: orjson.dumps([*state, "more", None, [1]])}
    assert decode_entry(ENTRY_ID, fields) == Entry(T0_MS, a_market())


MALFORMED = {
    "empty": b"",
    "not JSON": b"[2,3,",
    "not UTF-8": b"\xff",
    "a number": b"2",
    "null": b"null",
    "a text": b'"23456"',
    "an object": b'{"2":1,"3":1,"4":1,"5":1,"6":1}',
    "no values": b"[]",
    "too short": b"[2,3,0,9.0]",
    "an earlier format": changed(0, 1),
    "a format that is no integer": changed(0, 2.0),
    "a format that is a text": changed(0, "2"),
    "a format that is true": changed(0, True),
    "flags that are no integer": changed(1, None),
    "flags that are true": changed(1, True),
    "an age that is no integer": changed(2, 40.5),
    "an age that is a text": changed(2, "40"),
    "a negative age": changed(2, -1),
    "a fee that is a text": changed(3, "9.0"),
    "a fee that is true": changed(3, True),
    "a threshold that is a list": changed(4, [15.0]),
    "a memory that is a number": changed(5, 7),
    "a memory that is true": changed(5, True),
    "a memory of one side": changed(5, [None]),
    "a memory of three sides": changed(5, [None, None, None]),
    "a firing without its oracle": changed(5, [None, [T0_MS]]),
    "a firing with more": changed(5, [None, [T0_MS, 250.5, 1]]),
    "a firing at no integer": changed(5, [None, [1.5, 250.5]]),
    "a firing on no oracle": changed(5, [None, [T0_MS, None]]),
    "a firing on a text": changed(5, [None, [T0_MS, "250.5"]]),
    "a mid that is zero": changed(6, 0.0),
    "an impact price that is a text": changed(7, "249.5"),
    "a period that is no integer": changed(9, 1008.5),
    "a negative limit": changed(10, -1),
    "a witness that is cut off": orjson.dumps(orjson.loads(A_KEYFRAME.encode())[:9]),
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED)
def test_what_no_version_writes_is_malformed(text: bytes) -> None:
    with pytest.raises(MalformedEntry):
        decoded(text)


@given(st.binary() | json_values.map(orjson.dumps) | st.lists(json_values, min_size=4, max_size=7).map(orjson.dumps))
def test_any_content_of_the_field_decodes_or_raises_malformed_entry(text: bytes) -> None:
    try:
        entry = decoded(text)
    except MalformedEntry as error:
        assert error.data == (ENTRY_ID, STATE | {CONDITIONS_FIELD: text})
    else:
        assert entry.value == a_market() and entry.conditions is not None


def test_an_entry_of_0_1_0_has_no_conditions() -> None:
    state = b"[249.0,3.0,249.5,2.0,250.0,249.75,1795338701108,1795338701358,1795338700458,7]"
    assert decode_entry(ENTRY_ID, {b"s": state}) == Entry(T0_MS, a_market(), None)


def test_a_copy_of_a_memory_and_its_original_change_apart() -> None:
    memory = Memory()
    copy = memory.copy()
    memory.note(Side.BUY, Fired(T0_MS, 250.0))
    assert (copy.fired, memory.last_at_ms(Side.BUY), memory.last_at_ms(Side.SELL)) == ({}, T0_MS, 0)


def test_a_memory_keeps_the_last_firing_of_a_side() -> None:
    memory = Memory()
    for at_ms, oracle_px in (7, 250.0), (5, 251.0), (7, 252.0):
        memory.note(Side.BUY, Fired(at_ms, oracle_px))
    assert memory.fired == {Side.BUY: Fired(7, 252.0)}
