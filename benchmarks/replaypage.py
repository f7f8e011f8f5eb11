"""The results of the benchmark of `hip3 replay`, as a section of RESULTS.md."""

import resource
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Self

import psutil

from benchmarks.sections import REPLAY

LIMIT_S, LIMIT_MB = 60, 2 * 2**30 / 1e6
SAMPLE_S = 1.0
NOTES = """\
By `make bench-replay`, in `.venv`. Each row is a whole command in a process of its own, with the processes that it
starts; minimum and median over the rounds. CPU is user and system time of all of them; memory is the peak of their
proportional set sizes, summed, looked at once a second. The plain loop shows the detector every entry of the
sample, and gives the same lines.
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a command, with all its processes."""

    name: str
    command: str
    wall_s: float
    cpu_s: float
    peak_mb: float
    exit_code: int

    @classmethod
    def measured(cls, name: str, command: Sequence[str], *, log: Path) -> Self:
        """Run a command to its end, with its output in `log`."""
        cpu_s, began_s, peak = _children_cpu_s(), time.monotonic(), 0
        with log.open("wb") as output:
            process = psutil.Popen(command, stdout=output, stderr=output)
            while process.poll() is None:
                peak = max(peak, _pss_bytes(process))
                with suppress(psutil.TimeoutExpired):
                    process.wait(SAMPLE_S)
        wall_s = time.monotonic() - began_s
        return cls(name, shlex.join(command), wall_s, _children_cpu_s() - cpu_s, peak / 1e6, process.returncode)

    def __str__(self) -> str:
        text = f"{self.name}: {self.wall_s:.1f} s, CPU {self.cpu_s:.1f} s, {self.peak_mb:,.0f} MB"
        return text if not self.exit_code else f"{text}; failed with {self.exit_code}: {self.command}"


@dataclass(slots=True)
class ReplayFigures:
    """The figures of all runs on one tape."""

    row_counts: Sequence[Mapping[str, int]]
    """The states of each market, for each piece."""
    machine: Mapping[str, str]
    tape_bytes: int
    sample: Sequence[str]
    """The markets of the plain loop."""
    runs: list[Run] = field(default_factory=list)
    stray_cores: list[float] = field(default_factory=list)
    """Cores used by other processes before each run."""
    lines: Mapping[str, int] = field(default_factory=dict)
    is_same: bool = True
    """Whether the plain loop gave the same lines."""

    def states(self, coins: Sequence[str] | None = None) -> int:
        """The states of some markets, or of all."""
        return sum(count for part in self.row_counts for coin, count in part.items() if coins is None or coin in coins)

    def values(self, name: str, attribute: str) -> list[float]:
        return [getattr(run, attribute) for run in self.runs if run.name == name]


def section(figures: ReplayFigures) -> str:
    return "\n".join(_section(figures)) + "\n"


def _section(figures: ReplayFigures) -> Iterator[str]:
    states = figures.states()
    yield REPLAY
    yield f"A made tape of {len(figures.row_counts)} days, {len(figures.row_counts[0])} markets and {states:,} states,"
    yield f"{figures.tape_bytes / 1e9:.2f} GB ({figures.tape_bytes / states:.1f} bytes a state), by `livetape.py`."
    yield "A replay gives"
    yield ", ".join(f"{count:,} {kind}" for kind, count in figures.lines.items()) + ".\n"
    yield from (f"- {name}: {value}" for name, value in figures.machine.items())
    yield f"\n{NOTES}"
    yield "|  | states | wall s, min / median | CPU s, min / median | memory MB | states / CPU s |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    for name in dict.fromkeys(run.name for run in figures.runs):
        count = figures.states(figures.sample if name.endswith("sample") else None)
        cpu_s = figures.values(name, "cpu_s")
        walls = _least_and_median(figures.values(name, "wall_s"))
        memory_mb = max(figures.values(name, "peak_mb"))
        speed = count / median(cpu_s)
        yield f"| {name} | {count:,} | {walls} | {_least_and_median(cpu_s)} | {memory_mb:,.0f} | {speed:,.0f} |"
    yield f"\nThe limits of a replay are {LIMIT_S} s on two cores that are free, and {LIMIT_MB:,.0f} MB."
    yield f"**A replay takes {_factor(figures):.1f} times less CPU than the plain loop over the same markets.**"
    least, most = min(figures.stray_cores), max(figures.stray_cores)
    yield f"Cores used by others before the runs: {least:.2f} to {most:.2f}."


def _factor(figures: ReplayFigures) -> float:
    plain, fast = (median(figures.values(f"{name}, sample", "cpu_s")) for name in ("plain loop", "hip3 replay"))
    return plain / fast


def _least_and_median(values: Sequence[float]) -> str:
    return f"{min(values):,.1f} / {median(values):,.1f}"


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _pss_bytes(root: psutil.Process) -> int:
    total = 0
    with suppress(psutil.Error):
        for process in [root, *root.children(recursive=True)]:
            with suppress(psutil.Error):
                total += process.memory_full_info().pss
    return total
