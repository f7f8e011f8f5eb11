"""`make bench-report`: measure `hip3 report` and the published query on the JSONL and the Parquet of a large history.

DIR holds the history; an empty DIR gets a simulated history first. Runs in `.venv`, which has the packages of the
report. Needs some 20 GB of disk.
"""

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markdown import Markdown

from benchmarks.machine import machine_description
from benchmarks.measured import Measured
from benchmarks.processes import stray_cores
from benchmarks.reportpage import ReportFigures, section
from benchmarks.sections import with_section

HERE = Path(__file__).parent
HIP3 = str(Path(sys.executable).with_name("hip3"))
QUERY = sys.executable, "-m", "benchmarks.published_query"
LIBRARIES = "polars", "numpy", "orjson"
STRAY_CORES_S = 1.0
OUTPUT_LINES = 12

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(help=__doc__)
def main(
    directory: Annotated[Path, typer.Argument(metavar="[DIR]")] = Path("build/bench-report/history"),
    signals: Annotated[int, typer.Option(min=1, help="signals of a simulated history")] = 4_402_100,
    hours: Annotated[float, typer.Option(help="hours of a simulated history")] = 48.4,
    compacted: Annotated[
        Path | None, typer.Option(metavar="DIR", help="the same history, compacted; by default it is compacted here")
    ] = None,
    repeat: Annotated[int, typer.Option(min=1, help="number of rounds")] = 3,
    out: Annotated[Path, typer.Option(help="directory of pages, logs and the section")] = Path("build/bench-report"),
    publish: Annotated[bool, typer.Option("--publish", help="also write the section to benchmarks/RESULTS.md")] = False,
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    console = Console()
    if not _size(directory, "jsonl"):
        _made(directory, signals, hours, out)
    figures = ReportFigures(_count_lines(directory, "signals"), machine_description() | {"libraries": _libraries()})
    figures.jsonl_bytes = _size(directory, "jsonl")
    with nullcontext(compacted) if compacted else _linked(directory) as parquet:
        for _ in range(repeat):
            for name, command, read in _steps(directory, parquet, out):
                figures.runs.append(_run(name, command, read, figures, console, out))
        figures.parquet_bytes = _size(parquet, "parquet")
    text = section(figures)
    (out / "REPORT.md").write_text(text)
    console.print(Markdown(text))
    if figures.failed():
        raise typer.Exit(1)
    if publish:
        page = HERE / "RESULTS.md"
        page.write_text(with_section(page.read_text(), text))


def _steps(directory: Path, compacted: Path, out: Path) -> Iterator[tuple[str, Sequence[str], Path]]:
    """Name, command and input directory of each step; the steps on Parquet once there is Parquet."""

    def report(data: Path, name: str) -> tuple[str, ...]:
        return HIP3, "report", str(data), "--html", str(out / f"{name}.html"), "--json-out", str(out / f"{name}.json")

    yield "published query, JSONL", (*QUERY, str(directory)), directory
    yield "hip3 report, JSONL", report(directory, "jsonl"), directory
    if not _size(compacted, "parquet"):
        yield "hip3 compact", (HIP3, "compact", str(compacted), "--delete"), compacted
    if _size(compacted, "parquet"):
        yield "published query, Parquet", (*QUERY, str(compacted)), compacted
        yield "hip3 report, Parquet", report(compacted, "parquet"), compacted


def _run(
    name: str, command: Sequence[str], read: Path, figures: ReportFigures, console: Console, out: Path
) -> Measured:
    _warm(read)
    figures.stray_cores.append(stray_cores(STRAY_CORES_S))
    run = Measured.from_run(name, command, log=out / "command.log")
    if run.is_done:
        message = f"{name}: {run.wall_s:.1f} s, CPU {run.cpu_s:.1f} s, {run.peak_mb:,.0f} MB"
        console.print(message, markup=False, soft_wrap=True)
    else:
        tail = "\n".join(run.output.splitlines()[-OUTPUT_LINES:])
        message = f"{name}: failed with {run.exit_code}: {run.command}\n{tail}"
        console.print(message, style="red", markup=False, soft_wrap=True)
    return run


@contextmanager
def _linked(directory: Path) -> Iterator[Path]:
    """A directory of links to the same files, to compact there: nothing is copied, and the originals stay."""
    linked = directory.with_name(f"{directory.name}.compacted")
    shutil.rmtree(linked, ignore_errors=True)
    linked.mkdir()
    try:
        for path in directory.glob("*.jsonl"):
            os.link(path, linked / path.name)
        yield linked
    finally:
        shutil.rmtree(linked)


def _made(directory: Path, signals: int, hours: float, out: Path) -> None:
    command = (sys.executable, "-m", "simulator.history", str(directory))
    size = ("--signals", str(signals), "--hours", str(hours))
    made = Measured.from_run("history", (*command, *size), log=out / "command.log")
    if not made.is_done:
        raise typer.BadParameter(made.output)


def _warm(directory: Path) -> None:
    buffer = bytearray(1 << 20)
    for path in directory.iterdir():
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def _count_lines(directory: Path, kind: str) -> int:
    total = 0
    for path in directory.glob(f"{kind}_*.jsonl"):
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                total += chunk.count(b"\n")
    return total


def _size(directory: Path, suffix: str) -> int:
    return sum(path.stat().st_size for path in directory.glob(f"*.{suffix}"))


def _libraries() -> str:
    return ", ".join(f"{name} {version(name)}" for name in LIBRARIES)


if __name__ == "__main__":
    app()
