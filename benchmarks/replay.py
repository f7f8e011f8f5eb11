"""`make bench-replay`: measure `hip3 replay` and `hip3 audit --replay` on a made tape of live size.

DIR holds the tape; an empty DIR gets one first, which takes minutes. The plain loop, in which the detector sees every
entry, runs over every twelfth market of the same tape.
"""

import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markdown import Markdown

from benchmarks.livetape import Shape, make
from benchmarks.machine import machine_description
from benchmarks.processes import stray_cores
from benchmarks.replaypage import ReplayFigures, Run, section
from benchmarks.sections import with_section
from hip3_tasks.tape.load import Recording

HERE = Path(__file__).parent
HIP3 = str(Path(sys.executable).with_name("hip3"))
STRAY_CORES_S = 1.0
PLAIN_SHARE = 12
"""The plain loop gets one market in so many."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(help=__doc__)
def main(
    directory: Annotated[Path, typer.Argument(metavar="[DIR]")] = Path("build/bench-replay/tape"),
    states: Annotated[int, typer.Option(min=1_000_000, help="states of a made tape")] = Shape().states,
    markets: Annotated[int, typer.Option(min=1, max=999, help="markets of a made tape")] = Shape().markets,
    repeat: Annotated[int, typer.Option(min=1, help="number of rounds")] = 3,
    audit: Annotated[bool, typer.Option("--audit", help="also measure `hip3 audit --replay` of its files")] = False,
    out: Annotated[Path, typer.Option(help="directory of replays, logs and the section")] = Path("build/bench-replay"),
    publish: Annotated[bool, typer.Option("--publish", help="also write the section to benchmarks/RESULTS.md")] = False,
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    console = Console()
    if not (directory / "tape").is_dir():
        make(directory, Shape(states=states, markets=markets))
    recording = Recording(directory)
    figures = ReplayFigures(
        recording.row_counts,
        machine_description(),
        tape_bytes=sum(path.stat().st_size for path in (directory / "tape").glob("*.parquet")),
        sample=recording.coins[::PLAIN_SHARE],
    )
    for _ in range(repeat):
        for name, command in _steps(directory, out, figures.sample, with_audit=audit):
            figures.stray_cores.append(stray_cores(STRAY_CORES_S))
            figures.runs.append(Run.measured(name, command, log=out / "command.log"))
            console.print(str(figures.runs[-1]), markup=False, soft_wrap=True)
        figures.lines = {kind: _count_lines(out / "all", kind) for kind in ("signals", "followups", "missed")}
        figures.is_same &= _sorted_lines(out / "some") == _sorted_lines(out / "plain")
    text = section(figures)
    (out / "REPLAY.md").write_text(text)
    console.print(Markdown(text))
    if not figures.is_same or any(run.exit_code for run in figures.runs):
        raise typer.Exit(1)
    if publish:
        page = HERE / "RESULTS.md"
        page.write_text(with_section(page.read_text(), text))


def _steps(directory: Path, out: Path, sample: Sequence[str], *, with_audit: bool) -> Iterator[tuple[str, list[str]]]:
    """Name and command of each step."""
    for name in ("all", "some", "plain"):
        shutil.rmtree(out / name, ignore_errors=True)
    replay = HIP3, "replay", str(directory), "--out"
    yield "hip3 replay", [*replay, str(out / "all")]
    if with_audit:
        for path in (directory / "tape", directory / "rules.jsonl"):
            (out / "all" / path.name).symlink_to(path.resolve())
        yield "hip3 audit --replay", [HIP3, "audit", "--replay", str(out / "all")]
    yield (
        "hip3 replay, sample",
        [HIP3, "replay", str(directory), "--out", str(out / "some"), "--coin", ",".join(sample)],
    )
    yield (
        "plain loop, sample",
        [sys.executable, "-m", "benchmarks.plain_loop", str(directory), str(out / "plain"), *sample],
    )


def _count_lines(directory: Path, kind: str) -> int:
    total = 0
    for path in directory.glob(f"{kind}_*.jsonl"):
        with path.open("rb") as file:
            total += sum(1 for _ in file)
    return total


def _sorted_lines(directory: Path) -> list[bytes]:
    return sorted(line for path in directory.glob("*.jsonl") for line in path.read_bytes().splitlines())


if __name__ == "__main__":
    app()
