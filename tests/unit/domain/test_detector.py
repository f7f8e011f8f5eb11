"""The laws of the detector hold under any sequence of updates."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hip3_tasks.domain.detector import Detector, Rules
from hip3_tasks.domain.edge import Side, edge_bps, reaches
from hip3_tasks.domain.market import Market
from hip3_tasks.domain.records import Signal
from tests.support.factories import T0_MS, a_calm_market, a_market

FEE_BPS = 9.0
COIN = "xyz:TSLA"


def observe(
    detector: Detector,
    market: Market,
    *,
    at_ms: int = T0_MS,
    coin: str = COIN,
    ctx_age_ms: int = 0,
    fee_bps: float = FEE_BPS,
) -> Signal | None:
    return detector.observe(coin, market, taker_fee_bps=fee_bps, ctx_at_ms=at_ms - ctx_age_ms, at_ms=at_ms)


def dislocated(side: Side, *, oracle_px: float = 250.0, at_ms: int = T0_MS) -> Market:
    """A book priced 20 bps through its oracle."""
    near, far = oracle_px * (1 - side.sign * 20 / 1e4), oracle_px * (1 - side.sign * 30 / 1e4)
    bid_px, ask_px = min(near, far), max(near, far)
    return a_market(at_ms=at_ms, bid_px=bid_px, ask_px=ask_px, oracle_px=oracle_px)


# --- single claims


@pytest.mark.parametrize("side", Side)
def test_a_touch_priced_through_its_oracle_is_a_signal_with_all_its_numbers(side: Side) -> None:
    market = dislocated(side)
    signal = observe(Detector(Rules()), market)
    assert signal is not None
    assert (signal.side, signal.signal_id, signal.timestamp_ms) == (side, f"{COIN}-{T0_MS}", T0_MS)
    assert (signal.best_px, signal.best_size) == (market.touch_px(side), market.touch_sz(side))
    assert signal.raw_edge_bps == pytest.approx(20.0)
    assert signal.net_edge_bps == pytest.approx(20.0 - FEE_BPS - 1.0)
    assert signal.threshold_bps == 15.0
    assert (signal.bbo_age_ms, signal.oracle_age_ms) == (0, 900)
    assert signal.offsets_ms == (1000, 3000, 5000)


def test_a_calm_market_is_no_signal() -> None:
    assert observe(Detector(Rules()), a_calm_market()) is None


def test_the_fee_decides_the_threshold_and_a_given_threshold_overrides_it() -> None:
    market = dislocated(Side.BUY)
    assert observe(Detector(Rules(min_edge_bps=10.5)), market) is None
    assert observe(Detector(Rules(min_edge_bps=10.5)), market, fee_bps=0.9) is not None
    assert observe(Detector(Rules(thresholds_bps={COIN: 20.5})), market) is None
    assert observe(Detector(Rules(min_edge_bps=99, thresholds_bps={COIN: 19.5})), market) is not None


@pytest.mark.parametrize(
    "changes",
    [{"bid_px": None}, {"ask_px": None}, {"bid_px": 249.5}, {"bid_px": 249.6}, {"oracle_px": None}],
    ids=["no bid", "no ask", "locked", "crossed", "no oracle"],
)
def test_a_one_sided_or_crossed_book_is_no_signal(changes: dict[str, float | None]) -> None:
    assert observe(Detector(Rules()), a_market(**changes)) is None


def test_an_oracle_not_heard_of_for_too_long_is_no_signal() -> None:
    assert observe(Detector(Rules()), dislocated(Side.BUY), ctx_age_ms=8001) is None
    assert observe(Detector(Rules()), dislocated(Side.BUY), ctx_age_ms=8000) is not None


def test_one_oracle_value_makes_one_signal_a_side_however_long_it_stands() -> None:
    detector = Detector(Rules())
    signals = [observe(detector, dislocated(Side.BUY), at_ms=T0_MS + at_ms) for at_ms in range(0, 60_000, 1000)]
    assert [signal is not None for signal in signals] == [True] + [False] * 59


def test_the_same_oracle_value_coming_back_arms_it_again() -> None:
    detector = Detector(Rules())
    first = observe(detector, dislocated(Side.BUY))
    between = observe(detector, a_calm_market(oracle_px=250.01), at_ms=T0_MS + 3000)
    again = observe(detector, dislocated(Side.BUY), at_ms=T0_MS + 6000)
    assert (first is not None, between is not None, again is not None) == (True, False, True)


def test_an_oracle_change_seen_on_a_broken_book_arms_it_again_too() -> None:
    detector = Detector(Rules())
    observe(detector, dislocated(Side.BUY))
    observe(detector, a_market(bid_px=None, oracle_px=251.0), at_ms=T0_MS + 3000, ctx_age_ms=9000)
    assert observe(detector, dislocated(Side.BUY), at_ms=T0_MS + 6000) is not None


def test_within_the_cooldown_a_side_stays_silent_even_on_a_new_oracle() -> None:
    detector = Detector(Rules())
    observe(detector, dislocated(Side.BUY))
    assert observe(detector, dislocated(Side.BUY, oracle_px=260.0), at_ms=T0_MS + 499) is None
    assert observe(detector, dislocated(Side.BUY, oracle_px=260.0), at_ms=T0_MS + 500) is not None


def test_the_other_side_and_the_other_market_have_a_cooldown_of_their_own() -> None:
    detector = Detector(Rules())
    assert observe(detector, dislocated(Side.BUY)) is not None
    assert observe(detector, dislocated(Side.SELL), at_ms=T0_MS + 1) is not None
    assert observe(detector, dislocated(Side.BUY), coin="xyz:AAPL") is not None


def test_a_second_signal_of_a_market_in_one_millisecond_is_dropped_and_counted() -> None:
    detector = Detector(Rules())
    assert observe(detector, dislocated(Side.BUY)) is not None
    assert observe(detector, dislocated(Side.SELL)) is None
    assert detector.dropped_same_ms == 1
    assert observe(detector, dislocated(Side.SELL), at_ms=T0_MS + 1) is not None


def test_a_clock_behind_the_last_signal_makes_no_id_a_second_time() -> None:
    detector = Detector(Rules(cooldown_ms=0))
    fired = [(Side.BUY, 100), (Side.SELL, 700), (Side.BUY, 900)]
    signals = [observe(detector, dislocated(side, oracle_px=250.0 + ms), at_ms=T0_MS + ms) for side, ms in fired]
    resumed = Detector(Rules(cooldown_ms=0))
    resumed.resume(signal for signal in signals if signal is not None)
    later = [observe(resumed, dislocated(Side.SELL, oracle_px=300.0 + ms), at_ms=T0_MS + ms) for ms in (100, 800, 901)]
    assert [signal is not None for signal in later] == [False, False, True]


# --- laws


@dataclass(frozen=True, slots=True)
class Update:
    at_ms: int
    market: Market
    ctx_age_ms: int


@dataclass(slots=True)
class Referee:
    """The laws, written independently of the detector."""

    rules: Rules
    oracle_px: float | None = None
    fired_on_this_oracle: set[Side] = field(default_factory=set)
    fired_at_ms: dict[Side, int] = field(default_factory=dict)

    def judge(self, update: Update, signal: Signal | None) -> None:
        market, at_ms = update.market, update.at_ms
        if market.oracle_px is not None and market.oracle_px != self.oracle_px:
            self.oracle_px = market.oracle_px
            self.fired_on_this_oracle.clear()
        allowed = [side for side in Side if self._may_fire(side, update)]
        if signal is None:
            assert not allowed, f"{allowed} should have fired at {at_ms}"
            return
        assert signal.side in allowed
        assert signal.timestamp_ms == at_ms
        touch_px = market.touch_px(signal.side)
        assert touch_px is not None
        assert market.oracle_px is not None
        assert signal.raw_edge_bps == edge_bps(signal.side, touch_px=touch_px, oracle_px=market.oracle_px)
        assert signal.raw_edge_bps >= signal.threshold_bps - 1e-9
        assert signal.net_edge_bps <= signal.raw_edge_bps
        self.fired_on_this_oracle.add(signal.side)
        self.fired_at_ms[signal.side] = at_ms

    def _may_fire(self, side: Side, update: Update) -> bool:
        market, at_ms = update.market, update.at_ms
        touch_px, threshold_bps = market.touch_px(side), self.rules.threshold_bps(COIN, FEE_BPS)
        return (
            market.oracle_px is not None
            and market.bid_px is not None
            and market.ask_px is not None
            and touch_px is not None
            and market.bid_px < market.ask_px
            and update.ctx_age_ms <= self.rules.ctx_max_age_ms
            and reaches(side, touch_px=touch_px, oracle_px=market.oracle_px, threshold_bps=threshold_bps)
            and side not in self.fired_on_this_oracle
            and at_ms - self.fired_at_ms.get(side, 0) >= self.rules.cooldown_ms
            and at_ms not in self.fired_at_ms.values()
        )


prices = st.sampled_from([None, 99.0, 99.7, 100.0, 100.3, 101.0])


@st.composite
def update_sequences(draw: st.DrawFn) -> list[Update]:
    updates, at_ms = [], T0_MS
    steps = draw(st.lists(st.sampled_from([0, 0, 1, 200, 500, 3000, 9000]), max_size=60))
    for step_ms in steps:
        at_ms += step_ms
        market = a_market(at_ms=at_ms, bid_px=draw(prices), ask_px=draw(prices), oracle_px=draw(prices))
        updates.append(Update(at_ms, market, draw(st.sampled_from([0, 0, 0, 8000, 8001]))))
    return updates


rules = st.builds(
    Rules,
    min_edge_bps=st.sampled_from([0.0, 5.0, 40.0]),
    thresholds_bps=st.sampled_from([{}, {}, {COIN: 0.0}, {COIN: -50.0}]),
    cooldown_ms=st.sampled_from([0, 1, 500, 5000]),
)


def run(detector: Detector, updates: Iterable[Update]) -> list[Signal | None]:
    return [observe(detector, update.market, at_ms=update.at_ms, ctx_age_ms=update.ctx_age_ms) for update in updates]


@given(updates=update_sequences(), rules=rules)
def test_it_fires_exactly_when_the_laws_allow_it(updates: list[Update], rules: Rules) -> None:
    referee = Referee(rules)
    for update, signal in zip(updates, run(Detector(rules), updates), strict=True):
        referee.judge(update, signal)


@given(updates=update_sequences(), rules=rules)
def test_no_two_signals_have_the_same_id(updates: list[Update], rules: Rules) -> None:
    ids = [signal.signal_id for signal in run(Detector(rules), updates) if signal is not None]
    assert len(ids) == len(set(ids))


@given(updates=update_sequences(), rules=rules, data=st.data())
def test_a_restart_repeats_nothing(updates: list[Update], rules: Rules, data: st.DataObject) -> None:
    restart = data.draw(st.integers(0, len(updates)))
    fired = [signal for signal in run(Detector(rules), updates[:restart]) if signal is not None]
    resumed = Detector(rules)
    resumed.resume(fired)
    last = {signal.side: signal for signal in fired}
    for signal in run(resumed, updates[restart:]):
        if signal is None:
            continue
        assert signal.signal_id not in {earlier.signal_id for earlier in fired}
        if signal.side in last:
            assert signal.timestamp_ms - last[signal.side].timestamp_ms >= rules.cooldown_ms
        last[signal.side] = signal


@given(rules=rules, side=st.sampled_from(Side), waits_ms=st.lists(st.integers(0, 60_000), max_size=5))
def test_after_a_restart_the_oracle_that_fired_is_still_spent(rules: Rules, side: Side, waits_ms: list[int]) -> None:
    first = observe(Detector(rules), dislocated(side, oracle_px=100.0))
    resumed = Detector(rules)
    resumed.resume([] if first is None else [first])
    for wait_ms in waits_ms:
        at_ms = T0_MS + wait_ms
        again = observe(resumed, dislocated(side, oracle_px=100.0, at_ms=at_ms), at_ms=at_ms)
        assert first is None or again is None or again.side is not first.side
