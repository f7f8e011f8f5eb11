"""Page and report for everyone: WCAG 2.2 A and AA by axe-core, in both themes, on a desktop and on a phone."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hip3_tasks.analysis.reporting.html import as_html
from hip3_tasks.clock import wall_ms
from hip3_tasks.domain.edge import Side
from hip3_tasks.domain.market import Gap
from hip3_tasks.domain.outcome import MOVES
from hip3_tasks.domain.records import Dark, MissedReason
from tests.support.axe import violations
from tests.support.factories import a_calm_market, a_followup, a_market, a_missed, a_signal
from tests.support.page import PageRig
from tests.support.report_samples import a_report
from tools.browser import PROGRAM, Tab, browser

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="there is no Chromium"),
]

SIZES = {"desktop": (1440, 900, False), "phone": (360, 740, True)}
MAX_LAYOUT_SHIFT = 0.1
"""The greatest sum of layout shifts that counts as good."""
OBSERVE_SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => window.shifts.push(...list.getEntries().map((entry) => entry.toJSON())))
  .observe({ type: "layout-shift" });
"""


class Site(NamedTuple):
    rig: PageRig
    report: Path


@pytest.fixture(scope="module")
def site(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A page with every outcome and state of a market, and a report."""
    folder = tmp_path_factory.mktemp("site")
    rig = PageRig(redis_url, "test-accessibility", folder / "data")
    healthy(rig)
    fill(rig)
    report = folder / "report.html"
    report.write_text(as_html(a_report()), encoding="utf-8")
    with rig.running():
        yield Site(rig, report)


def healthy(rig: PageRig) -> None:
    rig.write_feed_status(is_simulated=True)
    rig.markets(GOOD=a_market(), CALM=a_calm_market(), GONE=Gap("connection lost"))


def fill(rig: PageRig) -> None:
    """Signals with every outcome, of which the newest is open."""
    newest_ms = wall_ms() - 60_000
    for number in range(40):
        side, kind = list(Side)[number % 2], number % 6
        signal = a_signal(f"xyz:T{number}", at_ms=newest_ms - number * 1000, side=side)
        rig.append(signal)
        if kind == 5:
            rig.append(*(a_missed(signal, offset, reason=MissedReason.FEED_GAP) for offset in signal.offsets_ms))
        elif kind:
            # Edge, market and oracle: the book came, the oracle came, nothing moved, the edge widened.
            moves = [(-9.0, 9.0 * side.sign, 0.0), (-9.0, 0.0, -9.0 * side.sign), (0.0, 0.0, 0.0), (3.0, 0.0, 0.0)]
            moved = dict(zip(MOVES, moves[kind - 1], strict=True))
            rig.append(*(a_followup(signal, offset, **moved) for offset in signal.offsets_ms))


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browser(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.fixture(params=SIZES)
def tab(request: pytest.FixtureRequest, chromium: Tab) -> Tab:
    width, height, is_phone = SIZES[request.param]
    chromium.size(width, height, is_phone=is_phone)
    chromium.open("about:blank")
    chromium.until("location.href === 'about:blank'")
    return chromium


def open_page(tab: Tab, site: Site) -> None:
    tab.open(f"http://127.0.0.1:{site.rig.port}")
    tab.until(
        "document.querySelectorAll('#market-rows tr').length && document.querySelectorAll('#signal-rows tr').length"
    )
    tab.until("document.querySelectorAll('.chart svg.main-svg').length >= 2")


def open_signal(tab: Tab, site: Site) -> None:
    open_page(tab, site)
    tab.click("#signal-rows tr:nth-child(2) button")
    tab.until("document.querySelector('#signal').open")


def open_red_page(tab: Tab, site: Site) -> None:
    """Nothing is well: problems, notices, a dark market, and an old watermark."""
    old_ms = wall_ms() - 60_000
    site.rig.write_feed_status(problems=["a problem"], notices=["a notice"], watermark_ms=old_ms)
    site.rig.markets(Dark(coin="xyz:DARK", cause="subscription refused", since_ms=old_ms), GOOD=a_market())
    open_page(tab, site)
    tab.until("document.body.classList.contains('stale')")


def open_report(tab: Tab, site: Site) -> None:
    tab.open(site.report.as_uri())
    tab.until("document.querySelectorAll('.plot.js-plotly-plot .main-svg').length >= 6")


View = Callable[[Tab, Site], None]
OPENED: dict[str, View] = {"page": open_page, "signal": open_signal, "red page": open_red_page, "report": open_report}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("open_view", OPENED.values(), ids=OPENED)
def test_axe_finds_no_violation(site: Site, tab: Tab, scheme: str, open_view: View) -> None:
    tab.scheme(scheme)
    try:
        open_view(tab, site)
        assert violations(tab) == []
    finally:
        healthy(site.rig)


@pytest.mark.parametrize("open_view", [open_page, open_signal, open_report], ids=["page", "signal", "report"])
def test_every_stop_of_the_tab_key_has_a_name(site: Site, tab: Tab, open_view: View) -> None:
    open_view(tab, site)
    stops = [node for node in tree(tab) if is_focusable(node)]
    assert len(stops) > 3
    assert [node for node in stops if not node["name"]["value"]] == []


def test_a_dialog_has_the_name_of_its_signal(site: Site, tab: Tab) -> None:
    open_signal(tab, site)
    assert [node["name"]["value"] for node in tree(tab) if node["role"]["value"] == "dialog"] == ["xyz:T1 sell"]


def is_focusable(node: dict[str, Any]) -> bool:
    return any(part["name"] == "focusable" and part["value"]["value"] for part in node["properties"])


def tree(tab: Tab) -> list[dict[str, Any]]:
    """The nodes that a screen reader gets."""
    nodes = tab.send("Accessibility.getFullAXTree")["nodes"]
    return [node for node in nodes if not node["ignored"]]


def test_arrows_go_through_the_signals_which_are_one_stop_of_the_tab_key(site: Site, tab: Tab) -> None:
    open_page(tab, site)
    stops = "document.querySelectorAll('#signal-rows [tabindex=\"0\"]').length"
    name = "document.activeElement.textContent"
    assert tab.run(f"{stops}") == 1
    tab.run("document.querySelector('#signal-rows [tabindex=\"0\"]').focus()")
    assert tab.run(name) == "xyz:T0"
    for key, expected in (("ArrowDown", "xyz:T1"), ("ArrowDown", "xyz:T2"), ("ArrowUp", "xyz:T1")):
        press(tab, key)
        assert (tab.run(name), tab.run(stops)) == (expected, 1)
    press(tab, "Enter", text="\r")
    tab.until("document.querySelector('#signal').open")
    assert tab.text("#signal-title") == "xyz:T1 sell"


def press(tab: Tab, key: str, **more: str) -> None:
    for kind in ("keyDown", "keyUp"):
        tab.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, **more)


@pytest.mark.parametrize("open_view", [open_page, open_report], ids=["page", "report"])
def test_nothing_moves_while_it_loads(site: Site, tab: Tab, open_view: View) -> None:
    script = tab.send("Page.addScriptToEvaluateOnNewDocument", source=OBSERVE_SHIFTS)
    try:
        open_view(tab, site)
    finally:
        tab.send("Page.removeScriptToEvaluateOnNewDocument", **script)
    loaded_ms = tab.run("performance.now()")
    # A great shift, made here, is reported after those of the loading.
    tab.run("document.querySelector('main').style.marginTop = '300px'")
    shifts = tab.until(f"window.shifts.some((s) => s.startTime > {loaded_ms} && s.value > 0.05) && window.shifts")
    assert sum(shift["value"] for shift in shifts if shift["startTime"] <= loaded_ms) < MAX_LAYOUT_SHIFT


def test_an_outcome_has_the_same_colour_on_page_and_report(site: Site, tab: Tab) -> None:
    open_report(tab, site)
    rgb = "match(/\\d+/g).slice(0, 3)"
    bars = (
        f"[...document.querySelectorAll('#outcomes .bars .point:first-child path')].map((bar) => bar.style.fill.{rgb})"
    )
    names = "[...document.querySelectorAll('#outcomes .legendtext')].map((name) => name.textContent.replace(' ', '_'))"
    report = dict(zip(tab.run(names), tab.run(bars), strict=True))
    open_page(tab, site)
    for place in (".key", "#came-bar"):
        marks = f"[...document.querySelectorAll('{place} i:not(.missed)')]"
        page = tab.run(f"{marks}.map((mark) => [mark.className, getComputedStyle(mark).backgroundColor.{rgb}])")
        assert dict(page) == report


def test_the_colours_have_a_key(site: Site, tab: Tab) -> None:
    open_page(tab, site)
    assert tab.run("document.querySelector('.key').checkVisibility()")


def test_capture_again_is_offered_where_something_is_open(site: Site, tab: Tab) -> None:
    open_page(tab, site)
    shown = "[...document.querySelectorAll('#recapture, #recapture-command')].map((part) => part.checkVisibility())"
    for place, is_open in ((1, True), (2, False), (6, False), (7, True)):
        tab.click(f"#signal-rows tr:nth-child({place}) button")
        tab.until("document.querySelector('#signal').open")
        assert tab.run(shown) == [is_open] * 2
        tab.click("#signal-close")
