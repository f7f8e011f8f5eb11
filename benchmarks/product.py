"""`make bench-product`: compare CPU, memory and lateness of the whole product at live size with a budget.

Runs `hip3 up` and a venue twice: 150 markets with 450 frames and 3 signals per second, then also with 100 markets that
move within 50 ms every 6 s. With --label, the figures are added to benchmarks/product.jsonl, and benchmarks/PRODUCT.md
shows all labels side by side; without, they are only printed. Ctrl-C ends all processes.

With --pairs, each load is run so often with the tape kept and without, in turn, which shows what the recorder costs.
The load `dense`, of 5,100 states per second, is only run on request.
"""

import asyncio
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Annotated

import orjson
import typer
from pydantic import TypeAdapter
from rich.console import Console
from rich.markdown import Markdown
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from benchmarks.checkout import Checkout
from benchmarks.footprint import ALL
from benchmarks.productfigures import Stretch
from benchmarks.productpage import markdown
from benchmarks.productrun import Options, measured
from benchmarks.recordercost import without_recorder
from benchmarks.venue import BUDGETED, LOADS
from hip3_tasks.settings import PREFIX

KEPT = Path(__file__).with_name("product.jsonl")
PAGE = "PRODUCT.md"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(help=__doc__)
def main(
    label: Annotated[str, typer.Option(help="column of the table, such as before; without it no figure is kept")] = "",
    seconds: Annotated[int, typer.Option(min=1, help="length of each run, after it has settled")] = 120,
    settle: Annotated[
        int, typer.Option(min=0, metavar="SECONDS", help="time before the measurement, while processes start")
    ] = 20,
    rounds: Annotated[int, typer.Option(min=1, help="runs of each load; the table has medians")] = 1,
    viewers: Annotated[int, typer.Option(min=0, help="number of viewers of the page")] = 3,
    pairs: Annotated[
        int, typer.Option(min=0, help="instead of rounds: pairs of a run without a recorder and one with it")
    ] = 0,
    load: Annotated[str, typer.Option(help=f"only one of {', '.join(LOADS)}")] = "",
    checkout: Annotated[
        Path | None, typer.Option(metavar="DIR", help="measure the product of this directory, which has a .venv")
    ] = None,
    cores: Annotated[int, typer.Option(min=1, help="number of cores that all processes share")] = 2,
    keep: Annotated[Path, typer.Option(help=f"file of the figures; {PAGE} is written to its directory")] = KEPT,
) -> None:
    if load and load not in LOADS:
        raise typer.BadParameter(f"expected {' or '.join(LOADS)}, was {load}", param_hint="--load")
    options = Options(label=label or "now", seconds=seconds, settling_s=settle, viewers=viewers)
    plan = list(in_pairs(options, pairs)) if pairs else [options] * rounds
    source = _checkout(checkout)
    _prepare(cores)
    stretches = []
    try:
        for stretch in _measured(source, [load] if load else BUDGETED, plan):
            stretches.append(stretch)
            if label:
                add_kept(stretch, keep)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except RuntimeError as error:
        typer.echo(f"bench-product: {error}", err=True)
        raise typer.Exit(1) from None
    Console().print(Markdown(markdown(all_kept(keep) if label else stretches)))


def add_kept(stretch: Stretch, keep: Path) -> None:
    """Append a stretch to the file, and write the page beside it with all stretches."""
    with keep.open("ab") as file:
        file.write(orjson.dumps(stretch) + b"\n")
    keep.with_name(PAGE).write_text(markdown(all_kept(keep)))


def all_kept(keep: Path) -> list[Stretch]:
    """Read the stretches, in the order in which they were measured."""
    adapter = TypeAdapter(Stretch)
    return [adapter.validate_json(line) for line in keep.read_bytes().splitlines()]


def in_pairs(options: Options, pairs: int) -> Iterator[Options]:
    """Each pair with and without the recorder; which comes first changes from pair to pair."""
    unrecorded = replace(options, label=without_recorder(options.label), is_recorded=False)
    for number in range(pairs):
        yield from (options, unrecorded) if number % 2 else (unrecorded, options)


def _measured(source: Checkout, loads: Sequence[str], plan: Sequence[Options]) -> Iterator[Stretch]:
    """Run each load in turn, with progress on stderr."""
    console = Console(stderr=True)
    with Progress(TextColumn("{task.description}"), TimeElapsedColumn(), console=console, transient=True) as progress:
        task = progress.add_task("")
        for (number, options), load in product(enumerate(plan, 1), loads):
            name = f"{load}, {options.label}, run {number} of {len(plan)}"

            def show(step: str, name: str = name) -> None:
                progress.update(task, description=f"{name}: {step}")

            stretch = asyncio.run(measured(source, load, options, show=show))
            console.print(f"{name}: {summary(stretch)}", highlight=False)
            yield stretch


def summary(stretch: Stretch) -> str:
    """A stretch in one line."""
    used, delays = stretch.usages[ALL], stretch.delays
    late = f"lateness p50 {delays.read_ms.p50:.0f}, p99 {delays.read_ms.p99:.0f}, max {delays.read_ms.max:.0f} ms"
    return f"{used.cpu_share:.1%} of a core, {used.pss_mb:.0f} MB, {late} of {delays.captures:,} captures"


def _checkout(root: Path | None) -> Checkout:
    try:
        return Checkout.from_root(root)
    except FileNotFoundError as error:
        raise typer.BadParameter(str(error), param_hint="--checkout") from None


def _prepare(cores: int) -> None:
    """Limit this process and its children to some cores, drop the user's settings, and end cleanly on SIGTERM."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


if __name__ == "__main__":
    app()
