"""`make bench-report`: `hip3 report` and the published query, over the JSONL of a large history and over its Parquet.

DIR holds the history; where it has none yet, one is made first. Runs in `.venv`, which has what the report needs;
`.venv-bench` is for other queues. Takes some 20 GB of disk.
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

from benchmarks.machine import of_machine
from benchmarks.measured import Measured
from benchmarks.processes import stray_cores
from benchmarks.reportpage import Found, section
from benchmarks.sections import with_section

HERE = Path(__file__).parent
HIP3 = str(Path(sys.executable).with_name("hip3"))
QUERY = sys.executable, "-m", "benchmarks.published_query"
LIBRARIES = "polars", "numpy", "orjson"
LISTENING_S = 1.0
SAID_LINES = 12

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(help=__doc__)
def main(
    directory: Annotated[Path, typer.Argument(metavar="[DIR]")] = Path("build/bench-report/history"),
    signals: Annotated[int, typer.Option(min=1, help="of a history that is made")] = 4_402_100,
    hours: Annotated[float, typer.Option(help="of a history that is made")] = 48.4,
    compacted: Annotated[
        Path | None, typer.Option(metavar="DIR", help="the same history, compacted; default: that is done here")
    ] = None,
    repeat: Annotated[int, typer.Option(min=1, help="rounds")] = 3,
    out: Annotated[Path, typer.Option(help="where pages, logs and the section are written")] = Path(
        "build/bench-report"
    ),
    publish: Annotated[bool, typer.Option("--publish", help="the section goes into benchmarks/RESULTS.md too")] = False,
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    console = Console()
    if not _bytes_of(directory, "jsonl"):
        _made(directory, signals, hours, out)
    found = Found(_lines_of(directory, "signals"), of_machine() | {"libraries": _libraries()})
    found.jsonl_bytes = _bytes_of(directory, "jsonl")
    with nullcontext(compacted) if compacted else _linked(directory) as parquet:
        for _ in range(repeat):
            for name, command, read in _steps(directory, parquet, out):
                found.runs.append(_run(name, command, read, found, console, out))
        found.parquet_bytes = _bytes_of(parquet, "parquet")
    text = section(found)
    (out / "REPORT.md").write_text(text)
    console.print(Markdown(text))
    if found.failed():
        raise typer.Exit(1)
    if publish:
        page = HERE / "RESULTS.md"
        page.write_text(with_section(page.read_text(), text))


def _steps(directory: Path, compacted: Path, out: Path) -> Iterator[tuple[str, Sequence[str], Path]]:
    """Name, command, and what it reads; what needs the Parquet only once there is some."""

    def report(data: Path, name: str) -> tuple[str, ...]:
        return HIP3, "report", str(data), "--html", str(out / f"{name}.html"), "--json-out", str(out / f"{name}.json")

    yield "published query, JSONL", (*QUERY, str(directory)), directory
    yield "hip3 report, JSONL", report(directory, "jsonl"), directory
    if not _bytes_of(compacted, "parquet"):
        yield "hip3 compact", (HIP3, "compact", str(compacted), "--delete"), compacted
    if _bytes_of(compacted, "parquet"):
        yield "published query, Parquet", (*QUERY, str(compacted)), compacted
        yield "hip3 report, Parquet", report(compacted, "parquet"), compacted


def _run(name: str, command: Sequence[str], read: Path, found: Found, console: Console, out: Path) -> Measured:
    _warm(read)
    found.stray_cores.append(stray_cores(LISTENING_S))
    run = Measured.of(name, command, log=out / "command.log")
    if run.is_done:
        told = f"{name}: {run.wall_s:.1f} s, CPU {run.cpu_s:.1f} s, {run.peak_mb:,.0f} MB"
        console.print(told, markup=False, soft_wrap=True)
    else:
        tail = "\n".join(run.said.splitlines()[-SAID_LINES:])
        told = f"{name}: failed with {run.exit_code}: {run.command}\n{tail}"
        console.print(told, style="red", markup=False, soft_wrap=True)
    return run


@contextmanager
def _linked(directory: Path) -> Iterator[Path]:
    """The same files in another directory, to be compacted there: links, so that nothing is copied or lost."""
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
    made = Measured.of("history", (*command, *size), log=out / "command.log")
    if not made.is_done:
        raise typer.BadParameter(made.said)


def _warm(directory: Path) -> None:
    buffer = bytearray(1 << 20)
    for path in directory.iterdir():
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def _lines_of(directory: Path, kind: str) -> int:
    total = 0
    for path in directory.glob(f"{kind}_*.jsonl"):
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                total += chunk.count(b"\n")
    return total


def _bytes_of(directory: Path, suffix: str) -> int:
    return sum(path.stat().st_size for path in directory.glob(f"*.{suffix}"))


def _libraries() -> str:
    return ", ".join(f"{name} {version(name)}" for name in LIBRARIES)


if __name__ == "__main__":
    app()
