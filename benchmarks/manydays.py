"""`make bench-days`: measure `hip3 report` over many finished days and a new one, with and without their kept sums.

One made day is compacted and copied, shifted in time; the new day is made apart. Needs some 5 GB of disk in DIR.
"""

import shutil
import sys
from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from benchmarks.machine import machine_description
from benchmarks.measured import Measured
from benchmarks.processes import stray_cores
from benchmarks.reportpage import measured_row
from benchmarks.sections import DAYS, with_section
from hip3_tasks.analysis.loading.schemas import ROW_GROUP_ROWS
from hip3_tasks.domain.capture import DAY_MS, utc_day
from hip3_tasks.files.day_files import KINDS, parquet_path
from simulator.history import HistoryPlan, write

HERE = Path(__file__).parent
HIP3 = str(Path(sys.executable).with_name("hip3"))
LIMIT_S = 10
INSTANTS = "timestamp_ms", "signal_timestamp_ms", "captured_at_ms", "due_at_ms", "state_at_ms"
NEW, SUMMED, ROWS = "one new day", "sums of all days made", "row by row"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(help=__doc__)
def main(
    directory: Annotated[Path, typer.Argument(metavar="[DIR]")] = Path("build/bench-days"),
    days: Annotated[int, typer.Option(min=33, help="finished days, and the new one")] = 90,
    signals: Annotated[int, typer.Option(min=1, help="signals a day")] = 259_260,
    markets: Annotated[int, typer.Option(min=1)] = 150,
    repeat: Annotated[int, typer.Option(min=1, help="number of reports with one new day")] = 3,
    publish: Annotated[bool, typer.Option("--publish", help="also write the section to benchmarks/RESULTS.md")] = False,
) -> None:
    data, log = directory / "data", directory / "command.log"
    plan = HistoryPlan(signals=signals, hours=24, markets=markets)
    if not data.exists():
        _make(plan, directory / "one", data, days, log)
    outputs = "--html", str(directory / "report.html"), "--json-out", str(directory / "report.json")
    report = HIP3, "report", str(data)
    names = [SUMMED, *[NEW] * repeat, ROWS]
    strays, runs = list[float](), list[Measured]()
    for name in names:
        strays.append(stray_cores(1.0))
        others = ("--min-notional", "9.99") if name == ROWS else ()
        runs.append(Measured.from_run(name, (*report, *others, *outputs), log=log))
        print(f"{name}: {runs[-1].wall_s:.1f} s, CPU {runs[-1].cpu_s:.1f} s, {runs[-1].peak_mb:,.0f} MB", flush=True)
        if not runs[-1].is_done:
            raise typer.BadParameter(runs[-1].output[-2000:])
    sums = sum(path.stat().st_size for path in data.glob("sums_*.parquet"))
    lines = [
        DAYS,
        f"{days - 1} compacted days and a new one of {signals:,} made signals each, of {markets} markets.\n",
        *(f"- {name}: {value}" for name, value in machine_description().items()),
        "\nBy `make bench-days`. Each row is a separate process, `hip3 report` with its page and JSON; the median of",
        "the runs, with the range in brackets. *Row by row* is the same report with another least order.\n",
        "|  | wall s | CPU s | memory MB |",
        "| --- | ---: | ---: | ---: |",
        *(measured_row(name, [run for run in runs if run.name == name]) for name in dict.fromkeys(names)),
        f"\nThe sums take {sums / 1e6 / (days - 1):.1f} MB a day. The limit with one new day is {LIMIT_S} s.",
        f"Cores used by others before the runs: most {max(strays):.2f}.",
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if publish:
        page = HERE / "RESULTS.md"
        page.write_text(with_section(page.read_text(), text))


def _make(plan: HistoryPlan, first: Path, data: Path, days: int, log: Path) -> None:
    shutil.rmtree(first, ignore_errors=True)
    write(plan, first)
    compacted = Measured.from_run("compact", (HIP3, "compact", str(first), "--delete"), log=log)
    if not compacted.is_done:
        raise typer.BadParameter(compacted.output)
    part = data.with_name("part")
    shutil.rmtree(part, ignore_errors=True)
    last = plan.start_at_ms + (days - 1) * DAY_MS
    write(HistoryPlan(signals=plan.signals, hours=24, markets=plan.markets, start_at_ms=last, seed=2), part)
    for kind in KINDS:
        rows = pl.read_parquet(parquet_path(first, kind, utc_day(plan.start_at_ms)))
        for number in range(days - 1):
            shifted = rows.with_columns(pl.col(*(set(INSTANTS) & set(rows.columns))) + number * DAY_MS)
            at_ms = "timestamp_ms" if kind == "signals" else "signal_timestamp_ms"
            named = shifted.with_columns(signal_id=pl.format("{}-{}", "market_key", at_ms))
            path = parquet_path(part, kind, utc_day(plan.start_at_ms + number * DAY_MS))
            named.write_parquet(path, compression_level=1, row_group_size=ROW_GROUP_ROWS)
    part.rename(data)


if __name__ == "__main__":
    app()
