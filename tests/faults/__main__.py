"""`make faults`: what a machine can do to the system, and what was lost, doubled or wrong after it.

Each row runs real parts in a folder of its own, and ends its processes by their ids; the folder of a row that broke a
promise stays. What was found before a Ctrl-C is kept, and is beside what later runs find of other rows in the table.
The exit code is 1 when any promise was broken.
"""

import json
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from hip3_tasks.logs import configure_logs
from hip3_tasks.up.embedded_redis import find_server
from tests.faults.report import markdown
from tests.faults.row import Found, Row
from tests.faults.rows import ROWS, run
from tests.support.process import ROOT

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(help=__doc__)
def main(
    rows: Annotated[str, typer.Option(help="such as 1,3,10,12a; default all")] = "",
    effort: Annotated[float, typer.Option(min=0.001, max=1, help="how much of each row: 1 is all of it")] = 1.0,
    short: Annotated[bool, typer.Option("--short", help="some rows, a part of each: three minutes")] = False,
    out: Annotated[Path, typer.Option(help="where figures and table are written")] = Path("build/faults"),
    publish: Annotated[bool, typer.Option("--publish", help="the table goes to docs/reliability.md too")] = False,
) -> None:
    configure_logs("error")  # what a row provokes in this process is told by its counts
    chosen = _chosen(rows)
    efforts = {row: row.effort if short else effort for row in chosen if row.effort or not short}
    now_found = _run(efforts)
    found = _together(out / "faults.json", now_found)
    if not found:
        raise typer.Exit(1)
    version = subprocess.run([find_server(), "--version"], capture_output=True, text=True, check=True)
    server = version.stdout.split(" sha")[0]
    for path in (out / "reliability.md", ROOT / "docs/reliability.md") if publish else (out / "reliability.md",):
        path.parent.mkdir(exist_ok=True)
        path.write_text(markdown(found, server=server))
        print(path)
    raise typer.Exit(0 if all(one.is_clean for one in now_found.values()) else 1)


def _together(path: Path, now_found: Mapping[str, Found]) -> dict[str, Found]:
    """What was found now, beside what earlier runs wrote there of other rows; in the order of the report."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(path.read_text()) if path.exists() else {}
    known |= {number: asdict(one) for number, one in now_found.items()}
    path.write_text(json.dumps(known, indent=1))
    return {row.number: Found(**known[row.number]) for row in ROWS if row.number in known}


def _run(efforts: Mapping[Row, float]) -> dict[str, Found]:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console, found = Console(), dict[str, Found]()
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True, refresh_per_second=1) as progress:
        task = progress.add_task("")
        for row, effort in efforts.items():
            progress.reset(task, description=f"{row.number} {row.fault}", total=None)
            try:
                one = run(row, effort, lambda done, of: progress.update(task, completed=done, total=of))
            except KeyboardInterrupt:
                console.print("stopped; what was found is kept")
                break
            found[row.number] = one
            console.print(_told(row, one), markup=False, soft_wrap=True)
    return found


def _told(row: Row, found: Found) -> str:
    bad = {
        "lost": found.lost,
        "twice": found.duplicated,
        "wrong": found.wrong,
        "torn": found.torn,
        "unclear": found.unclear,
        "broken": len(found.broken),
    }
    verdict = ", ".join(f"{number} {what}" for what, number in bad.items() if number) or "all right"
    times = {"recovery": found.recovery_s, "late": found.lateness_s, "took": found.took_s}
    said = ", ".join(f"{what} {seconds:.1f} s" for what, seconds in times.items() if seconds is not None)
    counts = f"{found.injected:,} injected, {found.wanted:,} wanted, {found.missed:,} missed"
    return "\n   ".join([f"{row.number:>3} {row.fault}: {counts}: {verdict}; {said}", *found.broken])


def _chosen(given: str) -> list[Row]:
    """Rows by their numbers; one without a letter means all of its letters."""
    asked = [part.strip() for part in given.split(",") if part.strip()]
    known = {row.number for row in ROWS} | {row.number.rstrip("abcdef") for row in ROWS}
    for part in asked:
        if part not in known:
            raise typer.BadParameter(f"{part}: expected some of {', '.join(row.number for row in ROWS)}")
    return [row for row in ROWS if not asked or row.number in asked or row.number.rstrip("abcdef") in asked]


if __name__ == "__main__":
    app()
