"""The benchmark of the replay: its tape is one that a feed could have written, and the plain loop gives the same."""

from pathlib import Path

import pytest

from benchmarks import plain_loop
from benchmarks.livetape import FIRST_DAY_MS, Shape, make
from benchmarks.replaypage import ReplayFigures, Run, section
from hip3_tasks.domain.capture import DAY_MS
from hip3_tasks.recording.other_rules import OtherRules
from hip3_tasks.recording.replay import Replay
from hip3_tasks.recording.replay_files import ReplayFiles, lines_by_file
from hip3_tasks.tape.load import Recording


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data_dir = tmp_path_factory.mktemp("made")
    make(data_dir, Shape(days=1, markets=1, states=150_000))
    return data_dir


def test_the_keyframes_of_the_tape_have_what_the_detector_remembers(data_dir: Path) -> None:
    recording = Recording(data_dir)
    assert (recording.parts[0].info.from_ms, recording.covered_until_ms) == (FIRST_DAY_MS, FIRST_DAY_MS + DAY_MS - 1)
    signals = [signal for step in Replay(recording).run() for signal in step.signals]
    without_memory = Replay(recording, other=OtherRules(cooldown_ms=500))
    assert [signal for step in without_memory.run() for signal in step.signals] == signals
    assert len(signals) > 1000


def test_the_plain_loop_gives_the_lines_of_a_replay(data_dir: Path, tmp_path: Path) -> None:
    recording, fast, plain = Recording(data_dir), tmp_path / "fast", tmp_path / "plain"
    fast.mkdir()
    with ReplayFiles(fast) as files:
        for step in Replay(recording).steps(lines_by_file):
            files.write(step)
    plain_loop.main(data_dir, plain, recording.coins)
    lines = [{path.name: sorted(path.read_bytes().splitlines()) for path in out.iterdir()} for out in (fast, plain)]
    assert lines[0] == lines[1]


def test_the_section_has_minimum_and_median_and_the_factor() -> None:
    figures = ReplayFigures([{"made:A": 10, "made:B": 30}], {}, tape_bytes=400, sample=["made:A"], stray_cores=[0.1])
    for cpu_s in (1.0, 3.0, 2.0):
        figures.runs.append(Run("hip3 replay, sample", "", 2 * cpu_s, cpu_s, 9.0, 0))
        figures.runs.append(Run("plain loop, sample", "", 2 * cpu_s, 7 * cpu_s, 9.0, 0))
    text = section(figures)
    assert "| hip3 replay, sample | 10 | 2.0 / 4.0 | 1.0 / 2.0 | 9 | 5 |" in text
    assert "7.0 times less CPU" in text
