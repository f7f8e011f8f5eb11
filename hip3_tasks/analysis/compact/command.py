"""`hip3 compact`: compact the days of data directories and print a line for each."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pydantic import BaseModel, computed_field
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from hip3_tasks.analysis.compact.compact import Compaction, CompactionState, bytes_to_read, compact_day, noted
from hip3_tasks.analysis.compact.work_dir import remove_stale
from hip3_tasks.analysis.reporting.plan import Trader
from hip3_tasks.analysis.sums.make import keep_sums
from hip3_tasks.clock import wall_ms
from hip3_tasks.errors import Unavailable
from hip3_tasks.files.day_files import DayFiles, days_of
from hip3_tasks.files.path_text import PathText
from hip3_tasks.terminal_text import print_results, printable

STYLES = {
    CompactionState.COMPACTED: "green",
    CompactionState.REFUSED: "red",
    CompactionState.NOT_OVER: "dim",
    CompactionState.CLOSED: "dim",
}


class DirectoryCompactions(BaseModel):
    """The results for the days of one directory."""

    data_dir: PathText
    days: list[Compaction] = []

    @computed_field  # type: ignore[prop-decorator]
    @property
    def ok(self) -> bool:
        return not any(result.state is CompactionState.REFUSED for result in self.days)


def compact_command(dirs: Sequence[Path], *, day: str | None, delete: bool, trader: Trader, as_json: bool) -> int:
    """Compact directories, keep the sums of days for a trader's reports, and print the results; 1 when a day was
    refused. Raises Unavailable.
    """
    directories = _compact({data_dir: _chosen(data_dir, day) for data_dir in dirs}, delete=delete, trader=trader)
    return print_results(directories, as_json=as_json, show=lambda: _show(directories, Console()))


def _compact(chosen: dict[Path, list[DayFiles]], *, delete: bool, trader: Trader) -> list[DirectoryCompactions]:
    console, at_ms = Console(stderr=True), wall_ms()
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        sizes = [bytes_to_read(files, at_ms=at_ms, delete=delete) for days in chosen.values() for files in days]
        task = progress.add_task("", total=sum(sizes))
        advance = partial(progress.advance, task)
        directories = []
        for data_dir, days in chosen.items():
            try:
                remove_stale(data_dir)
            except OSError as error:
                raise Unavailable(f"{data_dir}: {error.strerror}") from None
            directory = DirectoryCompactions(data_dir=data_dir)
            directories.append(directory)
            for files in days:
                progress.update(task, description=files.day)
                result = compact_day(
                    data_dir,
                    files.day,
                    at_ms=at_ms,
                    delete=delete,
                    latencies_ms=trader.all_latencies_ms,
                    advance=advance,
                )
                directory.days.append(result)
                if result.is_closed:
                    progress.update(task, description=f"{files.day}, sums")
                    with noted(result, "sums are not kept, and reports read its rows"):
                        keep_sums(data_dir, files.day, trader)
    return directories


def _chosen(data_dir: Path, day: str | None) -> list[DayFiles]:
    days = days_of(data_dir)
    if day is None:
        return list(days.values())
    if day not in days:
        raise Unavailable(f"{data_dir}: there is no day {day}; its days are {min(days)} to {max(days)}")
    return [days[day]]


def _show(directories: Sequence[DirectoryCompactions], console: Console) -> None:
    for directory in directories:
        _show_days(directory, console)


def _show_days(directory: DirectoryCompactions, console: Console) -> None:
    table = Table(title=Text(printable(str(directory.data_dir)), "bold"), title_justify="left")
    table.add_column("day (UTC)", no_wrap=True)
    for name in ("rows", "lines", "Parquet", "ratio"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    shown = [result for result in directory.days if result.lines_bytes or result.state is not CompactionState.CLOSED]
    for result in shown:
        rows = f"{sum(result.rows.values()):,}" if result.rows else ""
        ratio = f"{result.ratio:.1f}" if result.ratio else ""
        state = f"{result.state}\nlines deleted" if result.lines_deleted else str(result.state)
        sizes = _size(result.lines_bytes), _size(result.parquet_bytes)
        table.add_row(result.day, rows, *sizes, ratio, state, style=STYLES.get(result.state))
    console.print(table if shown else table.title)
    for result in shown:
        if result.why:
            text = Text(printable(f"{result.day}: {result.why}"), STYLES.get(result.state, ""))
            console.print(text, soft_wrap=True)
    if rest := len(directory.days) - len(shown):
        console.print(f"{rest} more: compacted before, lines deleted")


def _size(number: int) -> str:
    return f"{number / 1e6:,.1f} MB" if number else ""
