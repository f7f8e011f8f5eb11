"""The page's parts, from the answer down to the files it was read from."""

from hip3_tasks.analysis import figures, groupfigures, numerals, pagetables, pagewords, thresholdfigure
from hip3_tasks.analysis.definitions import definitions
from hip3_tasks.analysis.drawing import Figure
from hip3_tasks.analysis.exhibit import Exhibit
from hip3_tasks.analysis.markup import Markup, as_json, element, joined
from hip3_tasks.analysis.report import Report
from hip3_tasks.printable import printable

TITLE = "Were the signals right?"


def sections(report: Report) -> Markup:
    """All of the report: the answer, the figures, the tables, and how to read them."""
    exhibit = Exhibit(report)
    return joined(
        [
            element("header", [element("h1", TITLE), pagewords.answer(exhibit, report), _about(exhibit, report)]),
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
        cost = ["cost ", exhibit.number(numerals.level, "cost_bps"), " bps as asked for"]
    inside = [
        *(exhibit.number(numerals.instant, "first_ms"), " to ", exhibit.number(numerals.instant, "last_ms")),
        *(" (", numerals.duration(report.last_ms - report.first_ms), "), ", *cost, ", from "),
        *(exhibit.number(printable, "notes", "dirs", at, tag="code") for at in range(len(report.notes.dirs))),
        *(", made ", exhibit.number(numerals.instant, "made_at_ms"), "."),
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
                figures.decay(of.horizons),
            ),
            _figure(
                "markout",
                "Where the mid went",
                "Above the cost it pays to take the signal.",
                figures.markout(of.horizons, cost_bps=of.cost_bps),
            ),
        ),
        pagetables.horizons(exhibit, report),
    )


def _by_group(exhibit: Exhibit, report: Report) -> Markup:
    if not report.total.horizons:
        return Markup("")
    after = numerals.horizon(report.total.horizons[-1].offset_ms)
    return _section(
        f"By {report.by}",
        f"After {after}, best first.",
        _pair(
            _figure("net", "Net of cost", "Right of zero it paid.", groupfigures.net(report)),
            _figure("outcomes", "Who moved", "What made the edge shrink, if it did.", groupfigures.outcomes(report)),
        ),
        pagetables.groups(exhibit, report),
    )


def _by_threshold(exhibit: Exhibit, report: Report) -> Markup:
    if report.search is None:
        return Markup("")
    split = [
        *("Chosen before ", exhibit.number(numerals.instant, "search", "split_at_ms"), ", judged on the rest, after "),
        *(exhibit.number(numerals.horizon, "search", "offset_ms"), ". "),
        *(exhibit.number(numerals.count, "search", "tried"), " pairs of market and threshold were tried, "),
        *(exhibit.number(numerals.count, "search", "judged"), " markets judged."),
    ]
    drawn = thresholdfigure.thresholds(report.search)
    chosen = any(one.in_sample for one in report.search.choices)
    found = (
        [_figure("thresholds", "In sample, out of sample", "The line between is the over-fit.", drawn)]
        if chosen
        else []
    )
    return _section(
        "Thresholds", joined(split), pagewords.tuning(exhibit), *found, pagetables.thresholds(exhibit, report.search)
    )


def _of_capture(exhibit: Exhibit, report: Report) -> Markup:
    read = [
        *(exhibit.number(numerals.count, "derived", "rows"), " rows of "),
        *(exhibit.number(numerals.count, "derived", "files"), " files, "),
        *(exhibit.number(numerals.count, "derived", "broken"), " broken lines left out."),
    ]
    again = [
        joined(
            [
                exhibit.number(numerals.count, "notes", "duplicates", kind),
                f" further lines of {printable(kind)} left out",
            ]
        )
        for kind in report.notes.duplicates
    ]
    drawn = _figure(
        "lateness", "Lateness", "How long after it was due a follow-up was captured.", figures.lateness(report.lateness)
    )
    covered = element("div", [element("h3", "Coverage"), pagetables.coverage(exhibit, report)], class_="card")
    details = element(
        "details",
        [
            element("summary", ["What was read: ", *read]),
            *(element("p", said) for said in again),
            pagetables.files(exhibit, report),
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
