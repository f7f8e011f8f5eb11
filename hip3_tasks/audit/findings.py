"""What an audit found: counts by day, and what is wrong, by name."""

from collections import Counter
from collections.abc import Iterator, Sequence
from enum import StrEnum
from functools import reduce
from pathlib import Path

from pydantic import BaseModel, computed_field
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hip3_tasks.domain.records import MissedReason
from hip3_tasks.terminal_text import printable

NAMED_MOST = 20
"""How many problems of a kind are named one by one."""


class Fault(StrEnum):
    """A way for a directory to be wrong."""

    OVERDUE = "open too long"
    DUPLICATE_SIGNAL = "second line of a signal"
    DUPLICATE = "second line of a follow-up"
    STRANGER = "of no signal"
    WRONG_DAY = "in another day's file"
    WRONG_NUMBER = "numbers that do not follow"
    BROKEN = "broken line"
    TORN = "torn tail"
    DAMAGED = "damaged Parquet"


class Problem(BaseModel):
    """One thing that is wrong, and where."""

    fault: Fault
    file: str
    line: int | None
    id: str | None
    """A signal's, or `signal_id|offset_ms`."""
    what: str


class Counts(BaseModel):
    """What a day holds, or several days; due = followups + missed + open, whatever else is wrong."""

    signals: int = 0
    due: int = 0
    followups: int = 0
    missed: Counter[MissedReason] = Counter()
    open: int = 0
    open_recent: int = 0
    """Those of the open that are not due yet, or for less than 30 s."""
    faults: Counter[Fault] = Counter()

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            signals=self.signals + other.signals,
            due=self.due + other.due,
            followups=self.followups + other.followups,
            missed=self.missed + other.missed,
            open=self.open + other.open,
            open_recent=self.open_recent + other.open_recent,
            faults=self.faults + other.faults,
        )


class Audit(BaseModel):
    """What was found in one directory."""

    data_dir: Path
    at_ms: int
    days: dict[str, Counts] = {}
    closed_days: list[str] = []
    """Compacted. Of one whose lines are deleted, rows are counted instead, where polars is installed."""
    problems: list[Problem] = []
    """At most 20 of each fault; `total.faults` counts them all."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def total(self) -> Counts:
        return reduce(Counts.__add__, self.days.values(), Counts())

    @computed_field  # type: ignore[prop-decorator]
    @property
    def ok(self) -> bool:
        return not self.total.faults


def show(audits: Sequence[Audit], console: Console) -> None:
    """Print what was found the way people like to read it."""
    for audit in audits:
        console.print(_table(audit))
        for line in _problems(audit):
            console.print(line, soft_wrap=True)
    console.print(_verdict(audits), soft_wrap=True)


def _table(audit: Audit) -> Table:
    title = Text(printable(str(audit.data_dir)), "bold")
    table = Table(title=title, title_justify="left", show_footer=len(audit.days) > 1)
    total = audit.total
    table.add_column("day (UTC)", "total")
    cells = {day: _cells(counts) for day, counts in audit.days.items()}
    names = ("signals", "owed", "follow-ups", "missed", "open", "faults")
    for name, footer in zip(names, _cells(total), strict=True):
        table.add_column(name, footer, justify="right")
    for day in sorted({*cells, *audit.closed_days}):
        label = f"{day}\ncompacted" if day in audit.closed_days else day
        is_bad = day in cells and audit.days[day].faults
        table.add_row(label, *cells.get(day, ()), style="red" if is_bad else None)
    return table


def _cells(counts: Counts) -> tuple[str, ...]:
    missed = f"{counts.missed.total():,}"
    reasons = "".join(f"\n{reason} {number:,}" for reason, number in counts.missed.most_common())
    open_ = f"{counts.open:,}" + (f"\n{counts.open_recent:,} just now" if counts.open_recent else "")
    faults = f"{counts.faults.total():,}"
    return f"{counts.signals:,}", f"{counts.due:,}", f"{counts.followups:,}", missed + reasons, open_, faults


def _problems(audit: Audit) -> Iterator[Text]:
    for fault, number in audit.total.faults.most_common():
        yield Text(f"{fault}: {number:,}", "bold red")
        named = [problem for problem in audit.problems if problem.fault is fault]
        for problem in named:
            where = problem.file + (f":{problem.line}" if problem.line else "")
            yield Text(printable(f"  {where}  {problem.id or ''}  {problem.what}"))
        if number > len(named):
            yield Text(f"  and {number - len(named):,} more")


def _verdict(audits: Sequence[Audit]) -> Text:
    total = reduce(Counts.__add__, (audit.total for audit in audits), Counts())
    sum_ = (
        f"{total.signals:,} signals are owed {total.due:,} = {total.followups:,} follow-ups"
        f" + {total.missed.total():,} missed + {total.open:,} open"
    )
    if total.faults:
        return Text(f"{total.faults.total():,} faults: {sum_}", "bold red")
    return Text(f"all is well: {sum_}", "bold green")
