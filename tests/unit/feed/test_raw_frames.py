"""`feed.raw_frames`: what was received is on file as it was, and the feed never waits for the disk."""

import gzip
from pathlib import Path

import pytest

from feed import raw_frames
from feed.raw_frames import RawFrames
from hip3_tasks.domain.capture import HOUR_MS
from hip3_tasks.errors import DamagedPiece
from hip3_tasks.files.raw_file import RawKind, RawRecord, new_raw_path, read_raw

T0_MS = 1_790_002_800_000
PLENTY_MB = 0


def records(path: Path) -> list[RawRecord]:
    with path.open("rb") as raw:
        return list(read_raw(raw))


def test_an_hour_has_a_file_and_a_second_writer_one_of_its_own(tmp_path: Path) -> None:
    for text in ("first", "second"):
        raw = RawFrames(tmp_path, min_free_mb=PLENTY_MB)
        raw.put(0, RawKind.OPENED, b"", T0_MS)
        raw.put(0, RawKind.FRAME, text, T0_MS + 1)
        raw.put(1, RawKind.FRAME, text.encode(), T0_MS + HOUR_MS)
        raw.close()
        assert raw.dropped == 0
    paths = sorted((tmp_path / "raw").rglob("*"))
    names = [path.name for path in paths if path.is_file()]
    assert names == ["15.raw.gz", "15_02.raw.gz", "16.raw.gz", "16_02.raw.gz"]
    assert records(paths[1]) == [
        RawRecord(T0_MS, 0, RawKind.OPENED, b""),
        RawRecord(T0_MS + 1, 0, RawKind.FRAME, b"first"),
    ]
    assert records(paths[4]) == [RawRecord(T0_MS + HOUR_MS, 1, RawKind.FRAME, b"second")]


def test_frames_beyond_the_limit_are_dropped_and_their_socket_is_said_to_be_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw_frames, "MAX_WAITING_BYTES", 10)
    monkeypatch.setattr(raw_frames, "INTERVAL_S", 3600)
    raw = RawFrames(tmp_path, min_free_mb=PLENTY_MB)
    for number in range(5):
        raw.put(3, RawKind.FRAME, b"six by", T0_MS + number)
    assert raw.dropped == 3
    raw._write()
    raw.put(3, RawKind.FRAME, b"again", T0_MS + 9)
    raw.close()
    kinds = [(record.kind, record.at_ms - T0_MS) for record in records(new_path(tmp_path))]
    assert kinds == [(RawKind.FRAME, 0), (RawKind.FRAME, 1), (RawKind.LOST, 9), (RawKind.FRAME, 9)]


def test_a_full_disk_stops_nothing_and_loses_nothing_within_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw_frames, "INTERVAL_S", 0.01)
    free = [0.0]
    monkeypatch.setattr(raw_frames, "free_mb", lambda _: free[0])
    raw = RawFrames(tmp_path, min_free_mb=1)
    raw.put(0, RawKind.FRAME, b"a", T0_MS)
    raw._thread.join(0.1)
    assert raw._thread.is_alive() and not (tmp_path / "raw").exists()
    free[0] = 9.0
    raw.close()
    assert [record.text for record in records(new_path(tmp_path))] == [b"a"]


def new_path(tmp_path: Path) -> Path:
    (path,) = (tmp_path / "raw").rglob("*.raw.gz")
    return path


def test_a_file_whose_writer_was_killed_gives_what_was_written(tmp_path: Path) -> None:
    path = new_raw_path(tmp_path, T0_MS)
    path.parent.mkdir(parents=True)
    with gzip.GzipFile(path, "wb") as file:
        file.write(b"HIP3RAW1" + RawRecord(T0_MS, 0, RawKind.FRAME, b"a").encode())
        file.flush()
        written = path.stat().st_size
        file.write(RawRecord(T0_MS, 0, RawKind.FRAME, b"b" * 1000).encode())
    path.write_bytes(path.read_bytes()[:written])
    assert [record.text for record in records(path)] == [b"a"]


@pytest.mark.parametrize("content", [b"", b"HIP3RAW9", b"HIP3RAW1" + b"\xff" * 15])
def test_another_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.raw.gz"
    path.write_bytes(gzip.compress(content))
    with pytest.raises(DamagedPiece):
        records(path)
