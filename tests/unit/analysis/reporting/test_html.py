"""The page: its numbers are the report's, texts from files stay text, and it makes no requests."""

import json
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import pytest

from hip3_tasks.analysis.reporting import figures
from hip3_tasks.analysis.reporting.html import as_html
from hip3_tasks.analysis.reporting.model import Report
from hip3_tasks.stats.bootstrap import Estimate
from tests.support.report_samples import HOSTILE, a_hostile_report, a_report, a_report_of_a_minute, a_report_of_nothing

VOID = ("meta",)
TAGS = {
    *("html", "head", "meta", "title", "style", "body", "main", "header", "section", "script", "details", "summary"),
    *("h1", "h2", "h3", "p", "div", "figure", "figcaption", "ul", "li", "dl", "dt", "dd", "code", "span", "small"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
REPORTS = [a_report, a_report_of_a_minute, a_report_of_nothing, a_hostile_report]


class Element:
    """One element, with all the text inside it."""

    def __init__(self, tag: str, attributes: dict[str, str]) -> None:
        self.tag, self.attributes, self.text = tag, attributes, ""


class ParsedPage(HTMLParser):
    """A page, parsed as by a browser."""

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
        return [
            element.text
            for element in self.elements
            if element.tag == "script" and ("type" not in element.attributes) is run
        ]


def found_at(document: Any, path: str) -> Any:
    for step in path.split("."):
        name = step.replace("~1", ".").replace("~0", "~")
        document = document[int(name)] if isinstance(document, list) else document[name]
    return document


def is_rounded(text: str, value: float) -> bool:
    """Whether a text is this number, its percentage or its thousandth, rounded to the decimals of the text."""
    number = re.sub(r"[^\d.−]", "", text).replace("−", "-")
    if text.startswith("<"):
        return value < float(number)
    half = 0.5 * 10.0 ** -len(number.partition(".")[2])
    return any(abs(float(number) - value * scale) <= half * (1 + 1e-9) for scale in (1, 100, 0.001))


@pytest.mark.parametrize("report", REPORTS)
def test_every_number_on_the_page_is_the_reports(report: Any) -> None:
    document = report().model_dump(mode="json")
    numbers = ParsedPage(as_html(report())).numbers()
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


def test_numbers_derived_for_the_page_are_right() -> None:
    report = a_report()
    numbers = [number.attributes for number in ParsedPage(as_html(report)).numbers()]
    shown = {number["data-path"]: number["data-value"] for number in numbers}
    derived = {path.removeprefix("derived."): json.loads(shown[path]) for path in shown if path.startswith("derived.")}
    choices = json.loads(report.model_dump_json())["search"]["choices"]
    paid = [choice for choice in choices if pays(choice["in_sample"])]
    held = [choice for choice in paid if pays(choice["out_of_sample"])]
    assert derived == {
        "captured_share": report.coverage.captured / report.coverage.expected,
        "missed": 15,
        "tuned": len(paid),
        "held": len(held),
        "proven": sum(choice["verdict"] == "works" for choice in held),
        "markets": 6,
        "cluster_min": 1,
        "files": 1,
        "rows": 17_700,
        "broken": 2,
    }


def pays(sample: Any) -> bool:
    return bool(sample and sample["round_trip_bps"]["value"] > 0)


def test_every_measure_of_every_group_and_market_is_in_a_table() -> None:
    report = a_report()
    shown = {number.attributes["data-path"] for number in ParsedPage(as_html(report)).numbers()}
    choices = report.search.choices if report.search else []
    unshown = r"markout_quantiles_bps\.[0134]|offset_ms|half_life\.(low_s|high_s|has_band)|(in|out_of)_sample"
    for start, value in [
        *((f"total.horizons.{index}", horizon) for index, horizon in enumerate(report.total.horizons)),
        *((f"groups.{index}.horizons.2", group.horizons[2]) for index, group in enumerate(report.groups)),
        *((f"search.choices.{index}", choice) for index, choice in enumerate(choices)),
    ]:
        for leaf in leaves(value.model_dump(mode="json"), start):
            assert leaf in shown or re.search(rf"\.({unshown}|clusters)$", leaf), leaf


def leaves(value: Any, path: str) -> list[str]:
    if isinstance(value, dict):
        if value.get("low", ...) is None:
            return [f"{path}.value"]
        return [leaf for name, inside in value.items() for leaf in leaves(inside, f"{path}.{name}")]
    if isinstance(value, list):
        return [leaf for index, inside in enumerate(value) for leaf in leaves(inside, f"{path}.{index}")]
    return [path]


def test_the_figures_on_the_page_are_those_of_the_report() -> None:
    report = a_report()
    assert report.search
    *drawn, _ = (json.loads(text) for text in ParsedPage(as_html(report)).scripts(run=False))
    assert drawn == json.loads(
        json.dumps(
            [
                figures.decay(report.total.horizons),
                figures.markout(report.total.horizons, cost_bps=report.total.cost_bps),
                figures.round_trips(report),
                figures.outcomes(report),
                figures.thresholds(report.search),
                figures.lateness(report.lateness),
            ]
        )
    )


def test_text_from_files_stays_text() -> None:
    parsed = ParsedPage(as_html(a_hostile_report()))
    assert {element.tag for element in parsed.elements} <= TAGS
    assert not any(
        name.startswith("on") or name in ("src", "href") for element in parsed.elements for name in element.attributes
    )
    shown = [number.text for number in parsed.numbers()]
    for name in HOSTILE:
        assert name.replace("\x1b", "\\x1b").replace("\u2028", "\\u2028") in shown
    assert len(parsed.scripts(run=True)) == 2


def test_nothing_is_fetched_and_only_the_pages_own_scripts_run() -> None:
    parsed = ParsedPage(as_html(a_report()))
    (policy,) = (
        element.attributes["content"]
        for element in parsed.elements
        if element.attributes.get("http-equiv") == "Content-Security-Policy"
    )
    digests = [b64encode(sha256(script.encode()).digest()).decode() for script in parsed.scripts(run=True)]
    assert policy.startswith(
        "default-src 'none'; script-src " + " ".join(f"'sha256-{digest}'" for digest in digests) + ";"
    )
    assert "http" not in policy and "connect-src" not in policy
    assert len(as_html(a_report()).encode()) < 6_000_000


@pytest.mark.parametrize(
    ("paid", "claim", "text"),
    [
        (Estimate(value=1.0, low=0.5, high=1.5), "Yes", "A round trip paid +1.00 bps on average, out 4 s later"),
        (Estimate(value=-1.0, low=-1.5, high=-0.5), "No", "A round trip paid −1.00 bps"),
        (Estimate(value=0.5, low=-0.5, high=1.5), "Not proven", "which holds zero"),
        (Estimate(value=0.5), "No claim", "are too few for a band"),
        (Estimate(value=None), "No claim", "what a taker would have had is not known"),
    ],
)
def test_the_answer_claims_no_more_than_the_band(paid: Estimate, claim: str, text: str) -> None:
    report = a_report()
    assert report.total.judged == report.total.trips[-1]
    judged = report.total.judged.model_copy(update={"round_trip_bps": paid})
    changed = report.total.model_copy(update={"judged": judged})
    given = answer(report.model_copy(update={"total": changed})).replace("\n", " ")
    assert given.startswith(f"{claim}: ")
    assert text in given


def test_without_bands_or_follow_ups_there_is_a_page_and_no_claim() -> None:
    assert answer(a_report_of_a_minute()).endswith("1 of 20 clusters are too few for a band.")
    assert answer(a_report_of_nothing()) == "No claim: no signal has a follow-up yet."


def answer(report: Report) -> str:
    elements = ParsedPage(as_html(report)).elements
    first = next(element for element in elements if element.attributes.get("class") == "answer")
    return first.text.replace("\N{NO-BREAK SPACE}", " ")
