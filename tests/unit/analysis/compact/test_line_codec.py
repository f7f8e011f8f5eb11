"""A line converted to a row and back is the same line, byte for byte, also through Parquet."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hip3_tasks.analysis.compact import line_codec
from hip3_tasks.analysis.compact.line_codec import first_altered, lines_of, read_slices, rows_of
from hip3_tasks.analysis.loading.columns import columns_of
from hip3_tasks.domain.records import Followup, Record
from tests.support.factories import T0_MS, a_followup, a_missed, a_signal
from tests.support.strategies import followups, missed, signals

SCHEMA = columns_of(Followup)
ODD = (-0.0, 0.0, 1e-07, -1e-07, 1e16, -1e22, 5e-324, 1.7976931348623157e308, 0.1 + 0.2, 123456789012345680.0)


def through_parquet(records: Sequence[Record], path: Path) -> list[bytes]:
    """The lines of these records, converted to Parquet and back, in order."""
    frame = rows_of(b"".join(record.line() for record in records), columns_of(type(records[0])))
    frame.write_parquet(path, compression="zstd")
    return [line + b"\n" for rows in read_slices(path) for line in lines_of(rows)]


@given(records=st.lists(signals, min_size=1) | st.lists(followups, min_size=1) | st.lists(missed, min_size=1))
@example(records=[a_followup(edge_change_bps=odd, markout_bps=odd) for odd in ODD])
@example(records=[a_followup(bid_px=None, oracle_updates=None, markout_bps=None), a_followup()])
@example(records=[a_missed(detail=text) for text in ('"q"', "\\", "línea\u2028", "😀", "\x00\x1b", "", '{"a":1e5}')])
@example(records=[a_signal(offsets_ms=()), a_signal(offsets_ms=(1,)), a_signal(offsets_ms=(1, 2, 3))])
def test_any_record_is_given_back(records: list[Record]) -> None:
    with TemporaryDirectory() as folder:
        assert through_parquet(records, Path(folder) / "rows.parquet") == [record.line() for record in records]


@pytest.mark.parametrize("zeros", [[0.0, -0.0], [0.0] * 900 + [-0.0], [-0.0] * 900 + [0.0], [-0.0] * 1_000])
def test_minus_zero_stays_apart_from_zero_in_dictionary_encoding(tmp_path: Path, zeros: list[float]) -> None:
    records = [a_followup(a_signal(at_ms=T0_MS + ms), markout_bps=zero) for ms, zero in enumerate(zeros * 30)]
    assert through_parquet(records, tmp_path / "rows.parquet") == [record.line() for record in records]


def test_rows_are_read_in_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_codec, "SLICE_ROWS", 7)
    pl.DataFrame({"a": range(30)}).write_parquet(tmp_path / "rows.parquet", row_group_size=10)
    assert [len(rows) for rows in read_slices(tmp_path / "rows.parquet")] == [7, 7, 7, 7, 2]


LINES = [a_followup(a_signal(at_ms=T0_MS + ms)).line()[:-1] for ms in range(40)]
ALTERED = {
    "a field of a later version": LINES[20][:-1] + b',"new":1}',
    "a field less": LINES[20].replace(b',"oracle_updates":1', b""),
    "another order": b'{"side":"buy",' + LINES[20].replace(b'"side":"buy",', b"")[1:],
    "spaces between": LINES[20].replace(b":", b": "),
    "a price without a point": LINES[20].replace(b'"t0_oracle_px":250.0', b'"t0_oracle_px":250'),
    "a number written longer": LINES[20].replace(b'"t0_oracle_px":250.0', b'"t0_oracle_px":250.00'),
    "an escaped letter": LINES[20].replace(b"TSLA", b"\\u0054SLA", 1),
    "a field twice": LINES[20].replace(b'"side":"buy"', b'"side":"buy","side":"buy"'),
    "two lines in one": LINES[20] + LINES[21],
    "half a line": LINES[20][:90],
    "an empty line": b"",
    "garbage": b"\xff\x00{",
}


@pytest.mark.parametrize("change", ALTERED)
def test_the_first_line_that_conversion_alters_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    assert ALTERED[change] != LINES[20]
    monkeypatch.setattr(line_codec, "BLOCK_BYTES", 8_000)
    path = tmp_path / "lines"
    for lines, expected in (LINES, None), ([*LINES[:20], ALTERED[change], *LINES[21:], b"{}"], (21, ALTERED[change])):
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        with path.open("rb") as file:
            assert first_altered(file.fileno(), path.stat().st_size, SCHEMA) == expected
