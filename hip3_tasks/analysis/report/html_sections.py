"""The page's parts, from the answer down to the files it was read from."""

from hip3_tasks.analysis.report import group_figures, horizon_figures, html_tables, html_words, threshold_figure
from hip3_tasks.analysis.report.html_definitions import definitions
from hip3_tasks.analysis.report.html_values import Exhibit
from hip3_tasks.analysis.report.markup import Markup, as_json, element, joined
from hip3_tasks.analysis.report.model import Report
from hip3_tasks.charts import number_format
from hip3_tasks.charts.plotly_parts import Figure
from hip3_tasks.terminal_text import printable

TITLE = "Were the signals right?"


def sections(report: Report) -> Markup:
    """All of the report: the answer, the figures, the tables, and how to read them."""
    exhibit = Exhibit(report)
    return joined(
        [
            element("header", [element("h1", TITLE), html_words.answer(exhibit, report), _about(exhibit, report)]),
            *_warnings(report),
            _by_horizon(exhibit, report),
            _by_group(exhibit, report),
            _by_threshold(exhibit, report),
            _of_capture(exhibit, report),
            _section("How to read this", "", definitions(exhibit)),
        ]
    )


def _about(exhibit: Exhibit, report: Report) -> Markup:
    cost = ["cost as each market’s signals have it"]
    if report.cost_bps is not None:
        cost = ["cost ", exhibit.number(number_format.level, "cost_bps"), " bps as asked for"]
    inside = [
        *(exhibit.number(number_format.instant, "first_ms"), " to ", exhibit.number(number_format.instant, "last_ms")),
        *(" (", number_format.duration(report.last_ms - report.first_ms), "), ", *cost, ", from "),
        *(exhibit.number(printable, "notes", "dirs", at, tag="code") for at in range(len(report.notes.dirs))),
        *(", made ", exhibit.number(number_format.instant, "made_at_ms"), "."),
    ]
    return element("p", inside, class_="about")


def _warnings(report: Report) -> list[Markup]:
    said = [element("li", printable(sentence)) for sentence in report.sentences()]
    return [element("ul", said, class_="warnings")] if said else []


def _by_horizon(exhibit: Exhibit, report: Report) -> Markup:
    of = report.total
    return _section(
        "What became of them",
        "All signals, by the time since each.",
        _pair(
            _figure(
                "decay",
                "What is left of the edge",
                "Mean edge, and its share of the edge at T0.",
                horizon_figures.decay(of.horizons),
            ),
            _figure(
                "markout",
                "Where the mid went",
                "Above the cost it pays to take the signal.",
                horizon_figures.markout(of.horizons, cost_bps=of.cost_bps),
            ),
        ),
        html_tables.horizons(exhibit, report),
    )


def _by_group(exhibit: Exhibit, report: Report) -> Markup:
    if not report.total.horizons:
        return Markup("")
    after = number_format.horizon(report.total.horizons[-1].offset_ms)
    return _section(
        f"By {report.by}",
        f"After {after}, best first.",
        _pair(
            _figure("net", "Net of cost", "Right of zero it paid.", group_figures.net(report)),
            _figure("outcomes", "Who moved", "What made the edge shrink, if it did.", group_figures.outcomes(report)),
        ),
        html_tables.groups(exhibit, report),
    )


def _by_threshold(exhibit: Exhibit, report: Report) -> Markup:
    if report.search is None:
        return Markup("")
    split = [
        *(
            "Chosen before ",
            exhibit.number(number_format.instant, "search", "split_at_ms"),
            ", judged on the rest, after ",
        ),
        *(exhibit.number(number_format.horizon, "search", "offset_ms"), ". "),
        *(exhibit.number(number_format.count, "search", "tried"), " pairs of market and threshold were tried, "),
        *(exhibit.number(number_format.count, "search", "judged"), " markets judged."),
    ]
    drawn = threshold_figure.thresholds(report.search)
    chosen = any(one.in_sample for one in report.search.choices)
    found = (
        [_figure("thresholds", "In sample, out of sample", "The line between is the over-fit.", drawn)]
        if chosen
        else []
    )
    return _section(
        "Thresholds", joined(split), html_words.tuning(exhibit), *found, html_tables.thresholds(exhibit, report.search)
    )


def _of_capture(exhibit: Exhibit, report: Report) -> Markup:
    read = [
        *(exhibit.number(number_format.count, "derived", "rows"), " rows of "),
        *(exhibit.number(number_format.count, "derived", "files"), " files, "),
        *(exhibit.number(number_format.count, "derived", "broken"), " broken lines left out."),
    ]
    again = [
        joined(
            [
                exhibit.number(number_format.count, "notes", "duplicates", kind),
                f" further lines of {printable(kind)} left out",
            ]
        )
        for kind in report.notes.duplicates
    ]
    drawn = _figure(
        "lateness",
        "Lateness",
        "How long after it was due a follow-up was captured.",
        horizon_figures.lateness(report.lateness),
    )
    covered = element("div", [element("h3", "Coverage"), html_tables.coverage(exhibit, report)], class_="card")
    details = element(
        "details",
        [
            element("summary", ["What was read: ", *read]),
            *(element("p", said) for said in again),
            html_tables.files(exhibit, report),
        ],
    )
    return _section("Capture", "What is known, and how soon it was.", _pair(drawn, covered), details)


def _section(title: str, lead: str, *inside: Markup) -> Markup:
    words = [element("p", lead, class_="about")] if lead else []
    return element("section", [element("h2", title), *words, *inside])


def _pair(*cards: Markup) -> Markup:
    return element("div", cards, class_="pair")


def _figure(name: str, title: str, lead: str, figure: Figure) -> Markup:
    height = f"min-height: {figure['layout']['height']}px"
    return element(
        "figure",
        [
            element("figcaption", [element("h3", title), element("p", lead)]),
            element("div", class_="plot", id=name, style=height),
            element("script", as_json(figure), type="application/json"),
        ],
        class_="card",
    )
