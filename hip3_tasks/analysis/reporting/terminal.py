"""Print a report: outcomes by horizon, then the groups, then the thresholds."""

from collections.abc import Iterable, Iterator, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hip3_tasks.analysis.measure.threshold_search import MIN_CLUSTERS_TO_CHOOSE, ThresholdSearch, ThresholdVerdict
from hip3_tasks.analysis.measure.trip_measures import Trip
from hip3_tasks.analysis.reporting import tables
from hip3_tasks.analysis.reporting.model import Report, largest, left_out
from hip3_tasks.analysis.reporting.tables import BoundValue, Column, Row, TableCell, group_row
from hip3_tasks.charts import number_format
from hip3_tasks.domain.capture import MINUTE_MS
from hip3_tasks.stats.bootstrap import MIN_CLUSTERS
from hip3_tasks.terminal_text import printable

COLOURS = {ThresholdVerdict.WORKS: "green", ThresholdVerdict.LOSES: "red", ThresholdVerdict.STRUCTURAL: "yellow"}
UNKNOWN = "What a taker had is not known: it takes follow-ups at two offsets, with both sides of the book."
WIDE = 132
"""Columns of a terminal that the widest table needs."""


def show(report: Report, console: Console) -> None:
    """Print a report in the width of the terminal; into a file or pipe, at least WIDE columns wide."""
    if not console.is_terminal:
        console.width = max(console.width, WIDE)
    is_wide = console.width >= WIDE
    document = BoundValue(report.model_dump(mode="json"))
    for line in _head(report):
        console.print(line, soft_wrap=True)
    console.print(_horizons(report, document, is_wide=is_wide))
    if report.total.trips:
        console.print(_trips(report, document, is_wide=is_wide))
    if report.groups:
        console.print(_groups(report, document, is_wide=is_wide))
    if report.search is not None:
        console.print(_thresholds(report.search, document, is_wide=is_wide))
        if report.search.judged:
            console.print(_tuned(report.search), soft_wrap=True)
        if report.search.at_priority_fees:
            console.print(_at_priority_fees(report.search), soft_wrap=True)
    for sentence in report.sums_used():
        console.print(Text(printable(sentence), "dim"), soft_wrap=True)
    for warning in report.warnings():
        console.print(Text(printable(warning), "yellow"), soft_wrap=True)


def _head(report: Report) -> list[Text]:
    coverage, span = report.coverage, number_format.duration(report.last_ms - report.first_ms)
    watched = "" if coverage.markets_watched is None else f" of {coverage.markets_watched:,} watched"
    reasons = ", ".join(f"{reason} {number:,}" for reason, number in coverage.missed.items())
    assumed = ", one for each offset assumed" if coverage.expected_is_assumed else ""
    captured = number_format.share(coverage.captured_share)
    return [
        Text(
            f"{coverage.signals:,} signals of {coverage.markets_with_signals:,} markets{watched},"
            f" {number_format.instant(report.first_ms)} + {span}",
            "bold",
        ),
        Text(
            f"captured {captured} of {coverage.expected:,} expected{assumed}; missed {sum(coverage.missed.values()):,}"
            + (f" ({reasons})" if reasons else "")
            + f"; open {number_format.count(coverage.open)}"
        ),
        Text(report.costs()),
        Text(_answer(report), "bold"),
    ]


def _answer(report: Report) -> str:
    """Whether a taker would have earned from the signals, in a sentence."""
    taken, judged = report.taken, report.total.judged
    if taken is None or judged is None:
        return UNKNOWN
    when = f"{number_format.horizon(taken.latency_ms)} after T0, out {number_format.horizon(taken.held_ms)} later"
    trip_bps, had = judged.round_trip_bps, number_format.share(judged.had.value)
    if trip_bps.value is None:
        return f"{report.headline}: in {when}, a taker had {had} of them, and no round trip is known"
    if trip_bps.low is None:
        paid = (
            f"{number_format.bps(trip_bps.value)} bps; {judged.clusters:,} of {MIN_CLUSTERS} clusters: too few to say"
        )
    else:
        paid = f"{number_format.bps(trip_bps.value)} bps, {number_format.band(trip_bps, number_format.bps)}"
    return f"{report.headline}: in {when}, a taker had {had} of them; a round trip paid {paid}"


def _trips(report: Report, document: BoundValue, *, is_wide: bool) -> Table:
    shown = report.shown_trips()
    trips = [document["total"]["trips"][place] for place in shown]
    headings = [_heading(report.total.trips[place]) for place in shown]
    rows: list[list[Text | str]] = []
    for column in tables.TRIPS:
        cells = [column.cell(trip) for trip in trips]
        texts = [_with_band(cell) if is_wide else Text(cell.text) for cell in cells]
        rows.append([column.shown.row_title, *texts])
    taken = report.taken
    small = f"; {taken.too_small:,} below {taken.min_notional_usd:g} USD left out" if taken and taken.too_small else ""
    caption = f"{taken.how() if taken else ''}{small}"
    return _table("What a taker had", ["at the touch of T0", *headings], rows, caption)


def _heading(trip: Trip) -> str:
    arrival = f"in {number_format.horizon(trip.latency_ms)}" if trip.latency_ms else "at once (no taker)"
    return f"{arrival}, out +{number_format.horizon(trip.held_ms)}"


def _horizons(report: Report, document: BoundValue, *, is_wide: bool) -> Table:
    caption = (
        f"bands: middle {report.level:.0%} of a bootstrap over clusters, a dex and {report.cluster_ms // MINUTE_MS} min"
        f" each; none below {MIN_CLUSTERS}"
    )
    *before, longest = document["total"]["horizons"]
    rows: list[list[Text | str]] = []
    for column in tables.MEASURES:
        cells = [column.cell(horizon) for horizon in before]
        texts = [_with_band(cell) if is_wide else cell.text for cell in cells]
        rows.append([column.shown.row_title, *texts, _with_band(column.cell(longest))])
    half_life = tables.HALF_LIFE.cell({"group": document["total"]}).text
    rows.append([tables.HALF_LIFE.shown.title, *("" for _ in before), half_life])
    for column in tables.LATENESS:
        rows.append([column.shown.row_title, *(column.cell(row).text for row in document["lateness"])])
    offsets = [number_format.horizon(horizon.offset_ms) for horizon in report.total.horizons]
    return _table("What became of them, bps", ["after", *offsets], [row for row in rows if row[0]], caption)


def _groups(report: Report, document: BoundValue, *, is_wide: bool) -> Table:
    columns = _visible(tables.TERMINAL_GROUPS, is_wide=is_wide)
    groups = largest(list(document["groups"]), lambda group: int(group["signals"].raw))
    rows = [[printable(group["name"].raw), *_group_texts(columns, group_row(report, group))] for group in groups]
    after = number_format.horizon(report.total.horizons[-1].offset_ms)
    title, headings = f"By {report.by}, after {after}", [report.by, *_group_headings(columns)]
    return _table(title, headings, rows, left_out(report.groups))


def _group_headings(columns: Sequence[Column]) -> Iterator[str]:
    for column in columns:
        yield _title(column)
        if column == tables.ROUND_TRIP:
            yield "90 % band"


def _group_texts(columns: Sequence[Column], row: Row) -> Iterator[Text | str]:
    for column in columns:
        cell = column.cell(row)
        if column == tables.ROUND_TRIP:
            yield from (_coloured(cell), Text(number_format.band(cell.estimate, cell.format), "dim"))
        else:
            yield cell.text


def _thresholds(search: ThresholdSearch, document: BoundValue, *, is_wide: bool) -> Table:
    columns = _visible(tables.CHOICES, is_wide=is_wide)
    rows: list[list[Text | str]] = []
    choices = list(zip(search.choices, document["search"]["choices"], strict=True))
    for choice, row in largest(choices, lambda pair: pair[0].matched):
        verdict = Text(choice.verdict, COLOURS.get(choice.verdict, ""))
        rows.append([printable(choice.market), *(column.cell(row).text for column in columns), verdict])
    return _table(
        f"Thresholds, after {number_format.horizon(search.offset_ms)}",
        ["market", *map(_title, columns), "verdict"],
        rows,
        "\n".join(filter(None, [_how_judged(search), left_out(choices)])),
    )


def _how_judged(search: ThresholdSearch) -> str:
    if not search.judged:
        return (
            f"no market has enough round trips to be judged: in {MIN_CLUSTERS_TO_CHOOSE} clusters before"
            f" {number_format.instant(search.split_at_ms)}, and in {MIN_CLUSTERS} after that"
        )
    return (
        f"chosen before {number_format.instant(search.split_at_ms)} by the round trip when had, judged on the rest;"
        f" p: how often the best of {search.judged:,} markets does as well by chance"
    )


def _at_priority_fees(search: ThresholdSearch) -> Text:
    counts = [f"at {given.priority_fee_bps:g} bps {given.works:,}" for given in search.at_priority_fees]
    works = len(search.recommended_bps())
    return Text(f"Of {works:,} that work, {', '.join(counts)} would with an order priority fee, paid in and out.")


def _tuned(search: ThresholdSearch) -> Text:
    tuned, held, proven = search.overfit_counts()
    return Text(
        f"Tuned on the first part, {tuned:,} of {len(search.choices):,} markets pay; of these {held:,} do on the rest,"
        f" {proven:,} beyond chance.",
        "bold",
    )


def _visible(columns: Iterable[Column], *, is_wide: bool) -> list[Column]:
    return [column for column in columns if column.shown.column or (is_wide and column.shown.wide)]


def _title(column: Column) -> str:
    return column.shown.column or column.shown.wide


def _with_band(cell: TableCell) -> Text:
    text = Text(cell.text)
    if cell.estimate.low is not None:
        text.append(f"  {number_format.band(cell.estimate, cell.format)}", "dim")
    return text


def _coloured(cell: TableCell) -> Text:
    """Green above 0, red below it, and without colour if the band holds 0 or is missing."""
    low, high = cell.estimate.low, cell.estimate.high
    is_above, is_below = low is not None and low > 0, high is not None and high < 0
    return Text(cell.text, "green" if is_above else "red" if is_below else "")


def _table(title: str, headings: Sequence[str], rows: Iterable[Sequence[Text | str]], caption: str = "") -> Table:
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        caption=caption,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number and heading != "verdict" else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table
