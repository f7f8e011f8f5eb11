"""`hip3 report`: read the files, build the report, print it and write the files asked for."""

import csv
import io
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from hip3_tasks.analysis.loading.selection import Selection
from hip3_tasks.analysis.loading.sources import list_sources
from hip3_tasks.analysis.measure.by import By
from hip3_tasks.analysis.measure.horizons import QUANTILES, Horizon
from hip3_tasks.analysis.measure.trip_measures import Trip
from hip3_tasks.analysis.reporting.build import build_report
from hip3_tasks.analysis.reporting.model import Group, Report
from hip3_tasks.analysis.reporting.plan import Trader
from hip3_tasks.analysis.reporting.terminal import show
from hip3_tasks.analysis.sums.selected import read_selected
from hip3_tasks.clock import wall_ms
from hip3_tasks.errors import Unavailable
from hip3_tasks.files.day_files import is_own
from hip3_tasks.stats.bootstrap import Estimate
from hip3_tasks.terminal_text import printable

STDOUT = Path("-")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOutputs:
    """The files to write; None: no such file, `-`: standard output."""

    html: Path | None = None
    json: Path | None = None
    csv: Path | None = None
    thresholds: Path | None = None

    def wanted(self) -> list[tuple[Path, Callable[[Report], str]]]:
        """Each file's path, and the function that renders the report for it."""
        outputs = [(self.json, as_json), (self.csv, as_csv), (self.thresholds, as_thresholds)]
        if self.html is not None:
            from hip3_tasks.analysis.reporting.html import as_html  # imports Jinja2: 0.06 s that only a page needs

            outputs = [(self.html, as_html), *outputs]
        return [(path, render) for path, render in outputs if path is not None]


def report_command(
    dirs: Sequence[Path],
    selection: Selection,
    *,
    by: Sequence[By],
    trader: Trader,
    outputs: ReportOutputs,
    json_only: bool = False,
) -> int:
    """Write the files asked for, then print the report; with `json_only`, or with an output to `-`, only that.

    Raises Unavailable when a file cannot be read or written.
    """
    wanted = [*outputs.wanted(), *([(STDOUT, as_json)] if json_only else [])]
    files = [(path, render) for path, render in wanted if not _is_stdout(path)]
    printed = [render for path, render in wanted if _is_stdout(path)]
    if len(printed) > 1:
        raise Unavailable("standard output has room for one output: name a file for the others")
    places = Counter(path.resolve() for path, _ in files)
    for path, _ in files:
        check_writable(path)
        if places[path.resolve()] > 1 and not _is_special(path):
            raise Unavailable(f"{path}: asked for by {places[path.resolve()]} outputs; name a file for each")
    report = _read_and_build(dirs, selection, by, trader)
    for path, render in files:
        write(path, render(report))
        print(f"{printable(str(path))} written", file=sys.stderr)
    if printed:
        print(printed[0](report), end="")
        for sentence in report.notes.absences():
            print(f"hip3: {printable(sentence)}", file=sys.stderr)
    else:
        show(report, Console())
    return 0


def _is_stdout(path: Path) -> bool:
    return path in (STDOUT, Path("/dev/stdout"), Path("/dev/fd/1"))


def _is_special(path: Path) -> bool:
    """Whether a path is a pipe or a device, which is written to and never replaced."""
    return path.exists() and not path.is_file()


def _read_and_build(dirs: Sequence[Path], selection: Selection, by: Sequence[By], trader: Trader) -> Report:
    sources = list_sources(dirs, selection)
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        size_bytes = sum(source.size_bytes for source in sources)
        task = progress.add_task("reading", total=size_bytes)
        advance = partial(progress.advance, task)
        chosen = read_selected(sources, selection, by, trader, advance)

        def also(tape_bytes: int) -> None:
            progress.update(task, total=size_bytes + tape_bytes)

        report = build_report(
            chosen.data,
            by=by,
            trader=trader,
            days=chosen.days,
            at_ms=wall_ms(),
            advance=advance,
            also=also,
            is_last=True,
        )
        return report.model_copy(update={"row_by_row": chosen.why_not})


def check_writable(path: Path) -> None:
    """Check, before any work, that a file can be written, and is none of recorded data. Raises Unavailable if not."""
    if is_own(path):
        raise Unavailable(f"{path}: a name of recorded data or of a running system; name another file")
    if path.is_dir():
        raise Unavailable(f"{path}: a directory; expected the name of a file")
    if not path.parent.is_dir():
        raise Unavailable(f"{path}: there is no directory {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise Unavailable(f"{path}: cannot be written")


def write(path: Path, text: str) -> None:
    """Write a file completely or not at all; a pipe or device is written to. Raises Unavailable if that fails."""
    try:
        if _is_special(path):
            path.write_text(text, encoding="utf-8")
        else:
            _replace(path.resolve(), text)
    except OSError as error:
        raise Unavailable(f"{path}: {error.strerror}: not written") from None


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def as_json(report: Report) -> str:
    return report.model_dump_json(indent=1) + "\n"


def as_csv(report: Report) -> str:
    """A line for each row of `rows_of`. Unknown is empty."""
    lines = rows_of(report)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for line in lines for name in line)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(line | {"group": _harmless(str(line["group"]))} for line in lines)
    return text.getvalue()


def rows_of(report: Report) -> list[dict[str, object]]:
    """A row for each group and offset, all signals first, and one for a group without follow-ups."""
    rows = []
    for group in (report.total, *report.groups):
        rows += [_line(group, horizon) for horizon in group.horizons] or [_line(group, None)]
    return rows


def _harmless(text: str) -> str:
    """The text, quoted if it begins as a formula does, which a spreadsheet would execute."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def as_thresholds(report: Report) -> str:
    """The file for HIP3_THRESHOLDS, with the markets whose threshold works."""
    return json.dumps({} if report.search is None else report.search.recommended_bps(), indent=1) + "\n"


def _line(group: Group, horizon: Horizon | None) -> dict[str, object]:
    counts = group.model_dump(include={"signals", "expected", "captured", "cost_bps"})
    if horizon is None:
        return {"group": group.name, **counts}
    trips = [trip for trip in group.trips if trip.offset_ms == horizon.offset_ms]
    results = {name: value for trip in trips for name, value in _trip_columns(trip)}
    return {"group": group.name, **counts, **dict(_columns(horizon)), **results}


def _trip_columns(trip: Trip) -> Iterator[tuple[str, object]]:
    for name, value in _columns(trip):
        if name not in ("latency_ms", "held_ms", "by_tape"):
            yield f"in_{trip.latency_ms}_{name}", value


def _columns(measures: Horizon | Trip) -> Iterator[tuple[str, object]]:
    for name, value in measures:
        if isinstance(value, Estimate):
            yield from ((name, value.value), (f"{name}_low", value.low), (f"{name}_high", value.high))
        elif name == "markout_quantiles_bps":
            yield from ((f"markout_p{share * 100:g}_bps", bps) for share, bps in zip(QUANTILES, value, strict=True))
        else:
            yield name, value
