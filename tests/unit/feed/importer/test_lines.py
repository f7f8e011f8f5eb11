"""`feed.importer.lines`: the shapes in which others keep frames."""

import gzip
from collections.abc import Callable
from pathlib import Path

import lz4.frame
import orjson
import pytest
from backports import zstd

from feed.importer.lines import instant_ms, json_lines, read_line
from feed.wire import Bbo, Level, Other
from hip3_tasks.errors import MalformedFrame

AT_MS = 1_790_000_000_250
BLOCK_MS = AT_MS - 250
FRAME = {
    "channel": "bbo",
    "data": {"coin": "xyz:A", "time": BLOCK_MS, "bbo": [{"px": "99.5", "sz": "2", "n": 1}, None]},
}
TEXT = orjson.dumps(FRAME).decode()
BBO = Bbo("xyz:A", BLOCK_MS, Level(99.5, 2.0), None)


@pytest.mark.parametrize(
    "line",
    [
        {"ts": AT_MS, "msg": FRAME},
        {"received_ms": AT_MS, "raw": TEXT},
        {"exchange_time": BLOCK_MS, "local_timestamp": AT_MS * 1000, "payload": FRAME},
        {"time": "2026-09-21T14:13:20.250000000", "ver_num": 1, "raw": FRAME},
        {"recv_ns": AT_MS * 1_000_000, "socket": 1, "frame": FRAME},
        {**FRAME, "ts": AT_MS / 1000},
        [AT_MS, FRAME],
        [str(AT_MS), TEXT],
    ],
)
def test_a_frame_is_found_in_its_envelope_with_its_receive_time(line: object) -> None:
    read = read_line(1, orjson.dumps(line))
    assert (read.frames, read.at_ms, read.is_received, read.channel) == ((BBO,), AT_MS, True, "bbo")


def test_an_instant_may_stand_before_the_frame() -> None:
    read = read_line(1, f"2026-09-21T14:13:20.25Z {TEXT}".encode())
    assert (read.frames, read.at_ms, read.is_received) == ((BBO,), AT_MS, True)


def test_a_book_without_a_receive_time_has_that_of_its_block() -> None:
    read = read_line(1, TEXT.encode())
    assert (read.frames, read.at_ms, read.is_received) == ((BBO,), BLOCK_MS, False)


def test_a_day_is_no_receive_time() -> None:
    assert read_line(1, orjson.dumps({"captured": "2026-09-21", "raw": TEXT})).at_ms == BLOCK_MS


@pytest.mark.parametrize("line", [b"{", b"null", b"[1, 2]", b'{"ts": 1}', b"nonsense", b"\xff", b'{"channel": "bbo"}'])
def test_a_line_without_a_frame_is_unusable(line: bytes) -> None:
    assert isinstance(read_line(1, line).frames, MalformedFrame)


def test_a_list_of_several_frames_is_unusable_and_not_the_first_of_them() -> None:
    read = read_line(1, orjson.dumps([FRAME, FRAME]))
    assert isinstance(read.frames, MalformedFrame) and read.frames.kind == "several_frames in one line"


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    assert read_line(1, b"\xef\xbb\xbf" + orjson.dumps([AT_MS, FRAME])).frames == (BBO,)


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.ZST", "a.lz4"])
def test_a_file_that_is_not_what_its_name_says_is_unusable(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(TEXT.encode())
    (line,) = json_lines(tmp_path / name, lambda _: None)
    assert isinstance(line.frames, MalformedFrame) and line.frames.kind.startswith("unreadable")


def test_the_greeting_is_a_frame() -> None:
    assert read_line(1, b"Websocket connection established.").frames == (Other("greeting"),)


@pytest.mark.parametrize("value", [AT_MS, AT_MS / 1000, AT_MS * 1000, AT_MS * 10**6, "2026-09-21T16:13:20.250+02:00"])
def test_an_instant_has_any_usual_unit(value: object) -> None:
    assert instant_ms(value) == AT_MS


@pytest.mark.parametrize("value", [True, None, 5, -1, "", "2026-09-21", "12:30", float("nan"), float("inf"), 10**30])
def test_other_values_are_no_instants(value: object) -> None:
    assert instant_ms(value) is None


@pytest.mark.parametrize(
    ("ending", "packed"),
    [("", bytes), (".gz", gzip.compress), (".zst", zstd.compress), (".lz4", lz4.frame.compress)],
)
def test_packed_files_are_read(tmp_path: Path, ending: str, packed: Callable[[bytes], bytes]) -> None:
    path = tmp_path / f"frames.jsonl{ending}"
    path.write_bytes(packed(f"{TEXT}\n\n{TEXT}\n".encode()))
    done: list[float] = []
    assert [(line.number, line.frames) for line in json_lines(path, done.append)] == [(1, (BBO,)), (3, (BBO,))]
    assert sum(done) == path.stat().st_size


@pytest.mark.parametrize(
    ("ending", "packed"), [(".gz", gzip.compress), (".zst", zstd.compress), (".lz4", lz4.frame.compress)]
)
def test_a_torn_file_is_unusable_from_there_on(tmp_path: Path, ending: str, packed: Callable[[bytes], bytes]) -> None:
    path = tmp_path / f"frames.jsonl{ending}"
    path.write_bytes(packed(b"".join(b"%s%d\n" % (TEXT.encode(), i) for i in range(5000)))[:-20])
    *_, last = json_lines(path, lambda _: None)
    assert isinstance(last.frames, MalformedFrame) and last.frames.kind.startswith("unreadable")
