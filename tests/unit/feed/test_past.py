"""A feed that starts makes the signals that the one before did not bring to its file, and none of the others."""

from collections.abc import Sequence
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from feed.past import Past, TapeFound, resume
from hip3_tasks.domain.capture import signal_id_of
from hip3_tasks.domain.detector import Detector, Rules
from hip3_tasks.domain.market import Entry
from hip3_tasks.domain.records import RulesInForce, Signal
from hip3_tasks.store.tape_writer import Marks, TapeEnd
from tests.support.factories import T0_MS, a_market
from tests.support.tapes import COIN, Step, news, rules, steps, written_by_a_feed

OTHER = "xyz:AAPL"
RULES = Rules()


def tape_found(entries: dict[str, list[Entry]], *, detected_ms: int, watermark_ms: int) -> TapeFound:
    """The part of these tapes that a new feed reads."""
    undetected = {
        coin: [entry for entry in tape if detected_ms < entry.at_ms <= watermark_ms] for coin, tape in entries.items()
    }
    ends = {coin: TapeEnd(tape[-1].at_ms, None) for coin, tape in entries.items() if tape}
    return TapeFound(Marks(watermark_ms, detected_ms), ends, undetected)


def market(oracle_px: float, *, at_ms: int) -> Entry:
    """A buy signal on an oracle that has just changed."""
    value = a_market(at_ms=at_ms, ask_px=oracle_px - 1, bid_px=oracle_px - 2, oracle_px=oracle_px, oracle_at_ms=at_ms)
    return news(value, at_ms=at_ms)


def resumed(entries: Sequence[Entry], on_file: Sequence[Signal], *, detected_ms: int, watermark_ms: int) -> Past:
    tape = tape_found({COIN: list(entries)}, detected_ms=detected_ms, watermark_ms=watermark_ms)
    return resume(Detector(RULES), tape, on_file)


TAPE = [market(250.0 + number, at_ms=T0_MS + number * 1000) for number in range(6)]
SIGNALS = [signal for signal in map(Detector(RULES).observe, [COIN] * 6, TAPE) if signal is not None]


def test_what_stands_on_the_tape_and_not_on_file_is_made_again_with_the_same_ids() -> None:
    with capture_logs() as logs:
        past = resumed(TAPE, SIGNALS[:2], detected_ms=T0_MS + 1000, watermark_ms=T0_MS + 5000)
    assert past.signals_not_on_file == SIGNALS[2:]
    assert past.last_signals == {COIN: SIGNALS[5]}
    assert past.watermark_ms == T0_MS + 5000
    assert logs == [{"event": "signals_detected_again", "signals": 4, "log_level": "warning"}]


def test_what_is_on_file_is_not_made_again_even_after_the_second_mark() -> None:
    on_file = [SIGNALS[0], SIGNALS[2], SIGNALS[4]]
    past = resumed(TAPE, on_file, detected_ms=T0_MS, watermark_ms=T0_MS + 5000)
    assert past.signals_not_on_file == [SIGNALS[1], SIGNALS[3], SIGNALS[5]]
    past = resumed(TAPE, SIGNALS, detected_ms=T0_MS, watermark_ms=T0_MS + 5000)
    assert past.signals_not_on_file == []


def test_what_is_made_again_has_the_rules_of_its_time() -> None:
    then = [(T0_MS, RULES), (T0_MS + 4000, replace(RULES, offsets_ms=(200,)))]
    noted = [RulesInForce(from_ms=from_ms, **asdict(rules)) for from_ms, rules in then]
    own = replace(RULES, offsets_ms=(700,))
    tape = tape_found({COIN: TAPE}, detected_ms=T0_MS + 1000, watermark_ms=T0_MS + 5000)
    past = resume(Detector(own), tape, SIGNALS[:2], noted=noted)
    assert [signal.offsets_ms for signal in past.signals_not_on_file] == [RULES.offsets_ms] * 2 + [(200,)] * 2
    assert past.detector.rules == own


def test_what_is_beyond_the_marks_is_made_by_neither() -> None:
    past = resumed(TAPE, [], detected_ms=T0_MS + 2000, watermark_ms=T0_MS + 4000)
    assert past.signals_not_on_file == SIGNALS[3:5]
    assert resumed(TAPE, [], detected_ms=T0_MS + 5000, watermark_ms=T0_MS + 5000).signals_not_on_file == []


def test_nothing_is_made_of_a_tape_of_0_1_0() -> None:
    tape = TapeFound(Marks(T0_MS + 5000, None), {COIN: TapeEnd(T0_MS + 5000, None)}, {})
    past = resume(Detector(RULES), tape, SIGNALS[:1])
    assert (past.signals_not_on_file, past.last_signals) == ([], {COIN: SIGNALS[0]})


def test_nothing_is_made_of_an_empty_server() -> None:
    past = resume(Detector(RULES), TapeFound(Marks(None, None), {}, {}), [])
    assert (past.watermark_ms, past.signals_not_on_file, past.last_signals) == (0, [], {})


@pytest.mark.parametrize(
    ("watermark_ms", "ends_ms", "signals", "last_ms"),
    [
        (T0_MS + 500, (T0_MS + 3, T0_MS + 8), 0, T0_MS + 500),
        (T0_MS + 5, (T0_MS + 3, T0_MS + 8), 0, T0_MS + 8),
        (T0_MS + 5, (T0_MS + 3, T0_MS + 8), 2, T0_MS + 1000),
        (None, (), 1, T0_MS),
        (None, (), 0, 0),
    ],
    ids=["watermark", "end of a tape", "signal", "signal without a tape", "nothing"],
)
def test_the_clock_of_a_new_feed_begins_after_all_that_the_one_before_wrote(
    watermark_ms: int | None, ends_ms: Sequence[int], signals: int, last_ms: int
) -> None:
    ends = {f"xyz:A{number}": TapeEnd(at_ms, None) for number, at_ms in enumerate(ends_ms)}
    past = resume(Detector(RULES), TapeFound(Marks(watermark_ms, None), ends, {}), SIGNALS[:signals])
    assert past.last_ms == last_ms


def test_signals_of_several_markets_come_oldest_first() -> None:
    tapes = {COIN: TAPE[1::2], OTHER: TAPE[::2]}
    past = resume(Detector(RULES), tape_found(tapes, detected_ms=0, watermark_ms=T0_MS + 5000), [])
    ids = [signal_id_of((OTHER, COIN)[number % 2], T0_MS + number * 1000) for number in range(6)]
    assert [signal.signal_id for signal in past.signals_not_on_file] == ids
    assert {coin: signal.timestamp_ms for coin, signal in past.last_signals.items()} == {
        OTHER: T0_MS + 4000,
        COIN: T0_MS + 5000,
    }


def test_signals_on_file_out_of_order_count_in_the_order_of_time() -> None:
    past = resumed(TAPE, [SIGNALS[2], SIGNALS[0], SIGNALS[1]], detected_ms=T0_MS + 2000, watermark_ms=T0_MS + 2500)
    assert past.last_signals == {COIN: SIGNALS[2]}
    assert past.detector.observe(COIN, replace(TAPE[2], at_ms=T0_MS + 9000)) is None


@given(rules=rules, data=st.data())
def test_a_death_at_any_instant_loses_repeats_and_invents_no_signal(rules: Rules, data: st.DataObject) -> None:
    written: list[Step] = data.draw(steps(rules))
    tape, signals = written_by_a_feed(written, rules)
    made = [signal for signal in signals if signal is not None]
    instants = [T0_MS - 1, *(entry.at_ms for entry in tape)]
    detected_ms, watermark_ms = sorted((data.draw(st.sampled_from(instants)), data.draw(st.sampled_from(instants))))
    sealed = [signal for signal in made if signal.timestamp_ms <= watermark_ms]
    on_file = [s for s in sealed if s.timestamp_ms <= detected_ms or data.draw(st.booleans())]
    on_server = {COIN: [entry for entry in tape if entry.at_ms <= watermark_ms]}

    past = resume(Detector(rules), tape_found(on_server, detected_ms=detected_ms, watermark_ms=watermark_ms), on_file)

    assert sorted([*on_file, *past.signals_not_on_file], key=lambda signal: signal.timestamp_ms) == sealed
    # What the next feed detects is what the one before would have.
    later = [entry for entry in tape if entry.at_ms > watermark_ms]
    signals_later = [signal for entry in later if (signal := past.detector.observe(COIN, entry)) is not None]
    assert signals_later == [signal for signal in made if signal.timestamp_ms > watermark_ms]
