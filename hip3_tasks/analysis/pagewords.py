"""What the page says in words: the answer, and how much tuning is worth."""

from hip3_tasks.analysis import numerals
from hip3_tasks.analysis.bootstrap import FEWEST_CLUSTERS
from hip3_tasks.analysis.exhibit import Exhibit, Path
from hip3_tasks.analysis.markup import Markup, element, joined
from hip3_tasks.analysis.measures import Horizon
from hip3_tasks.analysis.report import Report


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
    net, after = horizon.net_bps, exhibit.number(numerals.horizon, *place, "offset_ms")
    if net.value is None:
        return ["No claim: what the signals brought is not known, since no follow-up has both a markout and a cost."]
    value = exhibit.number(numerals.bps, *place, "net_bps", "value")
    if net.low is None or net.high is None:
        clusters = exhibit.number(numerals.count, *place, "clusters")
        few = ["No claim: too few clusters for a band (", clusters, f" of {FEWEST_CLUSTERS}). "]
        return [*few, "The mean net of cost after ", after, " is ", value, " bps."]
    verdict = "Yes" if net.low > 0 else "No" if net.high < 0 else "Not proven"
    held = "" if net.low > 0 or net.high < 0 else ", which holds zero"
    spread = exhibit.band(numerals.bps, *place, "net_bps")
    level = exhibit.number(numerals.percent, "level")
    brought = [f"{verdict}: a signal brought ", value, " bps on average, net of cost, after ", after]
    return [*brought, " (", level, " band ", spread, held, ")."]


def _movers(exhibit: Exhibit, place: Path) -> list[str]:
    def share(name: str, *value: str) -> Markup:
        return exhibit.number(numerals.share, *place, name, *value)

    return [
        *("The edge shrank in ", share("valid", "value"), " of "),
        *(exhibit.number(numerals.count, *place, "n"), " follow-ups: in "),
        *(share("book_came", "value"), " the book came to the oracle, as the signals said; in "),
        *(share("oracle_came", "value"), " the oracle came to the book, which led. It stood still in "),
        *(share("unmoved"), " and widened in ", share("widened"), "."),
    ]


def _coverage(exhibit: Exhibit, report: Report) -> list[str]:
    watched: list[str] = []
    if report.coverage.markets_watched is not None:
        watched = [" of ", exhibit.number(numerals.count, "coverage", "markets_watched"), " watched"]
    assumed = ", one for each offset assumed," if report.coverage.due_is_assumed else ""
    return [
        *(exhibit.number(numerals.count, "coverage", "signals"), " signals of "),
        *(exhibit.number(numerals.count, "coverage", "markets_with_signals"), " markets", *watched, " owed "),
        *(exhibit.number(numerals.count, "coverage", "due"), f" follow-ups{assumed} of which "),
        *(exhibit.number(numerals.share, "derived", "captured_share"), " were captured, "),
        *(exhibit.number(numerals.count, "derived", "missed"), " missed and "),
        *(exhibit.number(numerals.count, "coverage", "open"), " are open."),
    ]


def tuning(exhibit: Exhibit) -> Markup:
    """How much of what tuning finds is there again."""
    inside = [
        *("Tuned on the first part of the time, ", exhibit.number(numerals.count, "derived", "tuned"), " of "),
        *(exhibit.number(numerals.count, "derived", "markets"), " markets pay. Of these, "),
        *(exhibit.number(numerals.count, "derived", "held"), " still do on the rest, "),
        *(exhibit.number(numerals.count, "derived", "proven"), " of them beyond chance."),
    ]
    return element("p", inside, class_="answer small")
