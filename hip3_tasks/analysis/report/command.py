"""`hip3 report`: read, reckon, show, and leave what was asked for."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from hip3_tasks.analysis.loading.load import read
from hip3_tasks.analysis.loading.selection import Selection
from hip3_tasks.analysis.loading.sources import list_sources
from hip3_tasks.analysis.measure.grouping import By
from hip3_tasks.analysis.report.build import make
from hip3_tasks.analysis.report.export import as_csv, as_json, as_thresholds, check_writable, write
from hip3_tasks.analysis.report.model import Report
from hip3_tasks.analysis.report.terminal import show
from hip3_tasks.clock import wall_ms
from hip3_tasks.terminal_text import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Where to leave what; None: nowhere."""

    html: Path | None = None
    json: Path | None = None
    csv: Path | None = None
    thresholds: Path | None = None

    def wanted(self) -> list[tuple[Path, Callable[[Report], str]]]:
        makers = (self.html, _as_html), (self.json, as_json), (self.csv, as_csv), (self.thresholds, as_thresholds)
        return [(path, make_text) for path, make_text in makers if path is not None]


def report_command(
    dirs: Sequence[Path], selection: Selection, *, by: By, cost_bps: float | None, files: Files, json_only: bool = False
) -> int:
    """Make the report and print it. Raises Unavailable where there is nothing to read or no file can be left.

    With `json_only` standard output has the JSON of the report and nothing else.
    """
    for path, _ in files.wanted():
        check_writable(path)
    report = _made(dirs, selection, by, cost_bps)
    if json_only:
        print(as_json(report), end="")
        for sentence in report.notes.absences():
            print(f"hip3: {printable(sentence)}", file=sys.stderr)
    else:
        show(report, Console())
    for path, make_text in files.wanted():
        write(path, make_text(report))
        Console(stderr=True).print(f"{path} written", style="dim", markup=False, highlight=False, soft_wrap=True)
    return 0


def _made(dirs: Sequence[Path], selection: Selection, by: By, cost_bps: float | None) -> Report:
    sources = list_sources(dirs, selection)
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("reading", total=sum(source.size_bytes for source in sources))
        advance = partial(progress.advance, task)
        data = read(sources, selection, advance=advance)
        return make(data, by=by, cost_bps=cost_bps, at_ms=wall_ms(), advance=advance)


def _as_html(report: Report) -> str:
    from hip3_tasks.analysis.report.html import page  # with plotly, which takes half a second and is not always wanted

    return page(report)
