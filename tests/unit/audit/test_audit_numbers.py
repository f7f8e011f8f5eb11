"""An audit computes the numbers of each line again, and names those that differ."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hip3_tasks.audit.findings import Fault
from hip3_tasks.domain.edge import Side
from hip3_tasks.domain.market import Entry
from hip3_tasks.domain.measure import measure
from hip3_tasks.domain.records import Signal
from tests.support.audits import SIGNAL, audited, only_fault, outcomes, write
from tests.support.factories import T0_MS, a_capture, a_followup, a_market, a_missed, a_signal


def numbers_of_a_signal() -> list[Any]:
    return [
        pytest.param(SIGNAL.model_copy(update=changes), what, id=" ".join(changes))
        for changes, what in [
            ({"raw_edge_bps": 21.0}, "raw_edge_bps is 21.0, expected 20.0"),
            ({"oracle_px": 251.0}, "raw_edge_bps is 20.0, expected 59.76"),
            ({"best_px": 249.0}, "best_px is 249.0, expected 249.5"),
            ({"best_size": 3.0}, "best_size is 3.0, expected 2.0"),
            ({"ask_px": None}, "best_px is 249.5, expected None"),
            ({"side": Side.SELL}, "best_px is 249.5, expected 249.0"),
            ({"taker_fee_bps": 9.5}, "net_edge_bps is 10.0, expected 9.5"),
            ({"net_edge_bps": 20.1}, "net_edge_bps 20.1 is more than raw_edge_bps 20.0"),
        ]
    ]


@pytest.mark.parametrize(("signal", "what"), numbers_of_a_signal())
def test_a_number_of_a_signal_that_does_not_follow_from_its_prices_is_found(
    tmp_path: Path, signal: Signal, what: str
) -> None:
    write(tmp_path, "signals", [signal])
    result = audited(tmp_path, at_ms=T0_MS)
    assert result.total.faults == {Fault.WRONG_NUMBER: 1}
    assert what in only_fault(result, Fault.WRONG_NUMBER)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"raw_edge_bps": 9.0}, "raw_edge_bps is 9.0, expected 10.0"),
        ({"edge_change_bps": 10.0}, "edge_change_bps is 10.0, expected -10.0"),
        ({"oracle_moved_bps": 0.1}, "oracle_moved_bps is 0.1, expected 0.0"),
        ({"market_moved_bps": -10.0}, "market_moved_bps is -10.0, expected 10.02"),
        ({"markout_bps": -10.0}, "markout_bps is -10.0, expected 10.03"),
        ({"markout_bps": None}, "markout_bps is None, expected 10.03"),
        ({"best_px": 249.25}, "best_px is 249.25, expected 249.75"),
        ({"best_size": 3.0}, "best_size is 3.0, expected 2.0"),
        ({"t0_oracle_px": 249.9}, "t0_oracle_px is 249.9, expected 250.0"),
        ({"t0_best_px": 249.6}, "t0_best_px is 249.6, expected 249.5"),
        ({"t0_raw_edge_bps": 20.1}, "t0_raw_edge_bps is 20.1, expected 20.0"),
        ({"due_at_ms": T0_MS + 1001}, f"due_at_ms is {T0_MS + 1001}, expected {T0_MS + 1000}"),
        ({"state_at_ms": T0_MS + 1001}, f"state_at_ms {T0_MS + 1001} is after due_at_ms {T0_MS + 1000}"),
        ({"side": Side.SELL}, "side is sell, the signal's is buy"),
        ({"market_key": "xyz:AAPL"}, "market_key is xyz:AAPL, the signal's is xyz:TSLA"),
        ({"signal_timestamp_ms": T0_MS + 1}, f"signal_timestamp_ms is {T0_MS + 1}, the signal's is {T0_MS}"),
        ({"oracle_px": 250.1}, "raw_edge_bps is 10.0, expected 13.99"),
    ],
    ids=lambda value: None if isinstance(value, dict) else value.partition(",")[0],
)
def test_a_number_of_a_follow_up_that_does_not_follow_is_found(
    tmp_path: Path, changes: dict[str, Any], what: str
) -> None:
    write(tmp_path, "signals", [SIGNAL])
    write(tmp_path, "followups", [a_followup(**changes), *outcomes()[1:]])
    assert what in only_fault(audited(tmp_path), Fault.WRONG_NUMBER)


def test_a_missed_line_that_contradicts_its_signal_is_found(tmp_path: Path) -> None:
    write(tmp_path, "signals", [SIGNAL])
    write(tmp_path, "followups", outcomes()[1:])
    write(tmp_path, "missed", [a_missed(due_at_ms=T0_MS, side=Side.SELL)])
    text = only_fault(audited(tmp_path), Fault.WRONG_NUMBER)
    assert "side is sell" in text
    assert "due_at_ms is" in text


@given(
    bid_px=st.floats(0.001, 1e6),
    spread=st.floats(1e-6, 0.5),
    oracle_px=st.floats(0.001, 1e6),
    later=st.tuples(st.floats(0.001, 1e6), st.floats(0.001, 1e6), st.floats(0.001, 1e6)),
    side=st.sampled_from(Side),
)
def test_numbers_computed_by_the_code_are_never_faults(
    tmp_path_factory: pytest.TempPathFactory,
    bid_px: float,
    spread: float,
    oracle_px: float,
    later: tuple[float, float, float],
    side: Side,
) -> None:
    market = a_market(bid_px=bid_px, ask_px=bid_px * (1 + spread), oracle_px=oracle_px)
    signal = a_signal(side=side, market=market, offsets_ms=(1000,))
    due = Entry(T0_MS + 990, a_market(bid_px=later[0], ask_px=later[1], oracle_px=later[2]))
    record = measure(signal, a_capture(signal), due=due, t0=None, at_ms=T0_MS + 1003)
    data_dir = tmp_path_factory.mktemp("audit")
    write(data_dir, "signals", [signal])
    write(data_dir, "followups", [record])
    assert audited(data_dir).ok
