"""The report on a terminal: what of all signals became by horizon, then the groups, then the thresholds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hip3_tasks.analysis.measure.cluster_sums import MINUTE_MS
from hip3_tasks.analysis.measure.horizons import Horizon
from hip3_tasks.analysis.measure.threshold_search import Choice, Part, Search, Verdict
from hip3_tasks.analysis.report.model import Group, Report
from hip3_tasks.charts import number_format
from hip3_tasks.stats.bootstrap import MIN_CLUSTERS, Estimate
from hip3_tasks.terminal_text import printable

COLOURS = {Verdict.WORKS: "green", Verdict.LOSES: "red", Verdict.STRUCTURAL: "yellow"}

WIDE = 132
"""Columns that the widest table takes."""

T = TypeVar("T")


def show(report: Report, console: Console) -> None:
    """Print a report the way people like to read it; where nobody looks at a screen, as wide as it may be."""
    if not console.is_terminal:
        console.width = max(console.width, WIDE)
    wide = console.width >= WIDE
    for line in _head(report):
        console.print(line, soft_wrap=True)
    console.print(_horizons(report, wide=wide))
    if report.groups:
        console.print(_groups(report, wide=wide))
    if report.search is not None:
        console.print(_thresholds(report.search, wide=wide))
        console.print(_tuned(report.search), soft_wrap=True)
    for sentence in report.sentences():
        console.print(Text(printable(sentence), "yellow"), soft_wrap=True)


def _head(report: Report) -> list[Text]:
    covered, span = report.coverage, number_format.duration(report.last_ms - report.first_ms)
    watched = "" if covered.markets_watched is None else f" of {covered.markets_watched:,} watched"
    missed = ", ".join(f"{reason} {number:,}" for reason, number in covered.missed.items())
    assumed = ", one for each offset assumed" if covered.due_is_assumed else ""
    captured = number_format.share(covered.captured_share)
    return [
        Text(
            f"{covered.signals:,} signals of {covered.markets_with_signals:,} markets{watched},"
            f" {number_format.instant(report.first_ms)} + {span}",
            "bold",
        ),
        Text(
            f"captured {captured} of {covered.due:,} due{assumed}; missed {sum(covered.missed.values()):,}"
            + (f" ({missed})" if missed else "")
            + f"; open {number_format.count(covered.open)}"
        ),
    ]


def _horizons(report: Report, *, wide: bool) -> Table:
    minutes = report.cluster_ms // MINUTE_MS
    caption = (
        f"bands: middle {report.level:.0%} of a bootstrap over clusters, a dex and {minutes} min each;"
        f" none below {MIN_CLUSTERS}"
    )
    table = _table("What became of them, bps", caption)
    table.add_column("after", no_wrap=True)
    for horizon in report.total.horizons:
        table.add_column(number_format.horizon(horizon.offset_ms), justify="right", no_wrap=True)
    for name, value, form in _ROWS:
        *before, last = map(value, report.total.horizons)
        table.add_row(name, *(_with_band(of, form, wide) for of in before), _with_band(last, form, True))
    table.add_row("half-life", *[""] * (len(report.total.horizons) - 1), _half_life(report.total))
    for at, part in enumerate(report.lateness_quantiles):
        if part in (0.5, 0.99, 1.0):
            name = "lateness, most" if part == 1 else f"lateness, p{part * 100:g}"
            table.add_row(name, *(number_format.ms(late.quantiles_ms[at]) for late in report.lateness))
    return table


_ROWS: tuple[tuple[str, Callable[[Horizon], Estimate | float | None], number_format.Form], ...] = (
    ("follow-ups", lambda of: of.n, number_format.count),
    ("clusters", lambda of: of.clusters, number_format.count),
    ("mean edge", lambda of: of.edge_bps, number_format.level),
    ("edge / edge at T0", lambda of: of.retention, number_format.ratio),
    ("  median signal's", lambda of: of.retention_median, number_format.ratio),
    ("the book came", lambda of: of.book_came, number_format.share),
    ("the oracle came", lambda of: of.oracle_came, number_format.share),
    ("unmoved", lambda of: of.unmoved, number_format.share),
    ("widened", lambda of: of.widened, number_format.share),
    ("touch to oracle", lambda of: of.market_part_bps, number_format.bps),
    ("oracle to touch", lambda of: of.oracle_part_bps, number_format.bps),
    ("markout", lambda of: of.markout_bps, number_format.bps),
    ("  median", lambda of: of.markout_quantiles_bps[2], number_format.bps),
    ("  above 0", lambda of: of.hit, number_format.share),
    ("net of cost", lambda of: of.net_bps, number_format.bps),
    ("  above 0", lambda of: of.won, number_format.share),
)


def _groups(report: Report, *, wide: bool) -> Table:
    table = _table(f"By {report.by}, after {number_format.horizon(report.total.horizons[-1].offset_ms)}")
    columns = [column for column in _GROUP if wide or not column.wide]
    table.add_column(report.by, no_wrap=True)
    for column in columns:
        table.add_column(column.name, justify="right", no_wrap=True)
    for group in report.groups:
        at_longest = report.at_longest(group)
        table.add_row(printable(group.name), *(column.cell((group, at_longest)) for column in columns))
    return table


_Of = tuple[Group, Horizon | None]
"""A group, and its follow-ups at the longest horizon of all, if it has any."""


@dataclass(frozen=True, slots=True)
class _Column(Generic[T]):
    name: str
    cell: Callable[[T], Text | str]
    wide: bool = False
    """Left out where there is little room."""


def _last(form: number_format.Form, value: Callable[[Horizon], Estimate]) -> Callable[[_Of], str]:
    return lambda of: number_format.MISSING if of[1] is None else form(value(of[1]).value)


_GROUP: tuple[_Column[_Of], ...] = (
    _Column("signals", lambda of: number_format.count(of[0].signals)),
    _Column("cost", lambda of: number_format.level(of[0].cost_bps), wide=True),
    _Column("edge T0", _last(number_format.level, lambda of: of.edge_t0_bps), wide=True),
    _Column("edge", _last(number_format.level, lambda of: of.edge_bps), wide=True),
    _Column("half-life", lambda of: _half_life(of[0]), wide=True),
    _Column("book came", _last(number_format.share, lambda of: of.book_came)),
    _Column("oracle came", _last(number_format.share, lambda of: of.oracle_came), wide=True),
    _Column("markout", _last(number_format.bps, lambda of: of.markout_bps)),
    _Column("net", lambda of: _coloured(of[1].net_bps) if of[1] else number_format.MISSING),
    _Column(
        "90 % band",
        lambda of: Text(
            number_format.band(of[1].net_bps, number_format.bps) if of[1] else number_format.MISSING, "dim"
        ),
    ),
    _Column("won", _last(number_format.share, lambda of: of.won)),
)


def _thresholds(search: Search, *, wide: bool) -> Table:
    table = _table(
        f"Thresholds, after {number_format.horizon(search.offset_ms)}",
        f"chosen before {number_format.instant(search.split_at_ms)}, judged on the rest; p: how often the best of"
        f" {search.judged:,} markets does as well by chance",
    )
    columns = [column for column in _CHOICE if wide or not column.wide]
    table.add_column("market", no_wrap=True)
    for column in columns:
        table.add_column(column.name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for choice in search.choices:
        verdict = Text(choice.verdict, COLOURS.get(choice.verdict, ""))
        table.add_row(printable(choice.market), *(column.cell(choice) for column in columns), verdict)
    return table


def _in(choice: Choice, form: Callable[[Part], str]) -> str:
    return number_format.MISSING if choice.in_sample is None else form(choice.in_sample)


def _out(choice: Choice, form: Callable[[Part], str]) -> str:
    return number_format.MISSING if choice.out_of_sample is None else form(choice.out_of_sample)


_CHOICE: tuple[_Column[Choice], ...] = (
    _Column("matched", lambda of: number_format.count(of.matched)),
    _Column("edge", lambda of: number_format.level(of.edge_bps), wide=True),
    _Column("shrank", lambda of: number_format.share(of.shrank), wide=True),
    _Column("won", lambda of: number_format.share(of.won), wide=True),
    _Column("net", lambda of: number_format.bps(of.net_bps.value)),
    _Column("best", lambda of: number_format.level(of.threshold_bps)),
    _Column("n in", lambda of: _in(of, lambda part: number_format.count(part.n)), wide=True),
    _Column("won in", lambda of: _in(of, lambda part: number_format.share(part.won)), wide=True),
    _Column("net in", lambda of: _in(of, lambda part: number_format.bps(part.net_bps.value))),
    _Column("n out", lambda of: _out(of, lambda part: number_format.count(part.n))),
    _Column("won out", lambda of: _out(of, lambda part: number_format.share(part.won)), wide=True),
    _Column("net out", lambda of: _out(of, lambda part: number_format.bps(part.net_bps.value))),
    _Column("p", lambda of: _out(of, lambda part: number_format.chance(part.p))),
)


def _tuned(search: Search) -> Text:
    tuned, held, proven = search.tuned()
    return Text(
        f"Tuned on the first part, {tuned:,} of {len(search.choices):,} markets pay; of these {held:,} do on the rest,"
        f" {proven:,} beyond chance.",
        "bold",
    )


def _half_life(group: Group) -> str:
    if group.half_life is None:
        return number_format.MISSING
    return number_format.seconds(group.half_life.value_s) if group.half_life.value_s is not None else "longer"


def _with_band(value: Estimate | float | None, form: number_format.Form, banded: bool) -> Text:
    if not isinstance(value, Estimate):
        return Text(form(value))
    text = Text(form(value.value))
    if banded and value.low is not None:
        text.append(f"  {number_format.band(value, form)}", "dim")
    return text


def _coloured(estimate: Estimate) -> Text:
    """Green or red only where the band says so."""
    if estimate.low is None or estimate.high is None:
        return Text(number_format.bps(estimate.value))
    return Text(number_format.bps(estimate.value), "green" if estimate.low > 0 else "red" if estimate.high < 0 else "")


def _table(title: str, caption: str = "") -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        caption=caption,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
