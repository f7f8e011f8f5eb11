"""Rows 1 to 3: one append by the real journal, with crashes, errors and torn lines."""

import itertools
import os
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hip3_tasks.files import append_file as appendfile
from tests.faults.appender import AFTER, BATCH, BEFORE, REFUSED
from tests.faults.lines import broken_lines, keys_of, recover
from tests.faults.row import Result, Setting
from tests.support.factories import DAY
from tests.support.process import ROOT

TIMEOUT_S = 60
PROCESSES = os.cpu_count() or 1
ERRORS = "EIO", "ENOSPC", "EINTR"

EXPECTED = *BEFORE, *BATCH, AFTER

_WHOLE = b"".join(record.line() for record in BEFORE)
_NEXT = BATCH[0].line()
STARTS = {
    "fresh": b"",
    "existing": _WHOLE,
    "torn": _WHOLE + _NEXT[: len(_NEXT) // 2],
    "no newline": _WHOLE + _NEXT[:-1],
    "NUL tail": _WHOLE + bytes(100),
    "already there": _WHOLE + _NEXT,
}


@dataclass(frozen=True, slots=True)
class Point:
    """One run of the appender under strace, and the faults that strace injects."""

    start: str
    inject: tuple[str, ...]
    answers: tuple[int, ...]
    """The correct exit codes."""

    def __str__(self) -> str:
        return f"{self.start}; {', '.join(self.inject)}"


def crashes(setting: Setting) -> Result:
    """SIGKILL at the start of each system call of an append that touches its files."""
    points = [
        Point(start, (f"{call}:signal=SIGKILL:when={number}",), answers=(-9, 128 + 9))
        for start in STARTS
        for call, number in _calls(start, setting.folder)
    ]
    return _all(points, setting)


def errors(setting: Setting) -> Result:
    """Each of three errors from each of these calls; then from a write or sync and from the truncation after it."""
    points = [
        Point(start, (f"{call}:error={error}:when={number}",), answers=(0, REFUSED))
        for start in STARTS
        for call, number in _calls(start, setting.folder)
        for error in ERRORS
    ]
    points += [
        Point(start, (f"{first}:error={error}:when=1", f"ftruncate:error={then}:when=1"), answers=(0, REFUSED))
        for start, first, error, then in itertools.product(STARTS, ("write", "fdatasync"), ERRORS, ERRORS)
    ]
    return _all(points, setting)


def torn_tails(setting: Setting) -> Result:
    """A file cut at every byte, followed by the data that a disk may leave after the cut."""
    result, chance = Result(), random.Random(3)
    tails: dict[str, Callable[[int], bytes]] = {
        "nothing": lambda size: b"",
        "zeros": bytes,
        "random bytes": chance.randbytes,
        "no UTF-8": lambda size: b"\xff\xc3\x28" * (size // 3 + 1),
    }
    whole = _WHOLE + _NEXT
    with _without_sync():
        for cut, kind in setting.sample(itertools.product(range(len(whole)), tails)):
            data_dir = setting.folder / "data"
            _begin(data_dir, whole[:cut] + tails[kind](len(whole) - cut))
            result.injected += 1
            recover(data_dir, EXPECTED, result, when=f"cut at {cut}, then {kind}", noise=broken_lines(data_dir))
            shutil.rmtree(data_dir)
    return result


def _all(points: Sequence[Point], setting: Setting) -> Result:
    result, chosen = Result(), list(setting.sample(points))
    if not shutil.which("strace"):
        result.note = "not tried: no strace"
        return result
    folders = [setting.folder / f"{number}" for number in range(len(chosen))]
    with ThreadPoolExecutor(PROCESSES) as pool:
        for done, process in enumerate(pool.map(_run, chosen, folders)):
            _judge_point(chosen[done], folders[done], process, result)
            shutil.rmtree(folders[done])
            setting.advance(done + 1, len(chosen))
    return result


def _judge_point(point: Point, data_dir: Path, process: "subprocess.CompletedProcess[str]", result: Result) -> None:
    result.injected += len(point.inject)
    if process.returncode not in point.answers:
        result.unclear += 1
        result.add_broken(f"{point}: exit {process.returncode}: {process.stdout[-200:]}{process.stderr[-400:]}")
    acknowledged = keys_of(BATCH) if "done" in process.stdout else ()
    recover(data_dir, EXPECTED, result, when=str(point), acknowledged=acknowledged)


def _calls(start: str, folder: Path) -> Iterator[tuple[str, int]]:
    """The system calls of an append that touch its files, each with its number among the calls of that name."""
    if not shutil.which("strace"):
        return
    trace, data_dir = folder / "trace", folder / "counted"
    process = _run(Point(start, (), answers=(0,)), data_dir, trace=trace)
    assert process.returncode == 0, process.stderr
    shutil.rmtree(data_dir)
    numbers = Counter[str]()
    for call in re.findall(r"^(\w+)\(", trace.read_text(), re.MULTILINE):
        numbers[call] += 1
        yield call, numbers[call]


def _run(point: Point, data_dir: Path, *, trace: Path = Path(os.devnull)) -> "subprocess.CompletedProcess[str]":
    _begin(data_dir, STARTS[point.start])
    files = [word for kind in ("followups", "missed") for word in ("-P", str(data_dir / f"{kind}_{DAY}.jsonl"))]
    injections = [word for injection in point.inject for word in ("-e", f"inject={injection}")]
    strace = ["strace", "-q", "-o", str(trace), "-e", "trace=all", *files, *injections]
    return subprocess.run(
        [*strace, sys.executable, "-m", "tests.faults.appender", str(data_dir)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def _begin(data_dir: Path, content: bytes) -> None:
    data_dir.mkdir()
    if content:
        (data_dir / f"followups_{DAY}.jsonl").write_bytes(content)


@contextmanager
def _without_sync() -> Iterator[None]:
    """Skip the sync, for thousands of cases without a power cut."""
    sync, appendfile._sync = appendfile._sync, lambda fd: None
    try:
        yield
    finally:
        appendfile._sync = sync
