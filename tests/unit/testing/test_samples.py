"""The sample records equal those that the product would make, also after changes."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hip3_tasks.domain.conditions import Conditions, CtxWitness, Trigger
from hip3_tasks.domain.detector import Detector, Rules
from hip3_tasks.domain.edge import Side, edge_bps
from hip3_tasks.domain.market import Entry, Market
from hip3_tasks.domain.records import Followup, Missed, MissedReason, Signal
from hip3_tasks.testing import T0_MS, make_followup, make_market, make_missed, make_signal

pytest_plugins = ["pytester"]

ASKS_FOR_THE_PLUGIN = 'pytest_plugins = ["hip3_tasks.testing.fixtures"]'
ASKS_FOR_A_TAPE = "def test_it(fed_tape) -> None:\n    assert fed_tape.watermark_ms is None\n"

near_the_oracle = st.floats(0.8, 1.2)
signals = st.builds(
    lambda side, bid, ask, oracle_px: make_signal(
        side=side, market=make_market(bid_px=bid * oracle_px, ask_px=ask * oracle_px, oracle_px=oracle_px)
    ),
    st.sampled_from(Side),
    near_the_oracle,
    near_the_oracle,
    st.floats(0.01, 1e6),
)


@pytest.mark.parametrize("side", Side)
def test_the_signal_made_by_default_is_the_detectors_own(side: Side) -> None:
    signal = make_signal(side=side)
    market = make_market(bid_px=signal.bid_px, ask_px=signal.ask_px)
    conditions = Conditions(
        is_news=True,
        is_judged=True,
        trigger=Trigger.BBO,
        has_lag=True,
        ctx_age_ms=400,
        taker_fee_bps=9.0,
        threshold_bps=15.0,
        witness=CtxWitness(market.mid_px, market.bid_px, market.ask_px, period_ms=3000),
    )
    detected = Detector(Rules()).observe("xyz:TSLA", Entry(T0_MS, market, conditions))
    assert signal == detected
    assert (signal.raw_edge_bps, signal.net_edge_bps, signal.threshold_bps) == (20.0, 10.0, 15.0)


def test_rules_and_fee_rule_for_threshold_net_edge_and_offsets() -> None:
    rules = Rules(min_edge_bps=2.0, slippage_bps=0.5, offsets_ms=(500,))
    signal = make_signal("xyz:MU", rules=rules, taker_fee_bps=4.0)
    assert (signal.threshold_bps, signal.net_edge_bps, signal.offsets_ms) == (6.5, 15.5, (500,))
    assert signal.signal_id == f"xyz:MU-{T0_MS}"


@given(signals)
def test_every_number_fits_whatever_the_prices(signal: Signal) -> None:
    assert signal.raw_edge_bps == edge_bps(signal.side, touch_px=signal.best_px, oracle_px=signal.oracle_px)
    assert Signal.from_line(signal.line()) == signal
    followup = make_followup(signal, 3000)
    assert Followup.from_line(followup.line()) == followup
    assert followup.edge_change_bps == followup.raw_edge_bps - signal.raw_edge_bps


@given(signals)
def test_by_default_half_of_the_edge_is_gone_when_the_follow_up_is_due(signal: Signal) -> None:
    assert make_followup(signal).raw_edge_bps == pytest.approx(signal.raw_edge_bps / 2, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("reason", MissedReason)
def test_a_missed_sample_has_the_given_reason(reason: MissedReason) -> None:
    missed = make_missed(make_signal(side=Side.SELL), 5000, reason=reason)
    assert (missed.reason, missed.due_at_ms) == (reason, T0_MS + 5000)
    assert Missed.from_line(missed.line()) == missed


@pytest.mark.parametrize(
    "market", [make_market(ask_px=None, ask_sz=None), make_market(ask_sz=None), make_market(oracle_px=None)]
)
def test_a_market_that_makes_no_record_is_refused_with_a_reason(market: Market) -> None:
    with pytest.raises(ValueError, match="a buy signal needs ask_px, ask_sz and oracle_px"):
        make_signal(market=market)
    with pytest.raises(ValueError, match="gives a missed follow-up"):
        make_followup(market=market)


@pytest.mark.parametrize("name", ["fakeredis", "lupa"])
def test_a_missing_package_is_one_line_with_the_command(name: str) -> None:
    code = f"import sys; sys.modules[{name!r}] = None; import hip3_tasks.testing"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    way_out = f"needs {name}, which is not installed: pip install 'hip3-tasks[testing]'"
    assert shown.stderr.splitlines()[-1] == f"ModuleNotFoundError: hip3_tasks.testing {way_out}"


def test_it_is_imported_without_pytest() -> None:
    code = "import sys; sys.modules['pytest'] = None; from hip3_tasks.testing import FedTape; FedTape().close()"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_the_fixture_is_loaded_only_on_request(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(ASKS_FOR_A_TAPE)
    pytester.runpytest_inprocess().stdout.fnmatch_lines("*fixture 'fed_tape' not found*")
    pytester.makeconftest(ASKS_FOR_THE_PLUGIN)
    pytester.runpytest_inprocess("-W", "error").assert_outcomes(passed=1)
