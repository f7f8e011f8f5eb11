"""`hip3 report`: read the files, build the report, print it and write the files asked for."""

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
from hip3_tasks.analysis.report.build import build_report
from hip3_tasks.analysis.report.export import as_csv, as_json, as_thresholds, check_writable, write
from hip3_tasks.analysis.report.model import Report
from hip3_tasks.analysis.report.terminal import show
from hip3_tasks.clock import wall_ms
from hip3_tasks.terminal_text import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOutputs:
    """The files to write; None: no such file."""

    html: Path | None = None
    json: Path | None = None
    csv: Path | None = None
    thresholds: Path | None = None

    def wanted(self) -> list[tuple[Path, Callable[[Report], str]]]:
        """Each file's path, and the function that renders the report for it."""
        outputs = [(self.json, as_json), (self.csv, as_csv), (self.thresholds, as_thresholds)]
        if self.html is not None:
            from hip3_tasks.analysis.report.html import as_html  # imports Jinja2: 0.06 s that only a page needs

            outputs = [(self.html, as_html), *outputs]
        return [(path, render) for path, render in outputs if path is not None]


def report_command(
    dirs: Sequence[Path],
    selection: Selection,
    *,
    by: By,
    cost_bps: float | None,
    outputs: ReportOutputs,
    json_only: bool = False,
) -> int:
    """Print the report, or with `json_only` only its JSON. Raises Unavailable when a file cannot be read or written."""
    for path, _ in outputs.wanted():
        check_writable(path)
    report = _read_and_build(dirs, selection, by, cost_bps)
    if json_only:
        print(as_json(report), end="")
        for sentence in report.notes.absences():
            print(f"hip3: {printable(sentence)}", file=sys.stderr)
    else:
        show(report, Console())
    for path, render in outputs.wanted():
        write(path, render(report))
        Console(stderr=True).print(f"{path} written", style="dim", markup=False, highlight=False, soft_wrap=True)
    return 0


def _read_and_build(dirs: Sequence[Path], selection: Selection, by: By, cost_bps: float | None) -> Report:
    sources = list_sources(dirs, selection)
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("reading", total=sum(source.size_bytes for source in sources))
        advance = partial(progress.advance, task)
        data = read(sources, selection, advance=advance)
        return build_report(data, by=by, cost_bps=cost_bps, at_ms=wall_ms(), advance=advance)
