"""The page: each number on it is the report's, each text stays text, and nothing is asked of anybody."""

import json
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import pytest

from hip3_tasks.analysis.report import group_figures as groupfigures
from hip3_tasks.analysis.report import horizon_figures as figures
from hip3_tasks.analysis.report import threshold_figure as thresholdfigure
from hip3_tasks.analysis.report.html import as_html
from hip3_tasks.analysis.report.model import Report
from hip3_tasks.stats.bootstrap import Estimate
from tests.reports import HOSTILE, a_hostile_report, a_report, a_report_of_a_minute, a_report_of_nothing

VOID = ("meta",)
TAGS = {
    *("html", "head", "meta", "title", "style", "body", "main", "header", "section", "script", "details", "summary"),
    *("h1", "h2", "h3", "p", "div", "figure", "figcaption", "ul", "li", "dl", "dt", "dd", "code", "span", "small"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
REPORTS = [a_report, a_report_of_a_minute, a_report_of_nothing, a_hostile_report]


class Element:
    """One element, with the text of it and of all inside it."""

    def __init__(self, tag: str, attributes: dict[str, str]) -> None:
        self.tag, self.attributes, self.text = tag, attributes, ""


class Reading(HTMLParser):
    """A page as a browser would take it apart."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def numbers(self) -> list[Element]:
        return [element for element in self.elements if "data-path" in element.attributes]

    def scripts(self, *, run: bool) -> list[str]:
        return [one.text for one in self.elements if one.tag == "script" and ("type" not in one.attributes) is run]


def found_at(document: Any, path: str) -> Any:
    for step in path.split("."):
        name = step.replace("~1", ".").replace("~0", "~")
        document = document[int(name)] if isinstance(document, list) else document[name]
    return document


def is_rounded(text: str, value: float) -> bool:
    """Whether a text says this number, or it in percent, or it in thousandths, to the decimals that it shows."""
    number = re.sub(r"[^\d.−]", "", text).replace("−", "-")
    if text.startswith("<"):
        return value < float(number)
    half = 0.5 * 10.0 ** -len(number.partition(".")[2])
    return any(abs(float(number) - value * scale) <= half * (1 + 1e-9) for scale in (1, 100, 0.001))


@pytest.mark.parametrize("report", REPORTS)
def test_every_number_on_the_page_is_the_reports(report: Any) -> None:
    document = report().model_dump(mode="json")
    numbers = Reading(as_html(report())).numbers()
    for shown in numbers:
        path, exact = shown.attributes["data-path"], shown.attributes["data-value"]
        if path.startswith("derived."):
            continue
        value = found_at(document, path)
        assert (json.loads(exact) if exact else None) == value, path
        if value is None:
            assert shown.text in ("–", "longer"), path
        elif isinstance(value, int | float) and not isinstance(value, bool) and not path.endswith("at_ms"):
            assert path in ("first_ms", "last_ms") or is_rounded(shown.text, value), (path, shown.text, value)
    assert len(numbers) > 10


def test_what_the_page_counts_itself_is_right() -> None:
    report = a_report()
    shown = {one.attributes["data-path"]: one.attributes["data-value"] for one in Reading(as_html(report)).numbers()}
    said = {path.removeprefix("derived."): json.loads(shown[path]) for path in shown if path.startswith("derived.")}
    choices = json.loads(report.model_dump_json())["search"]["choices"]
    paid = [one for one in choices if one["in_sample"] and one["in_sample"]["net_bps"]["value"] > 0]
    held = [one for one in paid if one["out_of_sample"] and one["out_of_sample"]["net_bps"]["value"] > 0]
    assert said == {
        "captured_share": report.coverage.captured / report.coverage.due,
        "missed": 15,
        "tuned": len(paid),
        "held": len(held),
        "proven": sum(one["verdict"] == "works" for one in held),
        "markets": 6,
        "cluster_min": 1,
        "files": 1,
        "rows": 17_700,
        "broken": 2,
    }


def test_every_measure_of_every_group_and_market_is_in_a_table() -> None:
    report = a_report()
    shown = {one.attributes["data-path"] for one in Reading(as_html(report)).numbers()}
    unshown = r"markout_quantiles_bps\.[0134]|offset_ms|half_life\.(low_s|high_s|has_band)"
    for start, value in [
        *((f"total.horizons.{at}", of) for at, of in enumerate(report.total.horizons)),
        *((f"groups.{at}.horizons.2", group.horizons[2]) for at, group in enumerate(report.groups)),
        *((f"search.choices.{at}", choice) for at, choice in enumerate(report.search.choices if report.search else [])),
    ]:
        for leaf in leaves(value.model_dump(mode="json"), start):
            assert leaf in shown or re.search(rf"\.({unshown}|clusters)$", leaf), leaf


def leaves(value: Any, path: str) -> list[str]:
    if isinstance(value, dict):
        if value.get("low", ...) is None:
            return [f"{path}.value"]
        return [leaf for name, inside in value.items() for leaf in leaves(inside, f"{path}.{name}")]
    if isinstance(value, list):
        return [leaf for at, inside in enumerate(value) for leaf in leaves(inside, f"{path}.{at}")]
    return [path]


def test_the_figures_on_the_page_are_those_of_the_report() -> None:
    report = a_report()
    assert report.search
    *drawn, _ = (json.loads(text) for text in Reading(as_html(report)).scripts(run=False))
    assert drawn == json.loads(
        json.dumps(
            [
                figures.decay(report.total.horizons),
                figures.markout(report.total.horizons, cost_bps=report.total.cost_bps),
                groupfigures.net(report),
                groupfigures.outcomes(report),
                thresholdfigure.thresholds(report.search),
                figures.lateness(report.lateness),
            ]
        )
    )


def test_text_from_files_stays_text() -> None:
    reading = Reading(as_html(a_hostile_report()))
    assert {element.tag for element in reading.elements} <= TAGS
    assert not any(
        name.startswith("on") or name in ("src", "href") for one in reading.elements for name in one.attributes
    )
    shown = [one.text for one in reading.numbers()]
    for name in HOSTILE:
        assert name.replace("\x1b", "\\x1b").replace("\u2028", "\\u2028") in shown
    assert len(reading.scripts(run=True)) == 2


def test_nothing_is_fetched_and_only_the_pages_own_scripts_run() -> None:
    reading = Reading(as_html(a_report()))
    (policy,) = (
        one.attributes["content"]
        for one in reading.elements
        if one.attributes.get("http-equiv") == "Content-Security-Policy"
    )
    digests = [b64encode(sha256(script.encode()).digest()).decode() for script in reading.scripts(run=True)]
    assert policy.startswith("default-src 'none'; script-src " + " ".join(f"'sha256-{one}'" for one in digests) + ";")
    assert "http" not in policy and "connect-src" not in policy
    assert len(as_html(a_report()).encode()) < 6_000_000


@pytest.mark.parametrize(
    ("net", "said"),
    [
        (Estimate(value=1.0, low=0.5, high=1.5), "Yes: a signal brought +1.00 bps on average, net of cost, after 5 s"),
        (Estimate(value=-1.0, low=-1.5, high=-0.5), "No: a signal brought −1.00 bps"),
        (Estimate(value=0.5, low=-0.5, high=1.5), "Not proven: a signal brought +0.50 bps"),
        (Estimate(value=0.5), "No claim: "),
        (Estimate(value=None), "No claim: what the signals brought is not known"),
    ],
)
def test_the_answer_claims_no_more_than_the_band(net: Estimate, said: str) -> None:
    report = a_report()
    last = report.total.horizons[-1].model_copy(update={"net_bps": net})
    changed = report.total.model_copy(update={"horizons": [*report.total.horizons[:-1], last]})
    assert answer(report.model_copy(update={"total": changed})).startswith(said)


def test_without_bands_or_follow_ups_there_is_a_page_and_no_claim() -> None:
    assert answer(a_report_of_a_minute()).startswith("No claim: too few clusters for a band (1 of 20).")
    assert answer(a_report_of_nothing()) == "No claim: no signal has a follow-up yet."


def answer(report: Report) -> str:
    first = next(one for one in Reading(as_html(report)).elements if one.attributes.get("class") == "answer")
    return first.text.replace("\N{NO-BREAK SPACE}", " ")
