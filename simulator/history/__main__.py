"""Make a synthetic history of signals and follow-ups like the published live run, with known true values.

The lines have the product's format, and `hip3 audit DIR` accepts them. `truths.json` holds the planted values.
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
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="folder for the files; created if it is missing")],
    signals: Annotated[int, typer.Option(min=1)] = DEFAULTS.signals,
    hours: Annotated[float, typer.Option(help="period that the signals cover")] = DEFAULTS.hours,
    markets: Annotated[int, typer.Option(min=1)] = DEFAULTS.markets,
    seed: Annotated[int, typer.Option(min=0, help="the same seed gives the same bytes")] = DEFAULTS.seed,
    copies: Annotated[float, typer.Option(min=1, help="mean number of signals per event")] = DEFAULTS.copies,
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
