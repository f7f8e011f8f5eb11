"""The laws of the detector hold under any sequence of tape entries."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hip3_tasks.domain.conditions import Conditions, CtxWitness, Fired
from hip3_tasks.domain.detector import Detector, Rules
from hip3_tasks.domain.edge import Side, edge_bps, reaches
from hip3_tasks.domain.market import Entry, Gap, Market
from hip3_tasks.domain.records import Signal
from tests.support.factories import T0_MS, a_calm_market, a_market
from tests.support.tapes import COIN, FEE_BPS, detect, news, rules, steps, updates, written_by_a_feed

ORACLE_AT_MS = T0_MS - 900


def observe(
    detector: Detector,
    market: Market,
    *,
    at_ms: int = T0_MS,
    coin: str = COIN,
    ctx_age_ms: int = 0,
    fee_bps: float = FEE_BPS,
) -> Signal | None:
    entry = news(market, at_ms=at_ms, rules=detector.rules, coin=coin, fee_bps=fee_bps, ctx_age_ms=ctx_age_ms)
    return detector.observe(coin, entry)


def dislocated(side: Side, *, oracle_px: float = 250.0, oracle_at_ms: int = ORACLE_AT_MS) -> Market:
    """A book priced 20 bps through its oracle."""
    near, far = oracle_px * (1 - side.sign * 20 / 1e4), oracle_px * (1 - side.sign * 30 / 1e4)
    bid_px, ask_px = min(near, far), max(near, far)
    return a_market(bid_px=bid_px, ask_px=ask_px, oracle_px=oracle_px, oracle_at_ms=oracle_at_ms)


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


def test_a_book_that_the_ctx_contradicts_is_no_signal() -> None:
    entry = news(dislocated(Side.BUY))
    assert entry.conditions is not None
    doubted = replace(entry, conditions=replace(entry.conditions, is_doubted=True))
    detector = Detector(Rules())
    assert detector.observe(COIN, doubted) is None
    assert detector.observe(COIN, entry) is not None  # what was doubted has spent no side


@pytest.mark.parametrize(("ctx_age_ms", "limit_ms", "fires"), [(8001, 9000, True), (4001, 4000, False)])
def test_the_age_limit_that_an_entry_names_is_in_force(ctx_age_ms: int, limit_ms: int, fires: bool) -> None:
    entry = news(dislocated(Side.BUY), ctx_age_ms=ctx_age_ms)
    assert entry.conditions is not None
    limited = replace(entry, conditions=replace(entry.conditions, witness=CtxWitness(limit_ms=limit_ms)))
    assert (Detector(Rules()).observe(COIN, limited) is not None) is fires


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
    between = observe(detector, a_calm_market(oracle_px=250.01, oracle_at_ms=T0_MS + 3000), at_ms=T0_MS + 3000)
    again = observe(detector, dislocated(Side.BUY, oracle_at_ms=T0_MS + 6000), at_ms=T0_MS + 6000)
    assert (first is not None, between is not None, again is not None) == (True, False, True)


def test_an_oracle_change_seen_on_a_broken_book_arms_it_again_too() -> None:
    detector = Detector(Rules())
    observe(detector, dislocated(Side.BUY))
    broken = a_market(bid_px=None, oracle_px=251.0, oracle_at_ms=T0_MS + 3000)
    observe(detector, broken, at_ms=T0_MS + 3000, ctx_age_ms=9000)
    assert observe(detector, dislocated(Side.BUY, oracle_at_ms=T0_MS + 6000), at_ms=T0_MS + 6000) is not None


@pytest.mark.parametrize("is_restarted", [False, True])
def test_an_oracle_that_went_away_and_came_back_arms_it_again_over_a_restart_too(is_restarted: bool) -> None:
    detector = Detector(Rules())
    first = observe(detector, dislocated(Side.BUY))
    assert first is not None
    away = a_market(oracle_px=None, oracle_at_ms=T0_MS + 3000)
    assert observe(detector, away, at_ms=T0_MS + 3000) is None
    if is_restarted:
        detector = Detector(Rules())
        detector.resume([first])
    assert observe(detector, dislocated(Side.BUY, oracle_at_ms=T0_MS + 6000), at_ms=T0_MS + 6000) is not None


def test_an_oracle_that_changes_in_the_millisecond_of_a_signal_arms_it_again() -> None:
    detector = Detector(Rules(cooldown_ms=0))
    assert observe(detector, dislocated(Side.BUY)) is not None
    changed = dislocated(Side.BUY, oracle_px=260.0, oracle_at_ms=T0_MS)
    assert observe(detector, changed) is None
    assert observe(detector, changed, at_ms=T0_MS + 1) is not None


def test_within_the_cooldown_a_side_stays_silent_even_on_a_new_oracle() -> None:
    detector = Detector(Rules())
    observe(detector, dislocated(Side.BUY))
    changed = dislocated(Side.BUY, oracle_px=260.0, oracle_at_ms=T0_MS + 400)
    assert observe(detector, changed, at_ms=T0_MS + 499) is None
    assert observe(detector, changed, at_ms=T0_MS + 500) is not None


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


def moved(side: Side, ms: int) -> Market:
    """A book priced through an oracle that has just changed."""
    return dislocated(side, oracle_px=250.0 + ms, oracle_at_ms=T0_MS + ms)


def test_a_clock_behind_the_last_signal_makes_no_id_a_second_time() -> None:
    detector = Detector(Rules(cooldown_ms=0))
    fired = [(Side.BUY, 100), (Side.SELL, 700), (Side.BUY, 900)]
    signals = [observe(detector, moved(side, ms), at_ms=T0_MS + ms) for side, ms in fired]
    resumed = Detector(Rules(cooldown_ms=0))
    resumed.resume(signal for signal in signals if signal is not None)
    later = [observe(resumed, moved(Side.SELL, ms), at_ms=T0_MS + ms) for ms in (100, 800, 901)]
    assert [signal is not None for signal in later] == [False, False, True]


@pytest.mark.parametrize(
    "conditions",
    [
        None,
        {"is_news": False},
        {"is_judged": False},
        {"ctx_age_ms": None},
        {"threshold_bps": None},
    ],
    ids=["of 0.1.0", "no news", "not judged", "no ctx", "no threshold"],
)
def test_an_entry_that_may_not_fire_makes_no_signal_and_spends_no_side(conditions: dict[str, None] | None) -> None:
    detector, entry = Detector(Rules()), news(dislocated(Side.BUY))
    assert entry.conditions is not None
    changed = None if conditions is None else replace(entry.conditions, **conditions)
    assert detector.observe(COIN, replace(entry, conditions=changed)) is None
    assert detector.memory(COIN).fired == {}
    assert detector.observe(COIN, entry) is not None


def test_the_threshold_and_fee_in_force_then_decide_not_those_of_now() -> None:
    entry = news(dislocated(Side.BUY), rules=Rules(min_edge_bps=3.0), fee_bps=4.0)
    (signal,) = detect(COIN, [entry], rules=Rules(min_edge_bps=99.0))
    assert (signal.threshold_bps, signal.net_edge_bps) == (8.0, pytest.approx(20.0 - 4.0 - 1.0))


def test_the_memory_of_a_keyframe_replaces_that_of_the_detector() -> None:
    detector = Detector(Rules())
    observe(detector, dislocated(Side.BUY))
    spent = Conditions(memory=detector.memory(COIN))
    other = Detector(Rules())
    assert other.observe(COIN, Entry(T0_MS + 5, dislocated(Side.BUY), spent)) is None
    assert other.memory(COIN).fired == {Side.BUY: Fired(T0_MS, 250.0)}
    assert observe(other, dislocated(Side.BUY), at_ms=T0_MS + 60_000) is None


def test_a_memory_that_was_handed_out_does_not_change_any_more() -> None:
    detector = Detector(Rules())
    memory = detector.memory(COIN)
    observe(detector, dislocated(Side.BUY))
    assert memory.fired == {}


# --- laws


@dataclass(slots=True)
class Referee:
    """The laws, written independently of the detector."""

    rules: Rules
    oracle_px: float | None = None
    fired_on_this_oracle: set[Side] = field(default_factory=set)
    fired_at: dict[Side, tuple[int, float]] = field(default_factory=dict)

    def judge(self, entry: Entry, signal: Signal | None) -> None:
        market, at_ms = entry.value, entry.at_ms
        assert isinstance(market, Market)
        if market.oracle_px != self.oracle_px:
            self.oracle_px = market.oracle_px
            # There and back within the millisecond of the signal is no change.
            self.fired_on_this_oracle = {s for s, fired in self.fired_at.items() if fired == (at_ms, self.oracle_px)}
        allowed = [side for side in Side if self._may_fire(side, entry, market)]
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
        self.fired_at[signal.side] = at_ms, market.oracle_px

    def _may_fire(self, side: Side, entry: Entry, market: Market) -> bool:
        at_ms, conditions = entry.at_ms, entry.conditions
        touch_px, threshold_bps = market.touch_px(side), self.rules.threshold_bps(COIN, FEE_BPS)
        fired_at_ms = {side: at_ms for side, (at_ms, _) in self.fired_at.items()}
        return (
            market.oracle_px is not None
            and market.bid_px is not None
            and market.ask_px is not None
            and touch_px is not None
            and market.bid_px < market.ask_px
            and conditions is not None
            and conditions.ctx_age_ms is not None
            and conditions.ctx_age_ms <= self.rules.ctx_max_age_ms
            and reaches(side, touch_px=touch_px, oracle_px=market.oracle_px, threshold_bps=threshold_bps)
            and side not in self.fired_on_this_oracle
            and at_ms - fired_at_ms.get(side, 0) >= self.rules.cooldown_ms
            and at_ms not in fired_at_ms.values()
        )


def run(detector: Detector, entries: Iterable[Entry]) -> list[Signal | None]:
    return [detector.observe(COIN, entry) for entry in entries]


@given(rules=rules, data=st.data())
def test_it_fires_exactly_when_the_laws_allow_it(rules: Rules, data: st.DataObject) -> None:
    referee, entries = Referee(rules), data.draw(updates(rules))
    for entry, signal in zip(entries, run(Detector(rules), entries), strict=True):
        referee.judge(entry, signal)


@given(rules=rules, data=st.data())
def test_no_two_signals_have_the_same_id(rules: Rules, data: st.DataObject) -> None:
    ids = [signal.signal_id for signal in run(Detector(rules), data.draw(updates(rules))) if signal is not None]
    assert len(ids) == len(set(ids))


@given(rules=rules, data=st.data())
def test_a_restart_repeats_nothing(rules: Rules, data: st.DataObject) -> None:
    entries = data.draw(updates(rules))
    restart = data.draw(st.integers(0, len(entries)))
    fired = [signal for signal in run(Detector(rules), entries[:restart]) if signal is not None]
    resumed = Detector(rules)
    resumed.resume(fired)
    last = {signal.side: signal for signal in fired}
    for signal in run(resumed, entries[restart:]):
        if signal is None:
            continue
        assert signal.signal_id not in {earlier.signal_id for earlier in fired}
        if signal.side in last:
            assert signal.timestamp_ms - last[signal.side].timestamp_ms >= rules.cooldown_ms
        last[signal.side] = signal


@given(rules=rules, data=st.data())
def test_a_restart_is_no_other_than_going_on(rules: Rules, data: st.DataObject) -> None:
    entries = data.draw(updates(rules))
    restart = data.draw(st.integers(0, len(entries)))
    whole = run(Detector(rules), entries)
    resumed = Detector(rules)
    resumed.resume(signal for signal in whole[:restart] if signal is not None)
    assert run(resumed, entries[restart:]) == whole[restart:]


@given(rules=rules, side=st.sampled_from(Side), waits_ms=st.lists(st.integers(0, 60_000), max_size=5))
def test_after_a_restart_the_oracle_that_fired_is_still_spent(rules: Rules, side: Side, waits_ms: list[int]) -> None:
    first = observe(Detector(rules), dislocated(side, oracle_px=100.0))
    resumed = Detector(rules)
    resumed.resume([] if first is None else [first])
    for wait_ms in waits_ms:
        again = observe(resumed, dislocated(side, oracle_px=100.0), at_ms=T0_MS + wait_ms)
        assert first is None or again is None or again.side is not first.side


@given(rules=rules, data=st.data())
def test_detection_over_the_tape_makes_the_signals_that_the_feed_made(rules: Rules, data: st.DataObject) -> None:
    tape, signals = written_by_a_feed(data.draw(steps(rules)), rules)
    assert run(Detector(rules), tape) == signals


@given(rules=rules, data=st.data())
def test_detection_from_any_keyframe_on_equals_detection_over_the_whole_tape(rules: Rules, data: st.DataObject) -> None:
    tape, signals = written_by_a_feed(data.draw(steps(rules)), rules)
    for index in keyframes(tape):
        assert run(Detector(rules), tape[index:]) == signals[index:]
        assert list(detect(COIN, tape[index:], rules=rules)) == [signal for signal in signals[index:] if signal]


@given(rules=rules, data=st.data())
def test_a_state_that_is_no_news_never_makes_a_signal(rules: Rules, data: st.DataObject) -> None:
    tape, _ = written_by_a_feed(data.draw(steps(rules)), rules)
    detector = Detector(rules)
    for entry in tape:
        signal = detector.observe(COIN, entry)
        if isinstance(entry.value, Gap) or entry.conditions is None or not entry.conditions.is_news:
            assert signal is None
    repeated = [replace(e, conditions=e.conditions and replace(e.conditions, is_news=False)) for e in tape]
    assert list(detect(COIN, repeated, rules=rules)) == []


def keyframes(tape: Sequence[Entry]) -> list[int]:
    return [index for index, e in enumerate(tape) if e.conditions is not None and e.conditions.memory is not None]
