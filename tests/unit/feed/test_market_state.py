"""The state of a market follows its frames; repeated ones are put down rarely, and are no news."""

from dataclasses import dataclass, field

from feed.market_state import MarketState
from feed.wire import Bbo, Ctx, Level
from feed.witness import MarketWitness
from hip3_tasks.domain.conditions import Trigger
from hip3_tasks.domain.detector import Detector, Rules
from hip3_tasks.domain.market import Market
from hip3_tasks.domain.records import Signal
from tests.support.factories import T0_MS, a_market, a_signal
from tests.support.tapes import news

BBO = Bbo("xyz:TSLA", 900, Level(99.0, 1.0), Level(101.0, 2.0))
CTX = Ctx("xyz:TSLA", 100.0, 100.5)


@dataclass
class Heard:
    """A market and what its socket brings."""

    state: MarketState = field(default_factory=lambda: MarketState("xyz:TSLA", 0.9, Rules()))
    witness: MarketWitness = field(default_factory=MarketWitness)

    def hear(self, frame: Bbo | Ctx, at_ms: int) -> tuple[Market, bool] | None:
        """The state to be put down, and whether it is news."""
        if isinstance(frame, Bbo):
            self.witness.hear_bbo(frame, at_ms)
        else:
            self.witness.hear_ctx(frame, at_ms)
            self.state.note_oracle(frame.oracle_px, at_ms)
        if self.witness.objection is not None:
            return None
        trigger = Trigger.BBO if isinstance(frame, Bbo) else Trigger.CTX
        update = self.state.update(self.witness, at_ms, trigger, is_judged=True)
        return None if update is None else (update.market, update.conditions.is_news)

    def apply(self, frame: Bbo | Ctx, at_ms: int) -> Market | None:
        """The state to be put down, if it is news."""
        update = self.hear(frame, at_ms)
        return update[0] if update is not None and update[1] else None


def state() -> Heard:
    return Heard()


def test_a_market_is_unknown_until_both_a_bbo_and_a_ctx_have_been_heard() -> None:
    market = state()
    assert market.apply(CTX, 1000) is None
    known = market.apply(BBO, 1100)
    assert known is not None
    assert (known.bid_px, known.ask_px, known.oracle_px, known.mark_px) == (99.0, 101.0, 100.0, 100.5)
    assert (known.bbo_at_ms, known.oracle_at_ms, known.oracle_updates) == (1100, 1000, 1)


def test_a_repeated_frame_changes_nothing_but_the_heartbeat() -> None:
    market = state()
    market.apply(BBO, 1000)
    market.apply(CTX, 1000)
    assert market.apply(CTX, 2000) is None and market.hear(BBO, 2100) is None
    assert market.witness.ctx_at_ms == 2000


def test_a_repeated_context_is_put_down_once_a_second_on_average_and_is_no_news() -> None:
    market = state()
    market.apply(BBO, 1000)
    market.apply(CTX, 1000)
    put_down = [update for at_ms in range(1992, 101_000, 992) if (update := market.hear(CTX, at_ms)) is not None]
    assert len(put_down) in (99, 100)
    assert not any(is_news for _, is_news in put_down)
    often = [update for at_ms in range(101_000, 111_000, 50) if (update := market.hear(CTX, at_ms)) is not None]
    assert len(often) in (10, 11)


def test_a_book_that_is_no_longer_doubted_is_news() -> None:
    market = state()
    market.apply(BBO, 1000)
    sampled = CTX._replace(mid_px=100.0)
    market.apply(sampled, 1000)
    assert market.apply(sampled._replace(mid_px=110.0), 2000) is None
    assert market.witness.check.contradictions == 1
    assert market.apply(sampled._replace(mid_px=100.5), 3000) is not None


def test_an_oracle_that_comes_back_to_its_value_has_changed_twice() -> None:
    market = state()
    market.apply(BBO, 1000)
    market.apply(CTX, 1000)
    market.apply(Ctx("xyz:TSLA", 102.0, 100.5), 2000)
    back = market.apply(CTX, 3000)
    assert back is not None and (back.oracle_updates, back.oracle_at_ms) == (3, 3000)


def test_a_new_mark_is_a_change_of_state_but_not_of_the_oracle() -> None:
    market = state()
    market.apply(BBO, 1000)
    market.apply(CTX, 1000)
    changed = market.apply(Ctx("xyz:TSLA", 100.0, 100.75), 2000)
    assert changed is not None and (changed.mark_px, changed.oracle_updates, changed.oracle_at_ms) == (100.75, 1, 1000)


def test_after_a_gap_both_channels_must_be_received_again() -> None:
    market = state()
    market.apply(BBO, 1000)
    market.apply(CTX, 1000)
    market.state.lose("lost", 2000)
    market.witness.renew()
    assert (market.state.market, market.state.cause, market.state.unknown_since_ms) == (None, "lost", 2000)
    assert market.apply(BBO, 5000) is None
    again = market.apply(CTX, 5100)
    assert again is not None and (again.bbo_at_ms, again.oracle_at_ms) == (5000, 1000)


def test_counting_goes_on_where_the_tape_left_off() -> None:
    market = state()
    market.state.resume(a_market(oracle_px=100.0, oracle_updates=41, oracle_at_ms=500))
    market.apply(BBO, 1000)
    same = market.apply(CTX, 1000)
    assert same is not None and (same.oracle_updates, same.oracle_at_ms) == (41, 500)
    moved = market.apply(Ctx("xyz:TSLA", 101.0, 100.5), 2000)
    assert moved is not None and moved.oracle_updates == 42


SIGNAL = a_signal(at_ms=T0_MS, market=a_market(oracle_px=250.0, oracle_at_ms=T0_MS - 900))
THROUGH = Bbo("xyz:TSLA", 900, Level(249.0, 3.0), Level(249.5, 2.0))
SAME_ORACLE = Ctx("xyz:TSLA", 250.0, 249.75)


def restarted(last: Market | None, *frames: Ctx, at_ms: int = T0_MS + 60_000) -> list[Signal]:
    """The signals of a feed that starts at `at_ms`, after SIGNAL and with the last state on the tape."""
    market, detector = state(), Detector(Rules())
    detector.resume([SIGNAL])
    market.state.resume(last, SIGNAL)
    signals = []
    for number, frame in enumerate([THROUGH, *frames]):
        changed = market.apply(frame, at_ms + number * 1000)
        if changed is not None:
            signals.append(detector.observe("xyz:TSLA", news(changed, at_ms=at_ms + number * 1000)))
    return [signal for signal in signals if signal is not None]


def test_a_lost_tape_does_not_fire_again_on_the_oracle_of_the_last_signal() -> None:
    assert restarted(None, SAME_ORACLE) == []
    assert len(restarted(None, SAME_ORACLE, Ctx("xyz:TSLA", 251.0, None))) == 1
    assert len(restarted(None, Ctx("xyz:TSLA", 251.0, None))) == 1


def test_a_tape_that_ends_before_the_last_signal_does_not_fire_again_on_its_oracle() -> None:
    older = a_market(oracle_px=240.0, oracle_at_ms=T0_MS - 5000)
    assert restarted(older, SAME_ORACLE) == []


def test_an_oracle_that_went_away_and_came_back_over_a_restart_is_armed_again() -> None:
    away = a_market(oracle_px=None, oracle_at_ms=T0_MS + 3000)
    (again,) = restarted(away, SAME_ORACLE)
    assert (again.oracle_px, again.side) == (SIGNAL.oracle_px, SIGNAL.side)


def test_an_oracle_that_changed_and_came_back_before_a_restart_is_armed_still() -> None:
    back = a_market(oracle_px=250.0, oracle_at_ms=T0_MS + 3000)
    assert len(restarted(back, SAME_ORACLE)) == 1


def test_the_oracle_of_a_signal_on_the_tape_is_spent_over_a_restart() -> None:
    on_tape = a_market(oracle_px=250.0, oracle_at_ms=T0_MS - 900)
    assert restarted(on_tape, SAME_ORACLE) == []
