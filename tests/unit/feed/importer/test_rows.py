"""`importer.rows`: rows of any file are read in order and in parts, and what cannot be used is named."""

import gzip
from pathlib import Path

import polars as pl
import pytest

from feed.importer import rows
from feed.importer.lines import Line
from feed.importer.rows import REQUIRED, row_lines
from feed.wire import Bbo, Ctx, Level
from hip3_tasks.errors import MalformedFrame, Unavailable

T0_MS = 1_790_000_000_000
HEADER = ",".join(REQUIRED)
GOOD = f"xyz:A,{T0_MS - 300},{T0_MS},99.5,1,100.5,2,100"


def read(path: Path) -> tuple[list[Line], float]:
    """The lines of a file, and how many bytes were reported as read."""
    done: list[float] = []
    return list(row_lines(path, done.append)), sum(done)


def csv_of(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "rows.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def why(line: Line) -> str:
    assert isinstance(line.frames, MalformedFrame)
    return line.frames.kind


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_rows_are_read_in_order_and_in_parts(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "BATCH_ROWS", 7)
    instants = [T0_MS + 20 * number for number in range(3000)]
    table = {name: [1.5] * len(instants) for name in REQUIRED}
    frame = pl.DataFrame(table | {"coin": "xyz:A", "block_time_ms": instants, "received_ms": instants, "other": "é"})
    path = tmp_path / f"rows.{ending}"
    if ending == "parquet":
        frame.write_parquet(path, row_group_size=10)
    else:
        text = frame.write_csv().encode()
        path.write_bytes(gzip.compress(text) if ending == "csv.gz" else text)
    lines, done = read(path)
    assert [line.at_ms for line in lines] == instants
    first = 1 if ending == "parquet" else 2
    assert [line.number for line in lines] == list(range(first, first + len(lines)))
    side = Level(1.5, 1.5)
    assert lines[-1].frames == (Bbo("xyz:A", instants[-1], side, side), Ctx("xyz:A", 1.5, None, None, None, None))
    assert done == pytest.approx(path.stat().st_size)


def test_a_row_that_cannot_be_used_is_named_and_the_others_are_taken(tmp_path: Path) -> None:
    changed = {
        "block_time_ms is no instant in ms since 1970: '1790000000'": GOOD.replace(str(T0_MS - 300), "1790000000"),
        "received_ms is no instant in ms since 1970: ''": GOOD.replace(f",{T0_MS},", ",,"),
        "received_ms is no instant in ms since 1970: '9999999999": GOOD.replace(f",{T0_MS},", f",{'9' * 5000},"),
        "bid_px is not a positive number: 'nan'": GOOD.replace("99.5", "nan"),
        "ask_px is not a positive number: 'inf'": GOOD.replace("100.5", "inf"),
        "oracle_px is not a positive number: 'x'": GOOD[:-3] + "x",
        "a price without a size, or a size without a price": GOOD.replace("99.5", ""),
        "7 values for 8 columns": GOOD.rpartition(",")[0],
        "9 values for 8 columns": GOOD + ",",
    }
    lines, _ = read(csv_of(tmp_path, *changed.values(), "", GOOD))
    assert [why(line)[: len(text) + 9] for line, text in zip(lines, changed, strict=False)] == [
        f"bad_row, {text}" for text in changed
    ]
    assert len(lines) == len(changed) + 1 and lines[-1].at_ms == T0_MS


def test_files_as_other_programs_write_them_are_read(tmp_path: Path) -> None:
    floats = GOOD.replace(f",{T0_MS},", f",{T0_MS}.0,")  # as pandas writes whole numbers beside missing ones
    path = tmp_path / "rows.csv"
    path.write_bytes(b"\xef\xbb\xbf" + f"{HEADER.replace(',', ', ')},note\r\n{floats},".encode() + b"\xff\r\n")
    ((line,), _) = read(path)
    assert line.at_ms == T0_MS and isinstance(line.frames, tuple)


def test_a_file_that_ends_too_early_gives_the_rows_before(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress("\n".join([HEADER, *[GOOD] * 5000]).encode())[:-20])
    lines, _ = read(path)
    assert why(lines[-1]).startswith("unreadable from here on") and lines[0].at_ms == T0_MS


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("rows.csv", b"", "no column coin"),
        ("rows.csv", f"{HEADER};\n".replace(",", ";").encode(), "no column coin"),
        ("rows.csv", f"{HEADER},coin\n".encode(), "more than one column coin"),
        ("rows.csv.gz", b"no gzip", "unreadable"),
        ("rows.parquet", b"no Parquet", "rows.parquet: "),
        ("rows.parquet", b"", "rows.parquet: "),
    ],
)
def test_a_file_that_has_no_rows_is_refused(tmp_path: Path, name: str, content: bytes, text: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Unavailable, match=text) as refused:
        read(tmp_path / name)
    assert "\n" not in str(refused.value)
