"""A line converted to a row and back is the same line, byte for byte, also through Parquet."""

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hip3_tasks.analysis.compact import line_codec
from hip3_tasks.analysis.compact.line_codec import (
    LINE_FIELDS,
    columns_for,
    first_altered,
    lines_of,
    read_slices,
    rows_of,
)
from hip3_tasks.domain.records import Followup, Record
from tests.support.factories import T0_MS, a_followup, a_missed, a_signal, released
from tests.support.strategies import followups, missed, signals

ODD = (-0.0, 0.0, 1e-07, -1e-07, 1e16, -1e22, 5e-324, 1.7976931348623157e308, 0.1 + 0.2, 123456789012345680.0)


def through_parquet(records: Sequence[Record], path: Path) -> list[bytes]:
    """The lines of these records, converted to Parquet and back, in order."""
    return lines_through_parquet([record.line() for record in records], type(records[0]), path)


def lines_through_parquet(lines: Sequence[bytes], kind: type[Record], path: Path) -> list[bytes]:
    rows = rows_of(b"".join(lines), kind)
    columns = columns_for(kind, set(rows[LINE_FIELDS]))
    rows.select(columns).write_parquet(path, compression="zstd")
    return [line + b"\n" for rows in read_slices(path) for line in lines_of(rows)]


@given(records=st.lists(signals, min_size=1) | st.lists(followups, min_size=1) | st.lists(missed, min_size=1))
@example(records=[a_followup(edge_change_bps=odd, markout_bps=odd) for odd in ODD])
@example(records=[a_followup(bid_px=None, oracle_updates=None, markout_bps=None), a_followup()])
@example(records=[a_missed(detail=text) for text in ('"q"', "\\", "línea\u2028", "😀", "\x00\x1b", "", '{"a":1e5}')])
@example(records=[a_signal(offsets_ms=()), a_signal(offsets_ms=(1,)), a_signal(offsets_ms=(1, 2, 3))])
def test_any_record_is_given_back(records: list[Record]) -> None:
    with TemporaryDirectory() as folder:
        assert through_parquet(records, Path(folder) / "rows.parquet") == [record.line() for record in records]


@given(
    records=st.lists(signals, min_size=1) | st.lists(followups, min_size=1) | st.lists(missed, min_size=1),
    are_old=st.lists(st.booleans()),
)
@example(records=[a_signal()], are_old=[True])
@example(records=[a_followup(), a_followup()], are_old=[True, False])
@example(records=[a_followup(lag_ms=None), a_followup(detail=',"lag_ms":1')], are_old=[False, True])
def test_lines_of_a_release_and_of_this_version_are_given_back(records: list[Record], are_old: list[bool]) -> None:
    pairs = zip_longest(records, are_old[: len(records)], fillvalue=False)
    lines = [released(record) if is_old else record.line() for record, is_old in pairs]
    with TemporaryDirectory() as folder:
        assert lines_through_parquet(lines, type(records[0]), Path(folder) / "rows.parquet") == lines


@pytest.mark.parametrize(
    ("lines", "columns"),
    [
        ([released(a_followup())], [*Followup.model_fields][:27]),
        ([a_followup().line()], [*Followup.model_fields]),
        ([a_followup().line(), released(a_followup())], [*Followup.model_fields, LINE_FIELDS]),
    ],
    ids=["release", "this version", "both"],
)
def test_only_lines_of_several_versions_need_a_column_for_their_layout(lines: list[bytes], columns: list[str]) -> None:
    assert columns_for(Followup, set(rows_of(b"".join(lines), Followup)[LINE_FIELDS])) == columns


@pytest.mark.parametrize("zeros", [[0.0, -0.0], [0.0] * 900 + [-0.0], [-0.0] * 900 + [0.0], [-0.0] * 1_000])
def test_minus_zero_stays_apart_from_zero_in_dictionary_encoding(tmp_path: Path, zeros: list[float]) -> None:
    records = [a_followup(a_signal(at_ms=T0_MS + ms), markout_bps=zero) for ms, zero in enumerate(zeros * 30)]
    assert through_parquet(records, tmp_path / "rows.parquet") == [record.line() for record in records]


def test_rows_are_read_in_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_codec, "SLICE_ROWS", 7)
    pl.DataFrame({"a": range(30)}).write_parquet(tmp_path / "rows.parquet", row_group_size=10)
    assert [len(rows) for rows in read_slices(tmp_path / "rows.parquet")] == [7, 7, 7, 7, 2]


LINES = [a_followup(a_signal(at_ms=T0_MS + ms)).line()[:-1] for ms in range(40)]
SOUND = [*LINES[:30], *(released(Followup.from_line(line))[:-1] for line in LINES[30:])]
ALTERED = {
    "a field of a later version": LINES[20][:-1] + b',"new":1}',
    "a field less": LINES[20].replace(b',"oracle_updates":1', b""),
    "some of the later fields": LINES[20].replace(b',"impact_ask_px":249.75', b""),
    "a field less of a release": released(a_followup())[:-1].replace(b',"oracle_updates":1', b""),
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
    for lines, expected in (SOUND, None), ([*SOUND[:20], ALTERED[change], *SOUND[21:], b"{}"], (21, ALTERED[change])):
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        with path.open("rb") as file:
            assert first_altered(file.fileno(), path.stat().st_size, Followup) == expected
