"""The result of an audit: counts by day, and the faults, each with its place."""

from collections import Counter
from collections.abc import Iterator, Sequence
from enum import StrEnum
from functools import reduce

from pydantic import BaseModel, computed_field
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hip3_tasks.domain.records import MissedReason
from hip3_tasks.files.day_files import DayFiles
from hip3_tasks.files.path_text import PathText
from hip3_tasks.terminal_text import printable

MAX_NAMED = 20
"""The number of problems of one kind that are named one by one."""
COUNTED = {"signals": "offsets_ms", "followups": "offset_ms", "missed": "reason"}
"""The column of each kind of Parquet whose rows are counted. Their numbers were checked before they were written."""


class Fault(StrEnum):
    """A way in which a directory can be wrong."""

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
    """One fault and its place."""

    fault: Fault
    file: str
    line: int | None
    id: str | None
    """`signal_id`, or `signal_id|offset_ms` of a capture."""
    what: str


class Counts(BaseModel):
    """Counts of one day or several; expected = followups + missed + open, whatever else is wrong."""

    signals: int = 0
    expected: int = 0
    """The captures that the signals require."""
    followups: int = 0
    missed: Counter[MissedReason] = Counter()
    open: int = 0
    open_recent: int = 0
    """Open captures that are not due yet, or were due less than 30 s ago."""
    faults: Counter[Fault] = Counter()

    def is_as_many_as(self, other: "Counts") -> bool:
        """Whether both have the same records, as far as their numbers tell."""
        names = ("signals", "expected", "followups", "missed")
        return all(getattr(self, name) == getattr(other, name) for name in names)

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(**{name: getattr(self, name) + getattr(other, name) for name in Counts.model_fields})


class Audit(BaseModel):
    """The result for one directory."""

    data_dir: PathText
    at_ms: int
    days: dict[str, Counts] = {}
    closed_days: list[str] = []
    """Compacted days. If their lines are deleted, Parquet rows are counted instead, where polars is installed."""
    notes: list[str] = []
    """Sentences that a reader of the counts must know, and that are no fault."""
    problems: list[Problem] = []
    """MAX_NAMED of each fault at most; `total.faults` counts them all."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def total(self) -> Counts:
        return reduce(Counts.__add__, self.days.values(), Counts())

    @computed_field  # type: ignore[prop-decorator]
    @property
    def ok(self) -> bool:
        return not self.total.faults


def counts_of(files: DayFiles) -> Counts | None:
    """The rows of a closed day; None where polars is not installed. Raises ValueError when they do not add up."""
    try:
        import polars as pl
    except ImportError:
        return None
    absent = COUNTED.keys() - files.parquet.keys()
    if absent:
        raise ValueError(f"it has no Parquet of: {', '.join(sorted(absent))}")
    try:
        offsets, followups, reasons = (
            pl.read_parquet(files.parquet[kind], columns=[name], glob=False)[name] for kind, name in COUNTED.items()
        )
        missed = Counter(map(MissedReason, reasons.to_list()))
        expected = int(offsets.list.len().sum())
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        raise ValueError(f"the day cannot be read: {str(error).splitlines()[0]}") from None
    if expected != len(followups) + len(reasons):
        raise ValueError(f"{expected:,} expected, but it has {len(followups):,} follow-ups, {len(reasons):,} missed")
    return Counts(signals=len(offsets), expected=expected, followups=len(followups), missed=missed)


def show(audits: Sequence[Audit], console: Console) -> None:
    """Print a table of each directory, its problems and one sentence that sums them up."""
    for audit in audits:
        console.print(_table(audit))
        for note in audit.notes:
            console.print(Text(printable(note), "yellow"), soft_wrap=True)
        for line in _problems(audit):
            console.print(line, soft_wrap=True)
    console.print(_summary(audits), soft_wrap=True)


def _table(audit: Audit) -> Table:
    title = Text(printable(str(audit.data_dir)), "bold")
    table = Table(title=title, title_justify="left", show_footer=len(audit.days) > 1)
    total = audit.total
    table.add_column("day (UTC)", "total")
    cells = {day: _cells(counts) for day, counts in audit.days.items()}
    names = ("signals", "expected", "follow-ups", "missed", "open", "faults")
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
    return f"{counts.signals:,}", f"{counts.expected:,}", f"{counts.followups:,}", missed + reasons, open_, faults


def _problems(audit: Audit) -> Iterator[Text]:
    for fault, number in audit.total.faults.most_common():
        yield Text(f"{fault}: {number:,}", "bold red")
        named = [problem for problem in audit.problems if problem.fault is fault]
        for problem in named:
            where = problem.file + (f":{problem.line}" if problem.line else "")
            yield Text(printable(f"  {where}  {problem.id or ''}  {problem.what}"))
        if number > len(named):
            yield Text(f"  and {number - len(named):,} more")


def _summary(audits: Sequence[Audit]) -> Text:
    total = reduce(Counts.__add__, (audit.total for audit in audits), Counts())
    sum_ = (
        f"{total.signals:,} signals, {total.expected:,} captures expected = {total.followups:,} follow-ups"
        f" + {total.missed.total():,} missed + {total.open:,} open"
    )
    if total.faults:
        return Text(f"{total.faults.total():,} faults: {sum_}", "bold red")
    return Text(f"all is well: {sum_}", "bold green")
