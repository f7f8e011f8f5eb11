"""`feed.raw_recorder`: its health says when frames are not kept, and why."""

import asyncio
from pathlib import Path

import pytest

from feed import raw_frames
from feed.raw_recorder import RawRecorder
from feed.wire import Bbo
from hip3_tasks.files.raw_file import RawKind
from hip3_tasks.settings import Settings
from tests.support.waiting import eventually


async def recorder(folder: Path, *, min_free_mb: int = 0) -> RawRecorder:
    return RawRecorder(Settings(data_dir=folder, min_free_mb=min_free_mb))


def test_silence_is_a_problem_after_ten_seconds(tmp_path: Path) -> None:
    recording = asyncio.run(recorder(tmp_path))
    at_ms = recording._clock.now_ms()
    assert recording.problems(at_ms + 9000) == []
    assert recording.problems(at_ms + 60_000)[0].endswith("s: the venue has not answered yet")
    recording.on_trouble("ConnectionRefusedError")
    recording.on_data(Bbo("xyz:A", at_ms, None, None), at_ms + 50_000)
    assert recording.problems(at_ms + 60_000) == []
    assert recording.problems(at_ms + 61_000) == ["no data for 11 s: ConnectionRefusedError"]
    recording.raw.close()


def test_a_full_disk_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_frames, "INTERVAL_S", 0.01)
    recording = asyncio.run(recorder(tmp_path, min_free_mb=1 << 40))
    at_ms = recording._clock.now_ms()
    recording.raw.put(0, RawKind.OPENED, b"", at_ms)
    eventually("a problem", lambda: recording.problems(at_ms), within_s=5)
    assert recording.problems(at_ms)[0].startswith("raw frames not written: less than 2 x HIP3_MIN_FREE_MB")
    recording.raw.close()
