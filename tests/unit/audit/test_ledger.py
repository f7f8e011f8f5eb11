"""The ledger of signals and open captures, compared with dictionaries."""

from hypothesis import given
from hypothesis import strategies as st

from hip3_tasks.audit.ledger import Ledger
from tests.support.factories import T0_MS, a_signal


@given(
    ids=st.lists(st.tuples(st.sampled_from(["xyz:A", "xyz:B", "io:A"]), st.integers(0, 20)), max_size=30),
    data=st.data(),
)
def test_a_ledger_answers_as_a_dictionary_of_signals_does(ids: list[tuple[str, int]], data: st.DataObject) -> None:
    ledger, expected = Ledger(), {}
    for line, (coin, number) in enumerate(ids, 1):
        signal = a_signal(coin, at_ms=T0_MS + number, offsets_ms=(1000, 2000)[: 1 + number % 2])
        assert ledger.add(signal, line=line) is (signal.signal_id not in expected)
        expected.setdefault(signal.signal_id, (signal, line))
    open_ = {(signal.signal_id, offset_ms) for signal, _ in expected.values() for offset_ms in signal.offsets_ms}
    for signal_id, offset_ms in data.draw(st.lists(st.sampled_from(sorted(open_)))) if open_ else []:
        kept = ledger.find(signal_id)
        assert kept is not None
        assert ledger.settle(kept, offset_ms) is ((signal_id, offset_ms) in open_)
        open_.discard((signal_id, offset_ms))
    assert {(capture.signal_id, capture.offset_ms) for capture, _ in ledger.open()} == open_
    for signal_id, (signal, line) in expected.items():
        kept = ledger.find(signal_id)
        assert kept is not None
        assert (kept.oracle_px, kept.offsets_ms, kept.line) == (signal.oracle_px, signal.offsets_ms, line)
