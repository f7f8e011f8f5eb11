"""A recorder resumes after the newest piece that can be read whole, whatever is damaged beside it."""

from pathlib import Path

import polars as pl
import pytest
from structlog.testing import capture_logs

from hip3_tasks.domain.capture import MINUTE_MS
from hip3_tasks.domain.market import Entry
from hip3_tasks.recording.recorder import Recorder
from hip3_tasks.store.keys import Keys
from hip3_tasks.store.tape_log import TapeLog
from hip3_tasks.tape.columns import frame_of, row_of
from hip3_tasks.tape.pieces import PieceInfo, minute_path, write_piece
from hip3_tasks.testing.fake import FakeServer
from tests.support.factories import T0_MS, a_market

START_MS = T0_MS // MINUTE_MS * MINUTE_MS


@pytest.fixture
def pieces(tmp_path: Path) -> list[Path]:
    paths = []
    for from_ms in (START_MS, START_MS + MINUTE_MS):
        rows = frame_of([row_of("xyz:TSLA", 0, Entry(from_ms, a_market(at_ms=from_ms)))])
        paths.append(minute_path(tmp_path, from_ms))
        info = PieceInfo(from_ms=from_ms, until_ms=from_ms + MINUTE_MS - 1)
        write_piece(paths[-1], rows, info, level=1, group_rows=100)
    return paths


def resumed(data_dir: Path) -> tuple[int | None, int]:
    recorder = Recorder(TapeLog(FakeServer().connect(), Keys("resumed")), data_dir)
    with capture_logs() as logs:
        recorder.resume()
    assert recorder.read_ms == recorder.written_ms and recorder.unwritten_ms == 0
    return recorder.read_ms, sum(log["event"] == "piece_damaged" for log in logs)


def damage_rows(path: Path) -> None:
    """The metadata stay: those at the end of a Parquet file."""
    data = path.read_bytes()
    size = len(data) - int.from_bytes(data[-8:-4], "little") - 8
    path.write_bytes(b"PAR1" + b"\0" * (size - 4) + data[size:])
    assert "hip3" in pl.read_parquet_metadata(path)


def test_it_resumes_after_the_newest_piece(pieces: list[Path], tmp_path: Path) -> None:
    assert resumed(tmp_path) == (START_MS + 2 * MINUTE_MS - 1, 0)


def test_an_older_piece_that_is_damaged_changes_nothing(pieces: list[Path], tmp_path: Path) -> None:
    damage_rows(pieces[0])
    assert resumed(tmp_path) == (START_MS + 2 * MINUTE_MS - 1, 0)


def test_a_newest_piece_with_damaged_rows_is_read_again(pieces: list[Path], tmp_path: Path) -> None:
    damage_rows(pieces[1])
    assert resumed(tmp_path) == (START_MS + MINUTE_MS - 1, 1)
    damage_rows(pieces[0])
    assert resumed(tmp_path) == (None, 2)
