"""The judge of signals counts what is lost, twice and invented, by the venue's moves and by the tape."""

import math
from collections.abc import Sequence
from dataclasses import replace

from hip3_tasks.domain.conditions import Conditions
from hip3_tasks.domain.detector import Rules
from hip3_tasks.domain.edge import Side
from hip3_tasks.domain.market import Entry, Gap, Market
from hip3_tasks.domain.records import Signal
from tests.faults.row import Result
from tests.faults.signals import Known, judge_signals
from tests.faults.venue import CALM_PX, Move
from tests.support.factories import T0_MS
from tests.support.tapes import detect

COIN = "xyz:C000"
RULES = Rules()
MOVES = [
    Move(COIN, side, px, T0_MS + second * 1000, T0_MS + second * 1000 + 500)
    for second, (side, px) in enumerate([(Side.BUY, 100.3), (Side.SELL, 99.7), (Side.BUY, 100.3001), (Side.SELL, 99.6)])
]


def a_state(oracle_px: float, at_ms: int) -> Entry:
    market = Market(
        bid_px=99.985,
        bid_sz=1.0,
        ask_px=100.005,
        ask_sz=1.0,
        oracle_px=oracle_px,
        mark_px=oracle_px,
        bbo_time_ms=T0_MS,
        bbo_at_ms=T0_MS - 10,
        oracle_at_ms=at_ms,
        oracle_updates=1,
    )
    judged = Conditions(is_news=True, is_judged=True, ctx_age_ms=0, taker_fee_bps=1.0, threshold_bps=7.0)
    return Entry(at_ms, market, judged)


def a_tape(moves: Sequence[Move] = MOVES) -> list[Entry]:
    """Each move as a feed saw it 3 ms later, and its return to calm."""
    states = [[(move.oracle_px, move.sent_at_ms), (CALM_PX, move.until_ms)] for move in moves]
    return [a_state(px, int(at_ms) + 3) for pair in states for px, at_ms in pair]


def counts(
    signals: Sequence[Signal], tape: Sequence[Entry], *, moves: Sequence[Move] = MOVES, is_certain: bool = True
) -> tuple[int, ...]:
    known = Known(moves=moves, tapes={COIN: tape}, rules=RULES, is_certain=lambda coin, at_ms: is_certain, clock_ms=50)
    result = Result()
    judge_signals(signals, known, result, when="then")
    faults = result.signals_lost, result.signals_twice, result.signals_invented
    assert result.is_clean == (not any(faults)) == (not result.broken)
    return (result.signals_wanted or 0, *(number or 0 for number in faults))


SIGNALS = list(detect(COIN, a_tape(), rules=RULES))


def test_a_file_with_one_signal_for_each_move_is_clean() -> None:
    assert len(SIGNALS) == len(MOVES)
    assert counts(SIGNALS, a_tape()) == (4, 0, 0, 0)


def test_a_signal_that_the_file_lacks_is_lost_once() -> None:
    assert counts(SIGNALS[1:], a_tape()) == (4, 1, 0, 0)


def test_a_move_that_no_feed_was_certain_to_see_is_wanted_if_the_tape_has_it() -> None:
    assert counts(SIGNALS[2:], a_tape(MOVES[1:]), is_certain=False) == (3, 1, 0, 0)


def test_a_move_that_stands_neither_on_tape_nor_in_file_is_lost_if_a_feed_was_detecting() -> None:
    assert counts(SIGNALS[1:], a_tape(MOVES[1:])) == (4, 1, 0, 0)
    assert counts(SIGNALS[1:], a_tape(MOVES[1:]), is_certain=False) == (3, 0, 0, 0)


def test_a_repeated_line_and_a_second_signal_of_a_move_are_there_twice() -> None:
    assert counts([*SIGNALS, SIGNALS[2]], a_tape()) == (4, 0, 1, 0)
    again = replace_time(SIGNALS[3], SIGNALS[3].timestamp_ms + 100)
    assert counts([*SIGNALS, again], a_tape()) == (4, 0, 1, 1)  # the tape does not make it either


def test_a_signal_that_neither_venue_nor_tape_made_is_invented_once() -> None:
    other = SIGNALS[0].model_copy(update={"oracle_px": 101.0, "signal_id": f"{COIN}-x"})
    assert counts([*SIGNALS, other], a_tape()) == (4, 0, 0, 1)


def test_a_signal_before_its_move_is_invented() -> None:
    late = [move._replace(sent_at_ms=move.sent_at_ms + 200) for move in MOVES[:1]]
    assert counts(SIGNALS, a_tape(), moves=[*late, *MOVES[1:]])[3] == 1


def test_a_signal_before_the_tape_begins_is_taken_as_given() -> None:
    assert counts(SIGNALS, a_tape(MOVES[2:])) == (4, 0, 0, 0)


def test_a_signal_in_a_hole_of_lost_data_is_taken_as_given() -> None:
    tape = [Entry(T0_MS - 1, Gap("lost: Redis lost its data")), *a_tape(MOVES[2:])]
    assert counts(SIGNALS, tape) == (4, 0, 0, 0)


def test_a_signal_on_an_entry_of_an_earlier_version_is_taken_as_given() -> None:
    old = [replace(entry, conditions=None) for entry in a_tape(MOVES[:2])]
    assert counts(SIGNALS, [*old, *a_tape(MOVES[2:])]) == (4, 0, 0, 0)
    assert counts(SIGNALS[2:], [*old, *a_tape(MOVES[2:])], is_certain=False) == (2, 0, 0, 0)


def test_a_move_within_the_cooldown_of_its_side_needs_no_signal() -> None:
    soon = Move(COIN, Side.BUY, 100.3002, MOVES[0].sent_at_ms + 300, math.inf)
    assert counts(SIGNALS, a_tape(), moves=[*MOVES, soon]) == (4, 0, 0, 0)


def replace_time(signal: Signal, at_ms: int) -> Signal:
    return signal.model_copy(update={"timestamp_ms": at_ms, "signal_id": f"{signal.signal_id}-again"})
