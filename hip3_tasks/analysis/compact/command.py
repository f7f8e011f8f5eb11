"""`hip3 compact`: day by day, what became of it."""

import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, computed_field
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from hip3_tasks.analysis.compact.compact import Compaction, State, bytes_to_read, compact_day
from hip3_tasks.analysis.compact.work_dir import clear
from hip3_tasks.clock import wall_ms
from hip3_tasks.errors import Unavailable
from hip3_tasks.files.day_files import DayFiles, days_of
from hip3_tasks.terminal_text import printable

STYLES = {State.COMPACTED: "green", State.REFUSED: "red", State.NOT_OVER: "dim", State.CLOSED: "dim"}


class Compactions(BaseModel):
    """What became of the days of one directory."""

    data_dir: Path
    days: list[Compaction] = []

    @computed_field  # type: ignore[prop-decorator]
    @property
    def ok(self) -> bool:
        return not any(done.state is State.REFUSED for done in self.days)


def compact_command(dirs: Sequence[Path], *, day: str | None, delete: bool, as_json: bool) -> int:
    """Compact directories and print what became of them; 1 when a day was refused. Raises Unavailable."""
    console, at_ms = Console(stderr=True), wall_ms()
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    todo = {data_dir: _chosen(data_dir, day) for data_dir in dirs}
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        sizes = [bytes_to_read(files, at_ms=at_ms, delete=delete) for chosen in todo.values() for files in chosen]
        task = progress.add_task("", total=sum(sizes))
        found = [Compactions(data_dir=data_dir) for data_dir in todo]
        for of_dir, chosen in zip(found, todo.values(), strict=True):
            _clear(of_dir.data_dir)
            for files in chosen:
                progress.update(task, description=files.day)
                done = compact_day(
                    of_dir.data_dir,
                    files.day,
                    at_ms=at_ms,
                    delete=delete,
                    advance=lambda read: progress.advance(task, read),
                )
                of_dir.days.append(done)
    ok = all(of_dir.ok for of_dir in found)
    if as_json:
        print(json.dumps({"ok": ok, "directories": [of_dir.model_dump(mode="json") for of_dir in found]}, indent=2))
    else:
        for of_dir in found:
            _show(of_dir, Console())
    return 0 if ok else 1


def _chosen(data_dir: Path, day: str | None) -> list[DayFiles]:
    days = days_of(data_dir)
    if day is None:
        return list(days.values())
    if day not in days:
        raise Unavailable(f"{data_dir}: there is no day {day}; its days are {min(days)} to {max(days)}")
    return [days[day]]


def _clear(data_dir: Path) -> None:
    try:
        clear(data_dir)
    except OSError as error:
        raise Unavailable(f"{data_dir}: {error.strerror}") from None


def _show(found: Compactions, console: Console) -> None:
    table = Table(title=Text(printable(str(found.data_dir)), "bold"), title_justify="left")
    table.add_column("day (UTC)", no_wrap=True)
    for name in ("rows", "lines", "Parquet", "ratio"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    shown = [done for done in found.days if done.lines_bytes or done.state is not State.CLOSED]
    for done in shown:
        rows = f"{sum(done.rows.values()):,}" if done.rows else ""
        ratio = f"{done.ratio:.1f}" if done.ratio else ""
        said = f"{done.state}\nlines deleted" if done.lines_deleted else str(done.state)
        sizes = _size(done.lines_bytes), _size(done.parquet_bytes)
        table.add_row(done.day, rows, *sizes, ratio, said, style=STYLES.get(done.state))
    console.print(table if shown else table.title)
    for done in shown:
        if done.why:
            console.print(Text(printable(f"{done.day}: {done.why}"), STYLES.get(done.state, "")), soft_wrap=True)
    if rest := len(found.days) - len(shown):
        console.print(f"{rest} more: compacted before, lines deleted")


def _size(number: int) -> str:
    return f"{number / 1e6:,.1f} MB" if number else ""
