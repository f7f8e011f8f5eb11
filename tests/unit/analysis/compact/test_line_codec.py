"""A line that was a row is the line it was, byte for byte, also through Parquet."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hip3_tasks.analysis.compact import line_codec as rows_module
from hip3_tasks.analysis.compact.line_codec import first_unlike, lines_of, rows_of, slices_of
from hip3_tasks.analysis.loading.columns import columns_of
from hip3_tasks.domain.records import Followup, Record
from tests.support.factories import T0_MS, a_followup, a_missed, a_signal
from tests.support.strategies import followups, missed, signals

SCHEMA = columns_of(Followup)
ODD = (-0.0, 0.0, 1e-07, -1e-07, 1e16, -1e22, 5e-324, 1.7976931348623157e308, 0.1 + 0.2, 123456789012345680.0)


def written(records: Sequence[Record], path: Path) -> list[bytes]:
    """The lines that Parquet of these records gives back, in order."""
    frame = rows_of(b"".join(record.line() for record in records), columns_of(type(records[0])))
    frame.write_parquet(path, compression="zstd")
    return [line + b"\n" for rows in slices_of(path) for line in lines_of(rows)]


@given(records=st.lists(signals, min_size=1) | st.lists(followups, min_size=1) | st.lists(missed, min_size=1))
@example(records=[a_followup(edge_change_bps=odd, markout_bps=odd) for odd in ODD])
@example(records=[a_followup(bid_px=None, oracle_updates=None, markout_bps=None), a_followup()])
@example(records=[a_missed(detail=text) for text in ('"q"', "\\", "línea\u2028", "😀", "\x00\x1b", "", '{"a":1e5}')])
@example(records=[a_signal(offsets_ms=()), a_signal(offsets_ms=(1,)), a_signal(offsets_ms=(1, 2, 3))])
def test_any_record_is_given_back(records: list[Record]) -> None:
    with TemporaryDirectory() as folder:
        assert written(records, Path(folder) / "rows.parquet") == [record.line() for record in records]


@pytest.mark.parametrize("zeros", [[0.0, -0.0], [0.0] * 900 + [-0.0], [-0.0] * 900 + [0.0], [-0.0] * 1_000])
def test_minus_zero_stays_apart_from_zero_where_values_repeat_so_that_they_are_numbered(
    tmp_path: Path, zeros: list[float]
) -> None:
    records = [a_followup(a_signal(at_ms=T0_MS + at), markout_bps=zero) for at, zero in enumerate(zeros * 30)]
    assert written(records, tmp_path / "rows.parquet") == [record.line() for record in records]


def test_rows_are_read_some_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "SLICE_ROWS", 7)
    pl.DataFrame({"a": range(30)}).write_parquet(tmp_path / "rows.parquet", row_group_size=10)
    assert [len(rows) for rows in slices_of(tmp_path / "rows.parquet")] == [7, 7, 7, 7, 2]


LINES = [a_followup(a_signal(at_ms=T0_MS + at)).line()[:-1] for at in range(40)]
UNLIKE = {
    "a field of a later version": LINES[20][:-1] + b',"new":1}',
    "a field less": LINES[20].replace(b',"oracle_updates":1', b""),
    "another order": b'{"side":"buy",' + LINES[20].replace(b'"side":"buy",', b"")[1:],
    "room between": LINES[20].replace(b":", b": "),
    "a price without a point": LINES[20].replace(b'"t0_oracle_px":250.0', b'"t0_oracle_px":250'),
    "a number written longer": LINES[20].replace(b'"t0_oracle_px":250.0', b'"t0_oracle_px":250.00'),
    "an escaped letter": LINES[20].replace(b"TSLA", b"\\u0054SLA", 1),
    "a field twice": LINES[20].replace(b'"side":"buy"', b'"side":"buy","side":"buy"'),
    "two in one": LINES[20] + LINES[21],
    "half of one": LINES[20][:90],
    "none": b"",
    "garbage": b"\xff\x00{",
}


@pytest.mark.parametrize("what", UNLIKE)
def test_the_first_line_that_would_be_given_back_otherwise_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    assert UNLIKE[what] != LINES[20]
    monkeypatch.setattr(rows_module, "BLOCK_BYTES", 8_000)
    path = tmp_path / "lines"
    for lines, expected in (LINES, None), ([*LINES[:20], UNLIKE[what], *LINES[21:], b"{}"], (21, UNLIKE[what])):
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        with path.open("rb") as file:
            assert first_unlike(file.fileno(), path.stat().st_size, SCHEMA) == expected
