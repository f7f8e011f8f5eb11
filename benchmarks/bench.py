"""`make bench`: compare this project with other queues on the same job.

Each run has a fresh server, a fresh data directory, two worker processes and its own publisher; then `hip3 audit`
reads the files. After a Ctrl-C, the completed runs are kept.
"""

import json
import signal
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.figures import Figures
from benchmarks.machine import description
from benchmarks.peers import PEERS, Peer
from benchmarks.plot import plot
from benchmarks.results import markdown
from benchmarks.schedule import EVERYDAY, KINDS, QUICK, Extent, max_runs, steps
from benchmarks.sections import LIVE_PAGE, REPLAY, REPORT, section_of, with_section
from benchmarks.trial import QUIET_CORES, Trial
from benchmarks.workload import Workload

HERE = Path(__file__).parent
RUNS = TypeAdapter(Figures)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(help=__doc__)
def main(
    peers: Annotated[str, typer.Option(help=f"comma-separated: {', '.join(PEERS)}")] = ",".join(PEERS),
    kinds: Annotated[
        str, typer.Option(help=f"comma-separated: {', '.join(KINDS)}; only `ours` runs the last three")
    ] = ",".join(EVERYDAY),
    repeat: Annotated[int, typer.Option(min=1, help="number of runs of each burst and steady load")] = 3,
    rates: Annotated[str, typer.Option(help="signals/s of the ramp; default 50 to 2,000")] = "",
    quiet_timeout: Annotated[
        float, typer.Option(min=0, help="longest wait for a quiet machine before each run, s")
    ] = 30,
    quick: Annotated[bool, typer.Option("--quick", help="a few short runs, to check that everything works")] = False,
    out: Annotated[Path, typer.Option(help="directory of runs, table and plot")] = Path("build/bench"),
    add: Annotated[bool, typer.Option("--add", help="keep the runs of this directory")] = False,
    draw: Annotated[
        bool, typer.Option("--draw", help="run nothing; write table and plot of the runs of this directory")
    ] = False,
    publish: Annotated[bool, typer.Option("--publish", help="also write table and plot to benchmarks/")] = False,
) -> None:
    chosen = [PEERS[name] for name in _known(peers, PEERS)]
    extent = QUICK if quick else Extent(repeat=repeat)
    if rates:
        extent = TypeAdapter(Extent).validate_python(asdict(extent) | {"rates": [int(r) for r in rates.split(",")]})
    out.mkdir(parents=True, exist_ok=True)
    file, about = out / "runs.jsonl", out / "machine.json"
    if not draw:
        if not add:
            file.unlink(missing_ok=True)
        about.write_text(json.dumps(description(PEERS.values()), indent=1))
        _run(chosen, _known(kinds, KINDS), extent, file, quiet_timeout_s=quiet_timeout)
    if not file.exists():
        raise typer.Exit(1)
    runs = [RUNS.validate_python(json.loads(line)) for line in file.read_text().splitlines()]
    for folder in (out, HERE) if publish else (out,):
        plot(runs, folder / "results.svg")
        page = folder / "RESULTS.md"
        before, text = page.read_text() if page.exists() else "", markdown(runs, json.loads(about.read_text()))
        for heading in (REPORT, LIVE_PAGE, REPLAY):
            text = with_section(text, section_of(before, heading))
        page.write_text(text)
        print(f"{len(runs)} runs: {page}")


def _run(peers: list[Peer], kinds: list[str], extent: Extent, file: Path, *, quiet_timeout_s: float) -> None:
    """Run everything, and write each result to the file at once; a Ctrl-C stops it cleanly."""
    console = Console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    done: dict[tuple[str, str, int], Figures] = {}
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True, refresh_per_second=1) as progress:
        task = progress.add_task("", total=max_runs(peers, kinds, extent))

        def passed(peer: Peer, workload: Workload, repeat: int) -> bool:
            figures = done.get((peer.name, workload.name, repeat))
            return figures is not None and figures.passes

        try:
            for peer, workload, repeat in steps(peers, kinds, extent, passed=passed):
                progress.update(task, description=f"{peer.name}, {workload.name}", advance=0)
                try:
                    figures = Trial(peer, workload, repeat=repeat).run(quiet_timeout_s=quiet_timeout_s)
                except (RuntimeError, AssertionError, OSError) as error:
                    console.print(f"{peer.name}, {workload.name}: {error}", style="red", markup=False, soft_wrap=True)
                else:
                    done[peer.name, workload.name, repeat] = figures
                    with file.open("a") as lines:
                        lines.write(json.dumps(asdict(figures)) + "\n")
                    console.print(_summary(figures), markup=False, soft_wrap=True)
                progress.advance(task)
        except KeyboardInterrupt:
            console.print("stopped; completed runs are kept")


def _summary(run: Figures) -> str:
    late, cost, outcome = run.outcome.read_ms, run.cost, run.outcome
    wrong = {
        "early": outcome.early,
        "wrong": outcome.wrong_states,
        "lost": outcome.lost,
        "duplicate": outcome.duplicates,
        "missed": outcome.missed,
    }
    noise = f", other processes used {run.machine.stray_before} cores" if run.machine.stray_before > QUIET_CORES else ""
    return (
        "  ".join(
            (
                f"{run.peer:>15}  {run.workload:<14}",
                f"p50 {late.p50:>7.1f}  p99 {late.p99:>7.1f}  max {late.max:>7.1f} ms",
                f"CPU {cost.publish_us:>4.0f} {cost.worker_us:>5.0f} {cost.server_us:>4.0f} µs",
                f"{outcome.captures:>6} right"
                if outcome.is_right
                else ", ".join(f"{n} {w}" for w, n in wrong.items() if n),
            )
        )
        + noise
    )


def _known(given: str, names: Collection[str]) -> list[str]:
    chosen = [name.strip() for name in given.split(",")]
    for name in chosen:
        if name not in names:
            raise typer.BadParameter(f"{name}: expected some of {', '.join(names)}")
    return chosen


if __name__ == "__main__":
    app()
