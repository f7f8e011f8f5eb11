"""The report's page in a browser: no errors, no requests, and readable on a phone and in dark mode."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hip3_tasks.analysis.reporting.html import as_html
from tests.support.report_samples import a_hostile_report, a_report, a_report_of_a_minute, a_report_of_nothing
from tools.browser import PROGRAM, Tab, browser

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(PROGRAM is None, reason="there is no Chromium here (apt install chromium)"),
]

WIDE, PHONE = 1280, 390
MIN_CONTRAST = 4.5
"""The minimum contrast by WCAG 2.2, 1.4.3."""
MARKS = ".scatterlayer .point, .scatterlayer .js-line, .scatterlayer .js-fill, .barlayer .point path"
DRAWN = """
[...document.querySelectorAll(".plot")].map((plot) => [plot.id, [...plot.querySelectorAll(MARKS)].filter((mark) => {
  const { width, height } = mark.getBoundingClientRect();
  return width + height > 1 && getComputedStyle(mark).visibility === "visible";
}).length])
""".replace("MARKS", repr(MARKS))
CONTRASTS = """
(() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => parts(colour).slice(0, 3)
    .map((part) => part / 255).map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (element) => {
    const colour = getComputedStyle(element).backgroundColor;
    return (parts(colour)[3] ?? 1) > 0 || !element.parentElement ? colour : behind(element.parentElement);
  };
  const shown = (element) => element.getClientRects().length && !element.closest("script, style");
  return [...document.body.querySelectorAll("*")]
    .filter((element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
    .filter(shown)
    .map((element) => {
      const ink = getComputedStyle(element)[element instanceof SVGElement ? "fill" : "color"];
      const [most, least] = [light(ink), light(behind(element))].sort((a, b) => b - a);
      return [(most + 0.05) / (least + 0.05), element.textContent.slice(0, 40), element instanceof SVGElement];
    });
})()
"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browser(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.fixture
def tab(chromium: Tab) -> Tab:
    chromium.open("about:blank")
    chromium.until("location.href === 'about:blank'")
    chromium.console.clear()
    chromium.requests.clear()
    chromium.size(WIDE, 900)
    chromium.scheme("light")
    return chromium


def opened(tab: Tab, folder: Path, text: str, *, figures: int = 6) -> Path:
    path = folder / "report.html"
    path.write_text(text, encoding="utf-8")
    tab.open(path.as_uri())
    tab.until(f"document.querySelectorAll('.plot.js-plotly-plot .main-svg').length >= {figures}")
    return path


def test_every_figure_is_drawn_without_errors_or_requests(tab: Tab, tmp_path: Path) -> None:
    path = opened(tab, tmp_path, as_html(a_report()))
    drawn = dict(tab.run(DRAWN))
    assert set(drawn) == {"decay", "markout", "round_trips", "outcomes", "thresholds", "lateness"}
    assert min(drawn.values()) > 3
    rows = 1 + len(a_report().groups)
    assert tab.run("document.querySelectorAll('#round_trips .point').length") == rows
    assert tab.run("document.querySelectorAll('#outcomes .barlayer .point').length") == 4 * rows
    assert tab.console == []
    assert tab.requests == [path.as_uri()]


def test_a_figure_shows_its_numbers_under_the_pointer(tab: Tab, tmp_path: Path) -> None:
    opened(tab, tmp_path, as_html(a_report()))
    tab.run("document.querySelector('#round_trips').scrollIntoView({block: 'center'})")
    x, y = tab.run(
        "(() => { const dot = document.querySelector('#round_trips .point').getBoundingClientRect();"
        " return [dot.x + dot.width / 2, dot.y + dot.height / 2]; })()"
    )
    for step in (6, 0):
        tab.send("Input.dispatchMouseEvent", type="mouseMoved", x=x + step, y=y)
    text = tab.until("document.querySelector('#round_trips .hoverlayer')?.textContent")
    assert "all, 6,000 signals" in text and "bps" in text


@pytest.mark.parametrize("make", [a_report, a_hostile_report, a_report_of_a_minute, a_report_of_nothing])
def test_on_a_phone_nothing_is_wider_than_the_screen(tab: Tab, tmp_path: Path, make: object) -> None:
    assert callable(make)
    tab.size(PHONE, 844, is_phone=True)
    opened(tab, tmp_path, as_html(make()), figures=2)
    tab.until(DRAWN)
    assert tab.run("document.documentElement.scrollWidth") <= PHONE
    assert tab.run("Math.max(...[...document.querySelectorAll('.plot')].map((plot) => plot.scrollWidth))") < PHONE
    assert tab.console == []


def test_a_figure_follows_the_windows_width(tab: Tab, tmp_path: Path) -> None:
    opened(tab, tmp_path, as_html(a_report()))
    tab.size(PHONE, 844)
    tab.until(f"document.querySelector('#decay .main-svg').getBoundingClientRect().width < {PHONE}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read(tab: Tab, tmp_path: Path, scheme: str) -> None:
    tab.scheme(scheme)
    opened(tab, tmp_path, as_html(a_report()))
    paper = tab.run("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(18, 21, 24)") is (scheme == "dark")
    contrasts = tab.run(CONTRASTS)
    assert sum(is_svg for _, _, is_svg in contrasts) > 30
    assert [(round(contrast, 2), text) for contrast, text, _ in contrasts if contrast < MIN_CONTRAST] == []


def test_hostile_names_do_no_harm(tab: Tab, tmp_path: Path) -> None:
    path = opened(tab, tmp_path, as_html(a_hostile_report()))
    tab.until(DRAWN)
    assert tab.run("document.querySelectorAll('img, iframe, a[href], svg a').length") == 0
    assert tab.run("document.querySelectorAll('script:not([type])').length") == 2
    assert (tab.console, tab.requests) == ([], [path.as_uri()])


def test_the_page_can_neither_make_requests_nor_run_added_scripts(tab: Tab, tmp_path: Path) -> None:
    opened(tab, tmp_path, as_html(a_report()))
    assert tab.run("fetch('http://127.0.0.1:9/').then(() => 'asked', () => 'refused')") == "refused"
    tab.run("document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'}))")
    assert tab.run("window.ran") is None
    assert tab.console and all("Content Security Policy" in message for message in tab.console)
