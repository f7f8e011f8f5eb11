"""What the benchmark of `hip3 report` found, as a section of RESULTS.md."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.measured import Measured
from benchmarks.sections import REPORT

NOTES = """\
By `make bench-report`, in `.venv`. Each row is a process of its own, run after its files have been read once, so
that they come from memory as far as there is room; medians over the rounds, with the range in brackets. CPU is user and
system; memory is the most that the largest process held.
"""


@dataclass(slots=True)
class Found:
    """All runs over one history."""

    signals: int
    machine: Mapping[str, str]
    runs: list[Measured] = field(default_factory=list)
    jsonl_bytes: int = 0
    parquet_bytes: int = 0
    stray_cores: list[float] = field(default_factory=list)
    """Used by others before each run."""

    def failed(self) -> list[Measured]:
        return [run for run in self.runs if not run.is_done]


def section(found: Found) -> str:
    return "\n".join(_section(found)) + "\n"


def _section(found: Found) -> Iterator[str]:
    yield REPORT
    yield f"A made history of {found.signals:,} signals, `python -m simulator.history`.\n"
    yield from (f"- {name}: {value}" for name, value in found.machine.items())
    yield f"\n{NOTES}"
    yield "|  | wall s | CPU s | memory MB |"
    yield "| --- | ---: | ---: | ---: |"
    for name in dict.fromkeys(run.name for run in found.runs):
        yield _row(name, [run for run in found.runs if run.name == name and run.is_done])
    yield f"\nOn disk: JSONL {found.jsonl_bytes / 1e9:.2f} GB" + _parquet(found)
    yield f"Cores used by others before the runs: most {max(found.stray_cores):.2f}."


def _row(name: str, runs: Sequence[Measured]) -> str:
    if not runs:
        return f"| {name} | failed |  |  |"
    figures = [[run.wall_s for run in runs], [run.cpu_s for run in runs], [run.peak_mb for run in runs]]
    return f"| {name} | {_range(figures[0], 1)} | {_range(figures[1], 1)} | {_range(figures[2], 0)} |"


def _range(values: Sequence[float], digits: int) -> str:
    middle = f"{median(values):,.{digits}f}"
    return middle if len(values) < 2 else f"{middle} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


def _parquet(found: Found) -> str:
    if not found.parquet_bytes:
        return "."
    ratio = found.jsonl_bytes / found.parquet_bytes
    return f", Parquet {found.parquet_bytes / 1e9:.2f} GB: **{ratio:.1f} times** smaller."
