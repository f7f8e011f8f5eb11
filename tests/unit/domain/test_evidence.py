"""Records name how current their state was, as far as its entry tells."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hip3_tasks.domain.conditions import Conditions, CtxWitness, Trigger
from hip3_tasks.domain.detector import Detector, Rules
from hip3_tasks.domain.evidence import evidence
from hip3_tasks.domain.market import Entry
from hip3_tasks.domain.measure import measure
from hip3_tasks.domain.records import Followup
from hip3_tasks.store.tape import stamp, stamp_again
from tests.support.factories import T0_MS, a_capture, a_market, a_signal
from tests.support.tapes import on_tape

WITNESS = CtxWitness(mid_px=249.3, impact_bid_px=248.5, impact_ask_px=250.5, period_ms=3000, limit_ms=9000)
CONDITIONS = Conditions(
    is_news=True,
    is_judged=True,
    trigger=Trigger.CTX,
    has_lag=True,
    ctx_age_ms=700,
    taker_fee_bps=9.0,
    threshold_bps=15.0,
    witness=WITNESS,
)
MARKET = a_market(bbo_at_ms=T0_MS - 5000, bbo_time_ms=T0_MS - 5180)
NAMES = ("lag_ms", "ctx_age_ms", "oracle_age_max_ms", "ctx_mid_px", "impact_bid_px", "impact_ask_px")

durations = st.integers(0, 10**9)
prices = st.none() | st.just(249.3)
witnesses = st.builds(CtxWitness, prices, prices, prices, st.none() | durations, st.none() | durations)
conditions = st.none() | st.builds(
    Conditions, has_lag=st.booleans(), ctx_age_ms=st.none() | durations, witness=witnesses
)


def seen(record: Any) -> list[Any]:
    return [getattr(record, name) for name in NAMES]


def test_a_signal_names_its_trigger_its_costs_and_the_age_of_all_that_it_rests_on() -> None:
    signal = Detector(Rules(slippage_bps=1.5)).observe("xyz:TSLA", Entry(T0_MS, MARKET, CONDITIONS))
    assert signal is not None
    assert seen(signal) == [180, 700, 3700, 249.3, 248.5, 250.5]
    assert (signal.trigger, signal.taker_fee_bps, signal.slippage_bps) == (Trigger.CTX, 9.0, 1.5)
    assert signal.net_edge_bps == signal.raw_edge_bps - 9.0 - 1.5


def test_ages_of_a_follow_up_are_as_of_its_due_time() -> None:
    signal, due = a_signal(), Entry(T0_MS + 400, MARKET, CONDITIONS)
    record = measure(signal, a_capture(signal, 1000), due=due, t0=None, at_ms=T0_MS + 1003)
    assert isinstance(record, Followup)
    assert seen(record) == [180, 1300, 4300, 249.3, 248.5, 250.5]


@pytest.mark.parametrize("old", [None, replace(CONDITIONS, has_lag=False, ctx_age_ms=None, witness=CtxWitness())])
def test_an_entry_that_names_nothing_gives_no_value(old: Conditions | None) -> None:
    assert list(evidence(Entry(T0_MS, MARKET, old), at_ms=T0_MS)) == list(NAMES)
    assert set(evidence(Entry(T0_MS, MARKET, old), at_ms=T0_MS).values()) == {None}


def test_a_clock_that_is_behind_the_venue_gives_a_negative_lag() -> None:
    ahead = replace(MARKET, bbo_time_ms=MARKET.bbo_at_ms + 90)
    assert evidence(Entry(T0_MS, ahead, CONDITIONS), at_ms=T0_MS)["lag_ms"] == -90


def test_a_state_that_is_written_again_has_no_age_of_the_ctx() -> None:
    *_, text = stamp_again(stamp("xyz:TSLA", T0_MS, 0, MARKET, CONDITIONS), T0_MS + 500, 1)
    again = Conditions.decode(text.encode())
    values = evidence(Entry(T0_MS + 500, MARKET, again), at_ms=T0_MS + 900)
    assert (values["lag_ms"], values["ctx_age_ms"], values["oracle_age_max_ms"]) == (180, None, None)


@given(conditions=conditions, first_ms=durations, more_ms=durations)
def test_ages_grow_with_time_and_the_rest_stays(conditions: Conditions | None, first_ms: int, more_ms: int) -> None:
    entry = Entry(T0_MS, MARKET, conditions)
    first, later = (evidence(entry, at_ms=T0_MS + ms) for ms in (first_ms, first_ms + more_ms))
    for name in NAMES:
        is_age = name in ("ctx_age_ms", "oracle_age_max_ms")
        assert later[name] == (first[name] + more_ms if is_age and first[name] is not None else first[name])
    if first["oracle_age_max_ms"] is not None:
        assert first["oracle_age_max_ms"] >= first["ctx_age_ms"] >= first_ms


@given(conditions=conditions, more_ms=durations)
def test_an_entry_read_from_the_tape_gives_the_same_values(conditions: Conditions | None, more_ms: int) -> None:
    entry = Entry(T0_MS, MARKET, conditions)
    (stored,) = on_tape([entry])
    assert evidence(stored, at_ms=T0_MS + more_ms) == evidence(entry, at_ms=T0_MS + more_ms)
