"""`make universe`: whole systems in virtual time, each with its own accidents, chosen by its seed.

A universe holds the real feed, scripts, capturer and journal in one thread. After it the laws of `tests.universe.laws`
must hold. A failure prints its seed and the end of its trace, and `--seed` replays it to the byte.
The exit status is 1 when a law was broken.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.universe.controls import CONTROLS
from tests.universe.seeds import ONCE_FAILED
from tests.universe.world import STEPS_EACH, TRACE_LINES, Result, run_shortened, run_universe

CHUNK = 8
CHUNKS = 250
"""A process ends after so many: one that is killed in a universe leaves a file open now and then."""
COVERED = ("feed/*", "hip3_tasks/store/*", "hip3_tasks/files/*", "hip3_tasks/domain/*", "workers/capturer.py")

NAMES = ", ".join(filter(None, CONTROLS))

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(help=__doc__)
def main(
    count: Annotated[int, typer.Option("-n", min=1, help="number of universes")] = 1000,
    first: Annotated[int, typer.Option("--from", min=0, help="first seed")] = 0,
    seed: Annotated[int | None, typer.Option(min=0, help="run this one alone, and print its whole trace")] = None,
    steps: Annotated[int, typer.Option(min=1, help="accidents and moves of the market in each")] = STEPS_EACH,
    control: Annotated[str, typer.Option(help=f"build in a fault, to be found: {NAMES}")] = "",
    jobs: Annotated[int, typer.Option(min=0, help="processes; 0: none but this one")] = os.cpu_count() or 1,
    unreached: Annotated[bool, typer.Option(help="which lines of the product no universe reached")] = False,
) -> None:
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of a set of texts is part of a universe
        os.execve(sys.executable, [sys.executable, "-m", "tests.universe", *sys.argv[1:]], _fixed_hashes())
    if control not in CONTROLS:
        raise typer.BadParameter(f"{control!r} is none of {NAMES}", param_hint="--control")
    console = Console()
    if seed is not None:
        raise typer.Exit(_replay(seed, steps, control, console))
    if unreached:
        raise typer.Exit(_tell_unreached("-n", str(count), "--from", str(first), "--steps", str(steps)))
    seeds = [*(s for s in ONCE_FAILED if first == 0), *range(first, first + count)]
    raise typer.Exit(_run(seeds, steps, jobs, control, console))


def _fixed_hashes() -> dict[str, str]:
    return os.environ | {"PYTHONHASHSEED": "0"}


def _replay(seed: int, steps: int, control: str, console: Console) -> int:
    result = run_universe(seed, steps=steps, control=control)
    console.print("\n".join(result.trace), markup=False, highlight=False, soft_wrap=True)
    return 1 if result.failure else 0


def _run(seeds: list[int], steps: int, jobs: int, control: str, console: Console) -> int:
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell lets a command in the background ignore SIGINT
        signal.signal(number, signal.default_int_handler)
    drawn, failures, records = Counter[str](), list[int](), Counter[str]()
    began_s, done = time.monotonic(), 0
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    try:
        with closing(_results(seeds, steps, jobs, control)) as results, Progress(*columns, console=console) as progress:
            task = progress.add_task("universes", total=len(seeds))
            for result in results:
                done += 1
                drawn += result.drawn
                records.update(signals=result.signals, followups=result.followups, missed=result.missed)
                if result.failure:
                    failures.append(result.seed)
                    _tell_failure(result, progress.console)
                progress.update(task, advance=1, description=f"universes, {len(failures)} failed")
    except KeyboardInterrupt:
        console.print("stopped")
    seconds = time.monotonic() - began_s
    console.print(
        f"{done:,} universes of {steps} steps, {60 * done / seconds:,.0f} a minute: {records['signals']:,} signals, "
        f"{records['followups']:,} follow-ups, {records['missed']:,} missed; {len(failures)} failed"
        + "".join(f" {seed}" for seed in failures),
        highlight=False,
    )
    for name, count in sorted(drawn.items()):
        console.print(f"  {count:>9,}  {name}", highlight=False)
    return 1 if failures else (0 if done == len(seeds) else 130)


def _results(seeds: list[int], steps: int, jobs: int, control: str) -> Iterator[Result]:
    if not jobs:
        yield from map(partial(run_shortened, steps=steps, control=control), seeds)
        return
    leave_to_parent = signal.signal, (signal.SIGINT, signal.SIG_IGN)
    with multiprocessing.get_context("spawn").Pool(jobs, *leave_to_parent, maxtasksperchild=CHUNKS) as pool:
        yield from pool.imap_unordered(partial(run_shortened, steps=steps, control=control), seeds, chunksize=CHUNK)


def _tell_failure(result: Result, console: Console) -> None:
    text = "\n".join([*result.trace[-TRACE_LINES:], f"seed {result.seed}: {result.failure}"])
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _tell_unreached(*options: str) -> int:
    """Run universes under coverage from their first import on, and print what none of them reached."""
    with tempfile.TemporaryDirectory() as folder:
        command, data = (sys.executable, "-m", "coverage"), f"--data-file={folder}/coverage"
        run = "run", "--rcfile=/dev/null", f"--include={','.join(COVERED)}", data, "-m", "tests.universe", "--jobs=0"
        failed = subprocess.run([*command, *run, *options]).returncode
        subprocess.run([*command, "report", "--rcfile=/dev/null", "--show-missing", "--skip-covered", data], check=True)
    return failed


if __name__ == "__main__":
    app()
