"""`hip3 tail` prints the lines of the files as they are written."""

import signal
from pathlib import Path
from typing import Any

import pytest

from hip3_tasks.analysis.compact.compact import CompactionState, compact_day
from hip3_tasks.domain.capture import DAY_MS
from hip3_tasks.testing import play
from tests.support.factories import DAY, T0_MS, a_followup, a_missed, a_signal
from tests.support.process import HIP3, ProcessUnderTest
from tests.support.waiting import eventually

SIGNAL, OTHER = a_signal(), a_signal("xyz:AAPL", at_ms=T0_MS + 10)
TOMORROW = a_signal(at_ms=T0_MS + DAY_MS)
OUTCOMES = [a_followup(SIGNAL, 1000), a_missed(SIGNAL, 3000), a_followup(SIGNAL, 5000)]
OTHERS = [a_missed(OTHER, offset_ms) for offset_ms in OTHER.offsets_ms]


def lines_of(*records) -> list[str]:
    return [record.line().decode().rstrip() for record in records]


class Tailed:
    """A running `hip3 tail`."""

    def __init__(self, folder: Path, data_dir: Path, *options: str) -> None:
        self.out = folder / "out"
        self.process = ProcessUnderTest(
            *HIP3, "tail", "--data-dir", data_dir, *options, log=folder / "err", stdout=self.out, cwd=folder
        )

    def lines(self) -> list[str]:
        return self.out.read_text().splitlines()

    def wait_for(self, *records) -> None:
        expected = sorted(lines_of(*records))
        eventually("the lines are printed", lambda: sorted(self.lines()) == expected, details=self.out.read_text)


def test_it_follows_over_compaction_and_midnight_and_ends_cleanly(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    play(data_dir, [SIGNAL, OTHER, *OUTCOMES, *OTHERS])
    done = compact_day(data_dir, DAY, at_ms=T0_MS + 3 * DAY_MS, delete=True)
    assert done.state is CompactionState.COMPACTED
    tailed = Tailed(tmp_path, data_dir, "--since", "2026-11-22")
    with tailed.process:
        tailed.wait_for(SIGNAL, OTHER, *OUTCOMES, *OTHERS)
        play(data_dir, [TOMORROW])
        tailed.wait_for(SIGNAL, OTHER, *OUTCOMES, *OTHERS, TOMORROW)
        tailed.process.terminate()
        assert tailed.process.wait() == 0
    assert (tmp_path / "err").read_text() == ""


LATE = a_signal("xyz:AAPL", at_ms=T0_MS + 20)


@pytest.mark.parametrize(
    ("options", "expected", "late"),
    [
        (("--signals",), [SIGNAL, OTHER], LATE),
        (("--followups", "--missed"), [*OUTCOMES, *OTHERS], a_missed(LATE, 1000)),
        (("--missed", "--coin", "xyz:AAPL"), OTHERS, a_missed(LATE, 1000)),
        (("--since", "2026-11-22T09:11:41.360"), [OTHER, *OTHERS], LATE),
    ],
)
def test_it_prints_only_the_chosen_lines(tmp_path: Path, options: tuple[str, ...], expected: list, late: Any) -> None:
    data_dir = tmp_path / "data"
    play(data_dir, [SIGNAL, OTHER, *OUTCOMES, *OTHERS])
    since = () if "--since" in options else ("--since", DAY)
    tailed = Tailed(tmp_path, data_dir, *options, *since)
    with tailed.process:
        tailed.wait_for(*expected)
        play(data_dir, [late])
        tailed.wait_for(*expected, late)
        tailed.process.send_signal(signal.SIGINT)
        assert tailed.process.wait() == 130
    assert (tmp_path / "err").read_text() == ""


def test_without_a_time_it_prints_what_comes_after_its_start(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    play(data_dir, [SIGNAL])
    tailed = Tailed(tmp_path, data_dir)
    with tailed.process:
        marks = iter(a_signal("xyz:MARK", at_ms=T0_MS + number) for number in range(10_000))

        def mark_is_printed() -> bool:
            play(data_dir, [next(marks)])
            return bool(tailed.lines())

        eventually("a line that came after the start is printed", mark_is_printed)
        assert lines_of(SIGNAL)[0] not in tailed.lines()


def test_an_absent_directory_is_one_line(tmp_path: Path) -> None:
    tailed = Tailed(tmp_path, tmp_path / "none")
    with tailed.process:
        assert tailed.process.wait() == 2
    assert (tmp_path / "err").read_text().startswith(f"hip3: {tmp_path / 'none'}: there is no such directory;")
