"""Reading files of lines in chunks, compared with splitting them whole."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hip3_tasks.files import line_reader as lines

contents = st.lists(st.sampled_from([b"\n", b"a", b"needle", b"b\n", b"\x00", b"xyz\n"]) | st.binary(max_size=9)).map(
    b"".join
)
chunks = st.integers(1, 40)


@contextmanager
def a_file(content: bytes, *, chunk_bytes: int = lines.CHUNK_BYTES) -> Iterator[int]:
    with tempfile.TemporaryFile() as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "CHUNK_BYTES", chunk_bytes)
        file.write(content)
        file.flush()
        yield file.fileno()


def whole_lines(content: bytes) -> list[bytes]:
    return content.split(b"\n")[:-1]


@given(content=contents, chunk_bytes=chunks, data=st.data())
def test_forwards_reads_the_complete_lines_between_two_offsets(
    content: bytes, chunk_bytes: int, data: st.DataObject
) -> None:
    starts = [0] + [index + 1 for index, byte in enumerate(content) if byte == 10]
    start = data.draw(st.sampled_from(starts))
    end = data.draw(st.integers(start, len(content)))
    with a_file(content, chunk_bytes=chunk_bytes) as fd:
        assert list(lines.forwards(fd, start, end)) == whole_lines(content[start:end])


@given(content=contents, block_bytes=chunks, data=st.data())
def test_blocks_are_the_complete_lines_between_two_offsets_with_their_newlines(
    content: bytes, block_bytes: int, data: st.DataObject
) -> None:
    starts = [0] + [index + 1 for index, byte in enumerate(content) if byte == 10]
    start = data.draw(st.sampled_from(starts))
    end = data.draw(st.integers(start, len(content)))
    with a_file(content) as fd:
        blocks = list(lines.blocks(fd, start, end, block_bytes))
    assert b"".join(blocks) == content[start : max(start, content.rfind(b"\n", 0, end) + 1)]
    assert all(block.endswith(b"\n") for block in blocks)


@given(content=contents, chunk_bytes=chunks)
def test_backwards_gives_the_same_lines_last_chunk_first(content: bytes, chunk_bytes: int) -> None:
    end = content.rfind(b"\n") + 1
    with a_file(content, chunk_bytes=chunk_bytes) as fd:
        chunks_read = list(lines.backwards(fd, end))
    assert [line for chunk in reversed(chunks_read) for line in chunk] == whole_lines(content)
    assert all(chunks_read)


@given(content=contents, chunk_bytes=chunks, data=st.data())
def test_the_complete_length_ends_with_the_last_newline(content: bytes, chunk_bytes: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(0, len(content)))
    with a_file(content, chunk_bytes=chunk_bytes) as fd:
        assert lines.complete_length(fd, size) == content[:size].rfind(b"\n") + 1


@given(content=contents, data=st.data())
def test_containing_gives_the_lines_with_the_needle_the_last_first(content: bytes, data: st.DataObject) -> None:
    end = data.draw(st.integers(0, len(content)))
    with a_file(content) as fd:
        needles = list(lines.containing(fd, b"needle", 0, end))
    assert needles == [line for line in reversed(whole_lines(content[:end])) if b"needle" in line]


@given(numbers=st.lists(st.integers(0, 2000)), wanted=st.integers(0, 2001))
def test_bisect_gives_where_the_first_line_begins_that_is_not_before(numbers: list[int], wanted: int) -> None:
    ordered = [b"%d\n" % number for number in sorted(numbers)]
    with a_file(b"".join(ordered)) as fd:
        offset = lines.bisect(fd, sum(map(len, ordered)), lambda line: int(line) < wanted)
    assert offset == sum(len(line) for line in ordered if int(line) < wanted)


def test_a_line_that_contains_it_twice_is_given_once() -> None:
    with a_file(b"needle\nneedle and needle\nneedle") as fd:
        assert list(lines.containing(fd, b"needle", 0, 31)) == [b"needle and needle", b"needle"]


@given(content=contents)
def test_reading_on_from_where_one_stopped_misses_nothing_and_repeats_nothing(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "file"
        read: list[bytes] = []
        stopped = 0
        for size in range(0, len(content) + 1, 7):
            path.write_bytes(content[:size])
            new, stopped = lines.read_from(path, stopped)
            read += new
        path.write_bytes(content)
        assert read + lines.read_from(path, stopped)[0] == whole_lines(content)


def test_where_there_is_no_file_there_are_no_lines(tmp_path: Path) -> None:
    assert lines.read_from(tmp_path / "absent") == ([], 0)


def test_a_file_that_ends_early_gives_its_lines() -> None:
    with a_file(b"one\ntwo\nthr") as fd:
        os.ftruncate(fd, 6)
        assert list(lines.forwards(fd, 0, 11)) == [b"one"]
