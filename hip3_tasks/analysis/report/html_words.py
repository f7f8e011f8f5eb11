"""What the page says in words: the answer, and how much tuning is worth."""

from hip3_tasks.analysis.measure.horizons import Horizon
from hip3_tasks.analysis.report.html_values import Exhibit, Path
from hip3_tasks.analysis.report.markup import Markup, element, joined
from hip3_tasks.analysis.report.model import Report
from hip3_tasks.charts import number_format
from hip3_tasks.stats.bootstrap import MIN_CLUSTERS


def answer(exhibit: Exhibit, report: Report) -> Markup:
    """Were the signals right, in a few sentences; without a band there is no claim."""
    if not report.total.horizons:
        return element("p", "No claim: no signal has a follow-up yet.", class_="answer")
    place: Path = ("total", "horizons", len(report.total.horizons) - 1)
    return joined(
        [
            element("p", _result(exhibit, report.total.horizons[-1], place), class_="answer"),
            element("p", _movers(exhibit, place), class_="lead"),
            element("p", _coverage(exhibit, report), class_="lead"),
        ]
    )


def _result(exhibit: Exhibit, horizon: Horizon, place: Path) -> list[str]:
    net, after = horizon.net_bps, exhibit.number(number_format.horizon, *place, "offset_ms")
    if net.value is None:
        return ["No claim: what the signals brought is not known, since no follow-up has both a markout and a cost."]
    value = exhibit.number(number_format.bps, *place, "net_bps", "value")
    if net.low is None or net.high is None:
        clusters = exhibit.number(number_format.count, *place, "clusters")
        few = ["No claim: too few clusters for a band (", clusters, f" of {MIN_CLUSTERS}). "]
        return [*few, "The mean net of cost after ", after, " is ", value, " bps."]
    verdict = "Yes" if net.low > 0 else "No" if net.high < 0 else "Not proven"
    held = "" if net.low > 0 or net.high < 0 else ", which holds zero"
    spread = exhibit.band(number_format.bps, *place, "net_bps")
    level = exhibit.number(number_format.percent, "level")
    brought = [f"{verdict}: a signal brought ", value, " bps on average, net of cost, after ", after]
    return [*brought, " (", level, " band ", spread, held, ")."]


def _movers(exhibit: Exhibit, place: Path) -> list[str]:
    def share(name: str, *value: str) -> Markup:
        return exhibit.number(number_format.share, *place, name, *value)

    return [
        *("The edge shrank in ", share("valid", "value"), " of "),
        *(exhibit.number(number_format.count, *place, "n"), " follow-ups: in "),
        *(share("book_came", "value"), " the book came to the oracle, as the signals said; in "),
        *(share("oracle_came", "value"), " the oracle came to the book, which led. It stood still in "),
        *(share("unmoved"), " and widened in ", share("widened"), "."),
    ]


def _coverage(exhibit: Exhibit, report: Report) -> list[str]:
    watched: list[str] = []
    if report.coverage.markets_watched is not None:
        watched = [" of ", exhibit.number(number_format.count, "coverage", "markets_watched"), " watched"]
    assumed = ", one for each offset assumed," if report.coverage.due_is_assumed else ""
    return [
        *(exhibit.number(number_format.count, "coverage", "signals"), " signals of "),
        *(exhibit.number(number_format.count, "coverage", "markets_with_signals"), " markets", *watched, " owed "),
        *(exhibit.number(number_format.count, "coverage", "due"), f" follow-ups{assumed} of which "),
        *(exhibit.number(number_format.share, "derived", "captured_share"), " were captured, "),
        *(exhibit.number(number_format.count, "derived", "missed"), " missed and "),
        *(exhibit.number(number_format.count, "coverage", "open"), " are open."),
    ]


def tuning(exhibit: Exhibit) -> Markup:
    """How much of what tuning finds is there again."""
    inside = [
        *("Tuned on the first part of the time, ", exhibit.number(number_format.count, "derived", "tuned"), " of "),
        *(exhibit.number(number_format.count, "derived", "markets"), " markets pay. Of these, "),
        *(exhibit.number(number_format.count, "derived", "held"), " still do on the rest, "),
        *(exhibit.number(number_format.count, "derived", "proven"), " of them beyond chance."),
    ]
    return element("p", inside, class_="answer small")
