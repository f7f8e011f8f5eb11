import os
from pathlib import Path

import pytest

from hip3_tasks.files.key_index import KeyIndex
from tests.support.factories import T0_MS, a_followup, a_signal

HOUR_MS = 3_600_000


@pytest.mark.parametrize("wall_behind_ms", [0, 3 * HOUR_MS, -3 * HOUR_MS])
def test_a_block_of_old_signals_hides_no_young_one_however_the_wall_clock_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wall_behind_ms: int
) -> None:
    monkeypatch.setattr("hip3_tasks.files.line_reader.CHUNK_BYTES", 4096)

    def line(coin: str, timestamp_ms: int, captured_at_ms: int) -> bytes:
        captured = {"captured_at_ms": captured_at_ms - wall_behind_ms}
        return a_followup(a_signal(coin, at_ms=timestamp_ms), **captured).line()

    young = line("xyz:YOUNG", T0_MS, T0_MS + 1000)
    old = [line(f"xyz:OLD{number}", T0_MS - HOUR_MS, T0_MS + 2000) for number in range(40)]
    newest = line("xyz:NEW", T0_MS + 60_000, T0_MS + 61_000)
    path = tmp_path / "followups.jsonl"
    path.write_bytes(young + b"".join(old) + newest)
    index = KeyIndex(15 * 60_000)
    fd = os.open(path, os.O_RDONLY)
    index.index_backward(fd, path.stat().st_size)
    os.close(fd)
    assert index.find_span(f"xyz:YOUNG-{T0_MS}", 1000)


def test_a_line_that_a_power_cut_left_with_zeros_has_no_key(tmp_path: Path) -> None:
    line = a_followup(a_signal("xyz:TORN")).line()
    path = tmp_path / "followups.jsonl"
    path.write_bytes(a_followup(a_signal("xyz:WHOLE")).line() + line[:-60] + bytes(40) + line[-20:])
    forward, backward = KeyIndex(HOUR_MS), KeyIndex(HOUR_MS)
    fd = os.open(path, os.O_RDONLY)
    forward.index_forward(fd, 0, path.stat().st_size)
    backward.index_backward(fd, path.stat().st_size)
    os.close(fd)
    for index in (forward, backward):
        assert index.find_span(f"xyz:WHOLE-{T0_MS}", 1000)
        assert index.find_span(f"xyz:TORN-{T0_MS}", 1000) is None
