"""Make a history of signals and follow-ups like the published live run, in which it is known what is true.

Lines are as the product writes them, so `hip3 audit DIR` finds all well. `truths.json` says what was planted.
"""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from simulator.history.files import write
from simulator.history.plan import HistoryPlan

DEFAULTS = HistoryPlan()

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(help=__doc__)
def main(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="where the files go; made if need be")],
    signals: Annotated[int, typer.Option(min=1)] = DEFAULTS.signals,
    hours: Annotated[float, typer.Option(help="the time they are spread over")] = DEFAULTS.hours,
    markets: Annotated[int, typer.Option(min=1)] = DEFAULTS.markets,
    seed: Annotated[int, typer.Option(min=0, help="the same seed makes the same bytes")] = DEFAULTS.seed,
    copies: Annotated[float, typer.Option(min=1, help="signals an event")] = DEFAULTS.copies,
) -> None:
    began_s = time.monotonic()
    columns = TextColumn("signals"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    try:
        plan = HistoryPlan(signals=signals, hours=hours, markets=markets, seed=seed, copies=copies)
        with Progress(*columns, transient=True) as progress:
            task = progress.add_task("", total=signals)
            write(plan, directory, advance=lambda written: progress.advance(task, written))
    except (ValueError, OSError) as error:
        raise typer.BadParameter(str(error)) from None
    written = sum(path.stat().st_size for path in directory.glob("*.jsonl"))
    print(f"{directory}: {signals:,} signals, {written / 1e9:.2f} GB, {time.monotonic() - began_s:.0f} s")


if __name__ == "__main__":
    app()
