"""JSON lines into frames."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hip3_tasks.analysis.loading import jsonl
from hip3_tasks.analysis.loading.jsonl import JsonLines
from hip3_tasks.files import line_reader

SCHEMA = {"at": pl.Float64(), "bps": pl.Float64(), "coin": pl.String(), "offsets": pl.List(pl.Float64())}
SMALL, LARGE = 200, 4 << 20
"""Block sizes in bytes: SMALL holds one to three lines, LARGE the complete file."""

numbers = st.integers(-(10**15), 10**15) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(codec="utf-8"), max_size=5)
good = st.fixed_dictionaries(
    {"at": numbers},
    optional={
        "bps": st.none() | numbers,
        "coin": st.none() | texts,
        "offsets": st.none() | st.lists(st.none() | st.integers(1, 9999), max_size=3),
        "unknown": st.none() | st.booleans() | numbers | texts | st.lists(texts, max_size=2),
    },
).map(lambda values: json.dumps(values, ensure_ascii=False).encode())
blank = st.sampled_from([b"", b" ", b"\t", b"\r"])
BROKEN = [
    b"{",
    b"[]",
    b"null",
    b"7",
    b"\x00\x00\x00",
    b'{"at":1}\x00',
    b'{"at":1}{"at":2}',
    b'{"at":1} {"at":2}',
    b'{"at":1}\r{"at":2}',
    b'{"at":"1"}',
    b'{"at":true}',
    b'{"at":NaN}',
    b'{"at":Infinity}',
    b'{"at":1e400}',
    b'{"at":{}}',
    b'{"at":01}',
    b'{"at":1,"coin":"\xff\xfe"}',
    b'{"at":1,"offsets":["1"]}',
    b'{"at":1,"offsets":1}',
    b'{"at":1,"bps":"1.0"}',
    b'{"bps":1}',
    b"\xef\xbb\xbf{}",
]
broken = st.sampled_from(BROKEN)
endings = st.sampled_from([b"\n", b"\r\n"])


def read(path: Path, *, block_bytes: int = LARGE) -> tuple[pl.DataFrame, JsonLines]:
    """Read a file; a line with an `at` is valid."""
    lines = JsonLines(path, path.stat().st_size)

    def project(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
        is_valid = rows["at"].is_not_null()
        return rows.filter(is_valid), is_valid

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsonl, "BLOCK_BYTES", block_bytes)
        patch.setattr(line_reader, "CHUNK_BYTES", 16)
        frames = list(lines.frames(SCHEMA, project))
    return pl.concat([pl.DataFrame(schema=SCHEMA), *frames]), lines


def parse(content: bytes, *, block_bytes: int = LARGE) -> tuple[list[dict[str, Any]], list[int], int]:
    """The rows, the numbers of the broken lines, and the number of torn bytes."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "followups_2026-11-22.jsonl"
        path.write_bytes(content)
        frame, lines = read(path, block_bytes=block_bytes)
        return frame.to_dicts(), lines.line_numbers(sorted(lines.broken_at)), lines.torn_bytes


@given(
    st.lists(st.tuples(good.map(lambda line: (line, True)) | (blank | broken).map(lambda line: (line, False)), endings))
)
def test_no_valid_line_is_lost_and_each_broken_line_is_named(lines: list[tuple[tuple[bytes, bool], bytes]]) -> None:
    content = b"".join(line + ending for (line, _), ending in lines)
    rows = [json.loads(line) for (line, is_good), _ in lines if is_good]
    broken = [number for number, ((line, is_good), _) in enumerate(lines, start=1) if not is_good and line.strip()]
    longest = max((len(line) + 2 for (line, _), _ in lines), default=1)
    for block_bytes in (longest, longest + 50, LARGE):
        read_rows, named, torn_bytes = parse(content, block_bytes=block_bytes)
        assert [without_nulls(row) for row in read_rows] == [without_nulls(row) for row in rows]
        assert named == broken
        assert torn_bytes == 0


def without_nulls(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name in SCHEMA and value is not None}


@pytest.mark.parametrize("block_bytes", [60, LARGE])
def test_a_file_cut_anywhere_gives_its_complete_lines(block_bytes: int) -> None:
    lines = [b'{"at":%d,"coin":"xyz:TSLA","bps":1.5}\n' % index for index in range(4)]
    content = b"".join(lines)
    for end in range(len(content) + 1):
        complete = content[:end].count(b"\n")
        rows, broken, torn_bytes = parse(content[:end], block_bytes=block_bytes)
        assert [row["at"] for row in rows] == list(range(complete))
        assert (broken, torn_bytes) == ([], end - len(b"".join(lines[:complete])))


@pytest.mark.parametrize("line", BROKEN)
def test_a_broken_line_is_broken_beside_any_neighbour(line: bytes) -> None:
    neighbour = b'{"at":1}'
    assert parse(line + b"\n")[0:2] == ([], [1])
    rows, named, _ = parse(b"\n".join([neighbour, line, neighbour, b"}", neighbour, b""]))
    assert ([row["at"] for row in rows], named) == ([1.0, 1.0, 1.0], [2, 4])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1000.0", 1000.0),
        ("1000", 1000.0),
        ("1e3", 1000.0),
        ("-0", 0.0),
        ("1e-400", 0.0),
        ("1234567890123456789012345", 1234567890123456789012345.0),
        ("18446744073709551616", 2.0**64),
    ],
)
@pytest.mark.parametrize("beside", [b"", b"{\n"])
def test_a_number_is_read_in_each_notation(text: str, value: float, beside: bytes) -> None:
    rows, _, _ = parse(b'{"at":%s,"offsets":[%s]}\n' % (text.encode(), text.encode()) + beside)
    assert rows == [{"at": value, "bps": None, "coin": None, "offsets": [value]}]


def test_a_column_may_be_null_for_many_lines() -> None:
    lines = [b'{"at":%d,"bps":null}\n' % index for index in range(500)] + [b'{"at":500,"bps":2.5}\n']
    rows, broken, _ = parse(b"".join(lines))
    assert (len(rows), rows[-1]["bps"], broken) == (501, 2.5, [])


@pytest.mark.parametrize("block_bytes", [64, 100, 1000])
@pytest.mark.parametrize("line", [b"x" * 5000, b"\x00" * 5000, b'{"at":1,"coin":"' + b"y" * 5000 + b'"}'])
def test_a_line_longer_than_a_block_is_broken_and_its_neighbours_are_not(line: bytes, block_bytes: int) -> None:
    content = b"".join([b'{"at":1}\n', b"bad\n", line, b"\n", b'{"at":2}\n', b"bad\n", b'{"at":3}\n'])
    rows, named, torn_bytes = parse(content, block_bytes=block_bytes)
    assert ([row["at"] for row in rows], named, torn_bytes) == ([1, 2, 3], [2, 3, 5], 0)


def test_a_long_line_without_an_end_is_torn() -> None:
    rows, named, torn_bytes = parse(b'{"at":1}\n' + b"x" * 5000, block_bytes=64)
    assert (len(rows), named, torn_bytes) == (1, [], 5000)


@pytest.mark.parametrize(("content", "torn_bytes"), [(b"", 0), (b'{"at":1}', 8), (b"\n\n", 0), (b"\x00" * 9, 9)])
def test_a_file_without_a_complete_line_has_no_rows(content: bytes, torn_bytes: int) -> None:
    assert parse(content) == ([], [], torn_bytes)


def growing(path: Path, change: Any) -> list[float]:
    """The values of `at` when `change` is applied to the file after its first block."""
    lines = JsonLines(path, path.stat().st_size)

    def project(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
        return rows, rows["at"].is_not_null()

    def changing_frames() -> Iterator[pl.DataFrame]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(jsonl, "BLOCK_BYTES", SMALL)
            frames = lines.frames(SCHEMA, project)
            yield next(frames)
            change()
            yield from frames

    rows = [value for frame in changing_frames() for value in frame["at"].to_list()]
    assert lines.broken_at == []
    return rows


LINES = [b'{"at":%4d,"bps":1.25}\n' % index for index in range(1000)]


def test_lines_appended_while_a_file_is_read_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"".join(LINES[:900]))

    def append() -> None:
        with path.open("ab") as file:
            file.write(b"".join(LINES[900:]))

    assert growing(path, append) == list(range(900))


@pytest.mark.parametrize("kept_bytes", [len(LINES[0]) * 500, len(LINES[0]) * 500 + 7, 0])
def test_lines_cut_off_while_a_file_is_read_are_not_broken(kept_bytes: int, tmp_path: Path) -> None:
    """A writer removes lines that it could not sync."""
    path = tmp_path / "lines"
    path.write_bytes(b"".join(LINES))
    rows = growing(path, lambda: os.truncate(path, kept_bytes))
    assert rows[: kept_bytes // len(LINES[0])] == list(range(len(rows)))[: kept_bytes // len(LINES[0])]
    assert len(rows) < 1000


def test_progress_counts_every_byte_once(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"".join(LINES) + b"x" * 500 + b"\n" + LINES[0] + b"torn")
    advances: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsonl, "BLOCK_BYTES", SMALL)
        list(
            JsonLines(path, path.stat().st_size).frames(
                SCHEMA, lambda rows: (rows, rows["at"].is_not_null()), advances.append
            )
        )
    assert sum(advances) == path.stat().st_size
    assert min(advances) >= 0
