"""The results of the benchmark of `hip3 report`, as a section of RESULTS.md."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.measured import Measured
from benchmarks.sections import REPORT

NOTES = """\
By `make bench-report`, in `.venv`. Each row is a separate process, run after its files have been read once, so that
they come from memory as far as they fit; medians over the rounds, with the range in brackets. CPU is user and system
time; memory is the peak of the largest process.
"""


@dataclass(slots=True)
class ReportFigures:
    """The figures of all runs on one history."""

    signals: int
    machine: Mapping[str, str]
    runs: list[Measured] = field(default_factory=list)
    jsonl_bytes: int = 0
    parquet_bytes: int = 0
    stray_cores: list[float] = field(default_factory=list)
    """Cores used by other processes before each run."""

    def failed(self) -> list[Measured]:
        return [run for run in self.runs if not run.is_done]


def section(figures: ReportFigures) -> str:
    return "\n".join(_section(figures)) + "\n"


def _section(figures: ReportFigures) -> Iterator[str]:
    yield REPORT
    yield f"A simulated history of {figures.signals:,} signals, `python -m simulator.history`.\n"
    yield from (f"- {name}: {value}" for name, value in figures.machine.items())
    yield f"\n{NOTES}"
    yield "|  | wall s | CPU s | memory MB |"
    yield "| --- | ---: | ---: | ---: |"
    for name in dict.fromkeys(run.name for run in figures.runs):
        yield measured_row(name, [run for run in figures.runs if run.name == name and run.is_done])
    yield f"\nOn disk: JSONL {figures.jsonl_bytes / 1e9:.2f} GB" + _parquet(figures)
    yield f"Cores used by others before the runs: most {max(figures.stray_cores):.2f}."


def measured_row(name: str, runs: Sequence[Measured]) -> str:
    if not runs:
        return f"| {name} | failed |  |  |"
    figures = [[run.wall_s for run in runs], [run.cpu_s for run in runs], [run.peak_mb for run in runs]]
    return f"| {name} | {_range(figures[0], 1)} | {_range(figures[1], 1)} | {_range(figures[2], 0)} |"


def _range(values: Sequence[float], digits: int) -> str:
    middle = f"{median(values):,.{digits}f}"
    return middle if len(values) < 2 else f"{middle} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


def _parquet(figures: ReportFigures) -> str:
    if not figures.parquet_bytes:
        return "."
    ratio = figures.jsonl_bytes / figures.parquet_bytes
    return f", Parquet {figures.parquet_bytes / 1e9:.2f} GB: **{ratio:.1f} times** smaller."
