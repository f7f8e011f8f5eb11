"""`make faults`: inject faults into the system, and count the captures that are lost, doubled or wrong afterwards.

Each row runs real processes in its own directory, and ends them by their ids; the directory of a row that broke a
promise is kept. Results before a Ctrl-C are kept, and the table also has results of earlier runs for other rows. The
exit code is 1 when a promise was broken.
"""

import json
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from string import ascii_lowercase
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from hip3_tasks.logs import configure_logs
from hip3_tasks.up.embedded_redis import find_server
from tests.faults.report import markdown
from tests.faults.row import Result, Row
from tests.faults.rows import ROWS, run
from tests.support.process import ROOT

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(help=__doc__)
def main(
    rows: Annotated[str, typer.Option(help="such as 1,3,10,12a; default all")] = "",
    effort: Annotated[float, typer.Option(min=0.001, max=1, help="share of each row; 1 is the whole row")] = 1.0,
    short: Annotated[bool, typer.Option("--short", help="some rows, a part of each; takes three minutes")] = False,
    out: Annotated[Path, typer.Option(help="directory of figures and table")] = Path("build/faults"),
    publish: Annotated[bool, typer.Option("--publish", help="also write the table to docs/reliability.md")] = False,
) -> None:
    configure_logs("error")  # the counts of a row already include the errors that it causes in this process
    chosen = _chosen(rows)
    efforts = {row: row.effort if short else effort for row in chosen if row.effort or not short}
    new_results = _run(efforts)
    results = _merged(out / "faults.json", new_results)
    if not results:
        raise typer.Exit(1)
    version = subprocess.run([find_server(), "--version"], capture_output=True, text=True, check=True)
    server = version.stdout.split(" sha")[0]
    for path in (out / "reliability.md", ROOT / "docs/reliability.md") if publish else (out / "reliability.md",):
        path.parent.mkdir(exist_ok=True)
        path.write_text(markdown(results, server=server))
        print(path)
    raise typer.Exit(0 if all(result.is_clean for result in new_results.values()) else 1)


def _merged(path: Path, new_results: Mapping[str, Result]) -> dict[str, Result]:
    """The new results and those of earlier runs for other rows, in the order of the report; written to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(path.read_text()) if path.exists() else {}
    known |= {number: asdict(result) for number, result in new_results.items()}
    path.write_text(json.dumps(known, indent=1))
    return {row.number: Result(**known[row.number]) for row in ROWS if row.number in known}


def _run(efforts: Mapping[Row, float]) -> dict[str, Result]:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console, results = Console(), dict[str, Result]()
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True, refresh_per_second=1) as progress:
        task = progress.add_task("")
        for row, effort in efforts.items():
            progress.reset(task, description=f"{row.number} {row.fault}", total=None)
            try:
                result = run(row, effort, lambda done, total: progress.update(task, completed=done, total=total))
            except KeyboardInterrupt:
                console.print("stopped; completed rows are kept")
                break
            results[row.number] = result
            console.print(_summary(row, result), markup=False, soft_wrap=True)
    return results


def _summary(row: Row, result: Result) -> str:
    bad = {
        "lost": result.lost,
        "twice": result.duplicated,
        "wrong": result.wrong,
        "torn": result.torn,
        "signals lost": result.signals_lost,
        "signals twice": result.signals_twice,
        "signals invented": result.signals_invented,
        "entries lost": result.entries_lost,
        "entries twice": result.entries_twice,
        "unclear": result.unclear,
        "broken": len(result.broken),
    }
    verdict = ", ".join(f"{number} {name}" for name, number in bad.items() if number) or "all right"
    times = {"recovery": result.recovery_s, "late": result.lateness_s, "took": result.took_s}
    text = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in times.items() if seconds is not None)
    counts = f"{result.injected:,} injected, {result.wanted:,} wanted, {result.missed:,} missed"
    if result.signals_wanted is not None:
        counts += f", {result.signals_wanted:,} signals wanted"
    if result.entries is not None:
        counts += f", {result.entries:,} entries"
    notes = filter(None, [result.note, result.replay_note, *result.broken])
    return "\n   ".join([f"{row.number:>3} {row.fault}: {counts}: {verdict}; {text}", *notes])


def _chosen(given: str) -> list[Row]:
    """Rows by their numbers; a number without a letter selects all rows of that number."""
    asked = [part.strip() for part in given.split(",") if part.strip()]
    known = {row.number for row in ROWS} | {row.number.rstrip(ascii_lowercase) for row in ROWS}
    for part in asked:
        if part not in known:
            raise typer.BadParameter(f"{part}: expected some of {', '.join(row.number for row in ROWS)}")
    return [row for row in ROWS if not asked or row.number in asked or row.number.rstrip(ascii_lowercase) in asked]


if __name__ == "__main__":
    app()
