"""The page's tables: columns that say what of the JSON they show."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from hip3_tasks.analysis.measure.threshold_search import Search
from hip3_tasks.analysis.report.group_figures import best_first
from hip3_tasks.analysis.report.html_values import Exhibit, Path
from hip3_tasks.analysis.report.markup import Markup, element, joined
from hip3_tasks.analysis.report.model import Report
from hip3_tasks.analysis.report.threshold_figure import best_first as markets_best_first
from hip3_tasks.charts import number_format
from hip3_tasks.terminal_text import printable

Form = Callable[[float | None], str]
MANY_ROWS = 30
DASH = element("span", number_format.MISSING)


@dataclass(frozen=True, slots=True)
class Column:
    """A heading, what it shows, from each row's place in the JSON on, and how."""

    heading: str
    path: Path
    form: Form
    is_estimate: bool = False

    def cell(self, exhibit: Exhibit, start: Path) -> Markup:
        if exhibit.at(*start, *self.path[:-1]) is None:
            return DASH
        show = exhibit.estimate if self.is_estimate else exhibit.number
        return show(self.form, *start, *self.path)


def _longer(value: float | None) -> str:
    return "longer" if value is None else number_format.seconds(value)


EDGE = (
    Column("follow-ups", ("n",), number_format.count),
    Column("clusters", ("clusters",), number_format.count),
    Column("mean edge at T0, bps", ("edge_t0_bps",), number_format.level, True),
    Column("mean edge then, bps", ("edge_bps",), number_format.level, True),
    Column("edge left, of 1", ("retention",), number_format.ratio, True),
    Column("the median signal’s", ("retention_median",), number_format.ratio),
    Column("the mean of each signal’s", ("retention_mean",), number_format.ratio),
    Column("edge shrank", ("valid",), number_format.share, True),
    Column("the book came", ("book_came",), number_format.share, True),
    Column("the oracle came", ("oracle_came",), number_format.share, True),
    Column("unmoved", ("unmoved",), number_format.share),
    Column("widened", ("widened",), number_format.share),
    Column("touch to oracle, bps", ("market_part_bps",), number_format.bps, True),
    Column("oracle to touch, bps", ("oracle_part_bps",), number_format.bps, True),
)
MARKOUT = (
    Column("with a markout", ("markout_n",), number_format.count),
    Column("markout, bps", ("markout_bps",), number_format.bps, True),
    Column("median markout, bps", ("markout_quantiles_bps", 2), number_format.bps),
    Column("markout above 0", ("hit",), number_format.share, True),
)
RESULT = (
    Column("net of cost, bps", ("net_bps",), number_format.bps, True),
    Column("net above 0", ("won",), number_format.share, True),
)
GROUP = (
    Column("cost, bps", ("cost_bps",), number_format.level),
    Column("half-life", ("half_life", "value_s"), _longer),
    Column("one-sided", ("one_sided",), number_format.share),
)
OF_HORIZON = (*EDGE, *MARKOUT, *RESULT)
SIGNALS = Column("signals", ("signals",), number_format.count)
GROUP_COVERAGE = (Column("due", ("due",), number_format.count), Column("captured", ("captured",), number_format.count))
CHOICE = (
    Column("matched", ("matched",), number_format.count),
    Column("mean edge, bps", ("edge_bps",), number_format.level),
    Column("edge shrank", ("shrank",), number_format.share),
    Column("won", ("won",), number_format.share),
    Column("net, bps", ("net_bps",), number_format.bps, True),
    Column("one-sided", ("one_sided",), number_format.share),
    Column("recorded at, bps", ("recorded_bps",), number_format.level),
    Column("best threshold, bps", ("threshold_bps",), number_format.level),
)
PART = (
    Column("signals", ("n",), number_format.count),
    Column("won", ("won",), number_format.share),
    Column("net, bps", ("net_bps",), number_format.bps, True),
    Column("p", ("p",), number_format.chance),
)


def horizons(exhibit: Exhibit, report: Report) -> Markup:
    """All signals: a row a measure, a column a horizon."""
    places = range(len(report.total.horizons))
    headings = [exhibit.number(number_format.horizon, "total", "horizons", at, "offset_ms") for at in places]
    measures = [
        [
            element("th", one.heading, scope="row"),
            *_cells(one.cell(exhibit, ("total", "horizons", at)) for at in places),
        ]
        for one in OF_HORIZON
    ]
    late = [
        [
            element("th", "lateness, most" if part == 1 else f"lateness, p{part * 100:g}", scope="row"),
            *_cells(
                exhibit.number(number_format.ms, "lateness", of, "quantiles_ms", at)
                for of in range(len(report.lateness))
            ),
        ]
        for at, part in enumerate(report.lateness_quantiles)
    ]
    return table(["after", *headings], [*measures, *late])


def groups(exhibit: Exhibit, report: Report) -> Markup:
    """All signals and each group, at the longest horizon."""
    start: dict[int, Path] = {id(report.total): ("total",)}
    start |= {id(group): ("groups", at) for at, group in enumerate(report.groups)}
    columns = (SIGNALS, *RESULT, *MARKOUT, *GROUP, *EDGE, *GROUP_COVERAGE)
    rows = []
    for group in best_first(report):
        place, horizon = start[id(group)], report.at_longest(group)
        at_last = None if horizon is None else (*place, "horizons", group.horizons.index(horizon))
        starts = [at_last if column in OF_HORIZON else place for column in columns]
        cells = [DASH if at is None else column.cell(exhibit, at) for column, at in zip(columns, starts, strict=True)]
        rows.append([exhibit.number(printable, *place, "name", tag="th"), *_cells(cells)])
    return table([str(report.by), *(column.heading for column in columns)], rows)


def thresholds(exhibit: Exhibit, search: Search) -> Markup:
    """A row a market, in the figure's order: as recorded, then its chosen threshold in sample and out of sample."""
    rows = []
    for choice in markets_best_first(search):
        place: Path = ("search", "choices", search.choices.index(choice))
        parts = [
            DASH if part is None else column.cell(exhibit, (*place, name))
            for name, part in (("in_sample", choice.in_sample), ("out_of_sample", choice.out_of_sample))
            for column in PART
        ]
        verdict = exhibit.number(printable, *place, "verdict", class_=f"verdict {choice.verdict.replace(' ', '-')}")
        cells = [verdict, *(column.cell(exhibit, place) for column in CHOICE), *parts]
        rows.append([exhibit.number(printable, *place, "market", tag="th"), *_cells(cells)])
    parts_headings = [f"{column.heading}, {where}" for where in ("in", "out") for column in PART]
    return table(["market", "verdict", *(column.heading for column in CHOICE), *parts_headings], rows)


def coverage(exhibit: Exhibit, report: Report) -> Markup:
    """due = captured + missed, by reason, + open; and the markets."""
    names = [("signals", "signals"), ("follow-ups due", "due"), ("captured", "captured")]
    rows: list[tuple[str, Path]] = [(name, ("coverage", key)) for name, key in names]
    rows += [(f"missed: {printable(reason)}", ("coverage", "missed", reason)) for reason in report.coverage.missed]
    rows += [("open", ("coverage", "open")), ("markets with signals", ("coverage", "markets_with_signals"))]
    rows += [("markets watched", ("coverage", "markets_watched"))]
    return table(
        ["what", "number"],
        [
            [element("th", name, scope="row"), *_cells([exhibit.number(number_format.count, *path)])]
            for name, path in rows
        ],
    )


def files(exhibit: Exhibit, report: Report) -> Markup:
    """What was read, a row a file."""
    rows = [
        [
            exhibit.number(printable, "notes", "files", at, "file", tag="th"),
            *_cells([exhibit.number(printable, "notes", "files", at, "kind")]),
            *_cells(
                exhibit.number(number_format.count, "notes", "files", at, key)
                for key in ("rows", "broken", "torn_bytes")
            ),
            *_cells([exhibit.number(lambda gone: "gone" if gone else "", "notes", "files", at, "gone")]),
        ]
        for at in range(len(report.notes.files))
    ]
    return table(["file", "kind", "rows", "broken", "torn bytes", ""], rows)


def table(headings: Sequence[str], rows: Sequence[Iterable[Markup]]) -> Markup:
    """In a box of its own, which scrolls where there is little room."""
    head = element("thead", element("tr", [element("th", heading, scope="col") for heading in headings]))
    body = element("tbody", [element("tr", row) for row in rows])
    return element(
        "div",
        element("table", joined([head, body])),
        class_="scroll long" if len(rows) > MANY_ROWS else "scroll",
        tabindex="0",
    )


def _cells(inside: Iterable[Markup]) -> list[Markup]:
    return [element("td", part) for part in inside]
