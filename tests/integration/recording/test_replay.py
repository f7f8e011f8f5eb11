"""`hip3 replay` of a large tape: its processes give what one gives, and end with it, whatever ends it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Timer

import polars as pl
import psutil
import pytest

from hip3_tasks.domain.capture import DAY_MS, HOUR_MS
from hip3_tasks.domain.market import NO_DATA, Entry, Gap
from hip3_tasks.recording.replay import Replay
from hip3_tasks.recording.replay_files import ReplayFiles, lines_by_file
from hip3_tasks.recording.workers import MIN_ROWS, workers
from hip3_tasks.tape.columns import SCHEMA, frame_of, row_of
from hip3_tasks.tape.load import Recording
from hip3_tasks.tape.pieces import PieceInfo, day_path, hour_path, write_piece
from tests.support.factories import T0_MS, a_market
from tests.support.tapes import news
from tests.support.waiting import TIMEOUT_S, eventually

DAY_START_MS = T0_MS // DAY_MS * DAY_MS
NEW_ORACLE = 100
COINS = [f"xyz:M{number}" for number in range(6)]


def rows_of(coin: str, *, from_ms: int, count: int, step_ms: int) -> pl.DataFrame:
    """A market whose oracle is new every 100 entries; in every fourth, the touch is through it."""
    market = replace(a_market(at_ms=from_ms, bid_px=248.5, ask_px=249.0), bbo_at_ms=from_ms)
    row = frame_of([row_of(coin, 0, news(market, at_ms=from_ms))])
    number = pl.int_range(count)
    rows = row.select(pl.all().repeat_by(count).list.explode()).with_columns(at_ms=from_ms + number * step_ms)
    moved = number // NEW_ORACLE
    ask_px = pl.when(number % 4 == 0).then(pl.col("ask_px")).otherwise(260.0)
    rows = rows.with_columns(
        ask_px=ask_px, oracle_px=250.0 + moved % 1000 / 1000, oracle_at_ms=from_ms + moved * NEW_ORACLE * step_ms
    )
    return rows.select(pl.col(name).cast(kind) for name, kind in SCHEMA.items())


def keep(path: Path, from_ms: int, until_ms: int, *, count: int) -> None:
    step_ms = (until_ms + 1 - from_ms) // count
    beginning = Entry(from_ms, Gap(NO_DATA))
    rows = [
        frame
        for coin in COINS
        for frame in (
            frame_of([row_of(coin, 0, beginning)]),
            rows_of(coin, from_ms=from_ms + 1, count=count - 1, step_ms=step_ms),
        )
    ]
    write_piece(path, pl.concat(rows), PieceInfo(from_ms=from_ms, until_ms=until_ms), level=1, group_rows=50_000)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tape that is large enough for processes: a day, a hole, and an hour."""
    data_dir = tmp_path_factory.mktemp("tape")
    keep(day_path(data_dir, DAY_START_MS), DAY_START_MS, DAY_START_MS + DAY_MS - 1, count=MIN_ROWS // len(COINS) + 1)
    from_ms = DAY_START_MS + DAY_MS + HOUR_MS
    keep(hour_path(data_dir, from_ms), from_ms, from_ms + HOUR_MS - 1, count=7_200)
    return data_dir


def test_processes_give_what_one_gives(data_dir: Path, tmp_path: Path) -> None:
    lines = {}
    for processes in (1, 3):
        folder = tmp_path / str(processes)
        folder.mkdir()
        with workers(processes) as mapped, ReplayFiles(folder) as files:
            for step in Replay(Recording(data_dir)).steps(lines_by_file, mapped=mapped):
                files.write(step)
        lines[processes] = {path.name: path.read_bytes() for path in folder.iterdir()}
        assert sum(map(len, lines[processes].values())) > 10**6
    assert lines[1] == lines[3]


@contextmanager
def replaying(data_dir: Path, out: Path) -> Iterator[tuple[subprocess.Popen[str], list[psutil.Process]]]:
    """`hip3 replay` in a session of its own, once its processes run; and those processes."""
    command = (sys.executable, "-m", "hip3_tasks", "replay", str(data_dir), "--out", str(out))
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    root = psutil.Process(process.pid)

    def children() -> list[psutil.Process]:
        spawned = [child for child in root.children() if "spawn_main" in " ".join(child.cmdline())]
        return spawned if len(spawned) > 1 else []

    started = eventually("the processes of the replay run", children)
    try:
        yield process, started
        _, living = psutil.wait_procs(started, timeout=30)
        assert not living
    finally:
        for left in [root, *started]:
            if left.is_running():
                left.kill()
        process.wait()


def test_ctrl_c_leaves_no_process_and_no_file(data_dir: Path, tmp_path: Path) -> None:
    with replaying(data_dir, tmp_path / "out") as (process, _):
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, errors, [*tmp_path.iterdir()]) == (130, "", [])


def test_processes_end_when_their_parent_is_killed(data_dir: Path, tmp_path: Path) -> None:
    with replaying(data_dir, tmp_path / "out") as (process, _):
        process.kill()
        process.communicate(timeout=TIMEOUT_S)


def test_a_killed_process_is_said_in_one_line(data_dir: Path, tmp_path: Path) -> None:
    with replaying(data_dir, tmp_path / "out") as (process, started):
        started[0].kill()
        _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode not in (0, None)
    assert len(errors.splitlines()) == 1
    assert "was killed" in errors
    assert [*tmp_path.iterdir()] == []


def killed_while_it_answers(after_s: float) -> bytes:
    Timer(after_s, os.kill, (os.getpid(), signal.SIGKILL)).start()
    return bytes(200_000_000)


KILLED = """
from hip3_tasks.errors import Unavailable
from hip3_tasks.recording.workers import workers
from tests.integration.recording.test_replay import killed_while_it_answers

if __name__ == "__main__":
    for number in range(6):
        try:
            with workers(2) as mapped:
                list(mapped(killed_while_it_answers, [number / 50] * 2))
        except Unavailable:
            print("killed")
"""


def test_a_process_killed_in_the_middle_of_a_result_keeps_no_one_waiting(tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    root = Path(__file__).parents[3]
    done = subprocess.run(
        (sys.executable, str(script)),
        env=os.environ | {"PYTHONPATH": str(root)},
        timeout=TIMEOUT_S,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines().count("killed") > 3
