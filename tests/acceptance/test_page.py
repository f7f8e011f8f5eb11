"""The page of a running system, open in a real browser."""

import os
import re
import signal
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import psutil
import pytest

from hip3_tasks.clock import wall_ms
from hip3_tasks.domain.records import Dark
from hip3_tasks.run_file import RunFile
from hip3_tasks.store.market_facts import FeedMarkets
from tests.support.factories import T0_MS, a_market, a_signal
from tests.support.page import PageRig
from tests.support.up_system import UpSystem
from tests.support.waiting import eventually
from tools.browser import PROGRAM, Tab, browser

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="there is no Chromium"),
]

ROWS = "document.querySelectorAll('#market-rows tr:not([hidden])').length"
CHARTS = "document.querySelectorAll('.chart svg.main-svg').length"
BANNER = "document.querySelector('#banner')"
TEXT_OF_MARKETS = "document.querySelector('#market-rows').textContent"
FITS = "document.documentElement.scrollWidth <= window.innerWidth"
HOSTILE = "xyz:<img src=x onerror=\"document.title='owned'\">"


@pytest.fixture
def tab() -> Iterator[Tab]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, browser(Path(folder)) as tab:
        tab.size(1440, 900)
        yield tab


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpSystem]:
    """A running system, shared because it is slow to start; its killed processes are restarted."""
    system = UpSystem(tmp_path_factory.mktemp("page") / "data", "--rate", "6", "--no-flower", HIP3_PAGE_PORT="0")
    system.wait_for_lines("followups")
    yield system
    system.process.kill()
    for left in system.others():
        with suppress(psutil.NoSuchProcess):
            left.kill()  # no test needs its open captures
    system.wait_until_gone(within_s=15)


def url_of(system: UpSystem) -> str:
    run = RunFile.read(system.data_dir)
    assert run is not None and run.page_url is not None
    return run.page_url


def part_of(system: UpSystem, words: str) -> psutil.Process:
    """Wait until a part of the system runs, and return its first process."""

    def running() -> list[psutil.Process]:
        return [process for process in system.others() if words in " ".join(process.cmdline())]

    return min(eventually(f"{words} runs", running), key=lambda process: process.pid)


def opened(tab: Tab, url: str) -> None:
    tab.open(url)
    tab.until(f"{ROWS} > 0 && {CHARTS} > 0")


def test_a_trader_sees_markets_move_and_signals_captured(system: UpSystem, tab: Tab) -> None:
    part_of(system, "cli page")
    opened(tab, url_of(system))
    assert tab.run(ROWS) >= 55
    assert tab.run("document.querySelector('#simulated').checkVisibility()")
    rows_move(tab)
    a_signal_is_answered(tab)
    rows_are_sorted_and_filtered(tab)
    a_signal_opens(tab)
    it_says_what_a_taker_had(tab)
    it_fits_phone_and_night(tab)
    assert tab.console == []
    hosts = {urlsplit(url).netloc for url in tab.requests if not url.startswith("data:")}
    assert hosts == {urlsplit(url_of(system)).netloc}


def rows_move(tab: Tab) -> None:
    before = tab.run(TEXT_OF_MARKETS)
    tab.until(f"{TEXT_OF_MARKETS} !== {orjson.dumps(before).decode()}", within_s=3)


def a_signal_is_answered(tab: Tab) -> None:
    """Wait for a signal with three open cells; each must be filled soon after its due time."""
    newest = "document.querySelector('#signal-rows tr')"
    open_cells = "[...({row}?.querySelectorAll('.cell') ?? [])].filter((cell) => cell.matches('.open')).length"
    tab.until(f"{open_cells.format(row=newest)} === 3")
    chosen = tab.run(f"{newest}.dataset.id")
    row = f"document.querySelector('#signal-rows tr[data-id=\"{chosen}\"]')"
    tab.until(f"{row} && {open_cells.format(row=row)} === 0")
    # On a shared machine, a poll may be delayed.
    assert wall_ms() - int(chosen.rpartition("-")[2]) < 8_000


def rows_are_sorted_and_filtered(tab: Tab) -> None:
    names = (
        "[...document.querySelectorAll('#market-rows tr:not([hidden]) td:first-child')].map((cell) => cell.textContent)"
    )
    tab.click("#market-columns th:first-child button")
    sorted_names = tab.until(f"(() => {{ const n = {names}; return n.join() === [...n].sort().join() && n }})()")
    tab.click("#market-columns th:first-child button")
    tab.until(f"{names}.join() === {orjson.dumps(sorted_names[::-1]).decode()}.join()")
    for text, expected in (("tsla", ["xyz:TSLA"]), ("nothing has this name", [])):
        tab.run(f"document.querySelector('#filter').value = '{text}'")
        tab.run("document.querySelector('#filter').dispatchEvent(new Event('input'))")
        tab.until(f"{names}.join() === {orjson.dumps(expected).decode()}.join()")
    tab.run("document.querySelector('#filter').value = ''")
    tab.click("#by-edge")
    tab.until(f"{ROWS} >= 55")


def a_signal_opens(tab: Tab) -> None:
    tab.click("#signal-rows tr:nth-child(20)")
    tab.until("document.querySelector('#signal').open")
    tab.until("document.querySelectorAll('#signal-chart .scatterlayer .trace').length === 3")
    assert tab.run("document.querySelectorAll('#signal-cells tr').length") == 3
    tab.click("#signal-close")
    # The button is there until the last capture is on disk.
    tab.until("document.querySelector('#signal-rows tr:first-child .cell:last-child').matches('.open')")
    tab.click("#signal-rows tr:first-child")
    tab.until("document.querySelector('#recapture').checkVisibility()")
    tab.click("#recapture")
    tab.until("document.querySelector('#recapture-result').textContent === 'queued for T+1, T+3, T+5'")
    tab.click("#signal-close")
    tab.until("!document.querySelector('#signal').open")


def it_says_what_a_taker_had(tab: Tab) -> None:
    """Too few minutes have passed for a claim: the page says how many, and how many it takes."""
    tab.until("document.querySelector('#taken').textContent === 'too few to say'", within_s=30)
    why = tab.text("#taken-why")
    assert re.match(
        r"\d+ of 20 clusters; so far [+−]?\d+\.\d bps a round trip when had; had \d+\.\d % of \d+ today;", why
    )
    assert "in 1 s after T0, out 4 s later, by follow-ups alone" in why
    tab.until("document.querySelector('#came-why').textContent.includes('book came')")
    tab.until("document.querySelectorAll('#decay-rows tr').length === 4")
    cells = "[...document.querySelectorAll('#decay-rows tr:last-child td')].map((cell) => cell.textContent)"
    assert re.fullmatch(r"[+−]?\d+\.\d", tab.run(cells)[5])
    trips = "[...document.querySelectorAll('#signal-rows td:last-child')].map((cell) => cell.textContent)"
    tab.until(f"{trips}.some((text) => text === 'not had') && {trips}.some((text) => /^[+−]\\d/.test(text))")


def it_fits_phone_and_night(tab: Tab) -> None:
    brightness = "Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])"
    for scheme, is_so in (("light", "> 215"), ("dark", "< 40")):
        tab.scheme(scheme)
        tab.until(f"{brightness} {is_so}")
        for width, height, is_phone in ((360, 740, True), (800, 900, False), (1440, 900, False)):
            tab.size(width, height, is_phone=is_phone)
            tab.until(FITS)


def charts_have_a_preview_until_plotly_has_come(system: UpSystem, tab: Tab) -> None:
    tab.send("Network.setBlockedURLs", urls=["*/plotly.js"])
    tab.open(url_of(system))
    for chart in ("lateness", "decay"):
        tab.until(f"document.querySelectorAll('#{chart}-chart .preview path').length >= 4")
    tab.send("Network.setBlockedURLs", urls=[])
    opened(tab, url_of(system))
    assert tab.run("document.querySelectorAll('.preview').length") == 0


def test_the_page_marks_old_data_and_recovers(system: UpSystem, tab: Tab) -> None:
    charts_have_a_preview_until_plotly_has_come(system, tab)
    for words, text in (
        ("cli page", "No update from the page's server"),
        ("-m feed", "The state of the market is not known since"),
    ):
        stopped = part_of(system, words)
        stopped.suspend()
        tab.until(f"!{BANNER}.hidden && {BANNER}.textContent.includes({orjson.dumps(text).decode()})")
        assert tab.run("document.body.classList.contains('stale')")
        stopped.resume()
        tab.until(f"{BANNER}.hidden", within_s=30)
    for words in ("cli page", "valkey", "-m feed"):
        killed = part_of(system, words)
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait(30)
        part_of(system, words)
        signals = "document.querySelector('#signal-rows tr')?.dataset.id"
        newest = tab.run(signals)
        tab.until(f"{BANNER}.hidden && {signals} !== {orjson.dumps(newest).decode()}", within_s=40)
    # The console may name blocked requests and a server that is away, and no other error.
    expected = "ERR_BLOCKED", "ERR_CONNECTION", "ERR_INCOMPLETE"
    assert [text for text in tab.console if not any(error in text for error in expected)] == []


def test_hostile_names_are_text(redis_url: str, name: str, tmp_path: Path, tab: Tab) -> None:
    rig = PageRig(redis_url, name, tmp_path / "data")
    rig.write_feed_status(problems=[HOSTILE], notices=[HOSTILE, "xyz:NONE is not listed"])
    rig.markets(**{HOSTILE.removeprefix("xyz:"): a_market(), "GOOD": a_market()})
    line = orjson.loads(a_signal(at_ms=wall_ms()).line()) | {"market_key": HOSTILE, "signal_id": HOSTILE}
    rig.append(a_signal(at_ms=wall_ms()))
    (path,) = rig.data_dir.glob("signals_*")
    with path.open("ab") as file:
        file.write(orjson.dumps(line) + b"\n")
    with rig.running(NAME=name):
        tab.open(f"http://127.0.0.1:{rig.port}")
        tab.until(f"{ROWS} === 2 && document.querySelectorAll('#signal-rows tr').length === 2")
        shown = "[...document.querySelectorAll('#market-rows td, #signal-rows td')].map((cell) => cell.textContent)"
        assert tab.run(shown).count(HOSTILE) == 2
        assert HOSTILE in tab.text("#banner")
        assert tab.text("#notices") == f"{HOSTILE}; xyz:NONE is not listed"
        assert tab.run("document.querySelector('#notices').checkVisibility()")
        tab.run("[...document.querySelectorAll('#signal-rows tr')].find((row) => row.dataset.id.includes('<')).click()")
        tab.until("document.querySelector('#signal').open")
        tab.until("[...document.querySelectorAll('#decay-coin option')].length === 3")
        assert tab.run("document.querySelectorAll('img').length") == 0
        assert "owned" not in tab.run("document.title")
    assert [text for text in tab.console if "ERR_CONNECTION" not in text] == []


def test_a_gap_has_its_reason_and_delisted_rows_are_shown_on_request(
    redis_url: str, name: str, tmp_path: Path, tab: Tab
) -> None:
    rig = PageRig(redis_url, name, tmp_path / "data")
    rig.write_feed_status()
    rig.markets(GOOD=a_market())
    with rig.running():
        tab.open(f"http://127.0.0.1:{rig.port}")
        tab.until(f"{ROWS} === 1")
        tab.click("#delisted")
        tab.until(f"{ROWS} === 2")
        assert tab.text("#market-rows tr[data-coin='xyz:OLD'] .state") == "delisted"
        rig.client.delete(rig.keys.tape("xyz:GOOD"))
        state = "document.querySelector(\"#market-rows tr[data-coin='xyz:GOOD'] .state\")"
        tab.until(f"{state}.textContent === 'gap' && {state}.title === 'the tape has no entry of it'")
        tab.run("document.querySelector('#decay-coin').value = 'xyz:GOOD'")
        rig.client.set(rig.keys.markets, FeedMarkets(markets={}, delisted=["xyz:OLD"]).model_dump_json())
        tab.until(f"{ROWS} === 1")
        assert tab.run("document.querySelector('#decay-coin').value") == "xyz:GOOD"


def test_dark_markets_are_named_above_the_table(redis_url: str, name: str, tmp_path: Path, tab: Tab) -> None:
    rig = PageRig(redis_url, name, tmp_path / "data")
    rig.write_feed_status()
    dark = [
        Dark(coin=f"xyz:D{number}", cause=f"subscription refused: {HOSTILE}", since_ms=T0_MS) for number in range(5)
    ]
    rig.markets(*dark, GOOD=a_market())
    with rig.running():
        tab.open(f"http://127.0.0.1:{rig.port}")
        tab.until(f"{ROWS} === 1")
        tab.until("document.querySelector('#dark').checkVisibility()")
        text = tab.text("#dark")
        assert text.startswith(f"5 dark: xyz:D0: subscription refused: {HOSTILE}, since 09:11:41 UTC; xyz:D1: ")
        assert text.endswith("; and 2 more")
        assert "xyz:D4" in tab.run("document.querySelector('#dark').title")
        assert tab.run("document.querySelectorAll('img').length") == 0
        rig.markets(GOOD=a_market())
        tab.until("!document.querySelector('#dark').checkVisibility()")


def test_revoked_captures_are_named_beside_the_pending_ones(
    redis_url: str, name: str, tmp_path: Path, tab: Tab
) -> None:
    rig = PageRig(redis_url, name, tmp_path / "data")
    rig.write_feed_status()
    facts = "document.querySelector('#pipeline-facts')?.textContent"
    with rig.running():
        tab.open(f"http://127.0.0.1:{rig.port}")
        tab.until(f"{facts}.includes('0 overdue') && !{facts}.includes('revoked')")
        capture = a_signal().captures()[0]
        rig.client.zadd(rig.keys.revoked, {capture.member: capture.due_at_ms})
        tab.until(f"{facts}.includes('0 overdue, 1 revoked')")


def test_a_repeated_state_is_no_news_and_a_server_that_is_away_is_reported(
    redis_url: str, name: str, tmp_path: Path, tab: Tab
) -> None:
    rig = PageRig(redis_url, name, tmp_path / "data")
    rig.write_feed_status()
    rig.markets(GOOD=a_market())
    rig.append(a_signal(at_ms=wall_ms()))
    with rig.running():
        tab.open(f"http://127.0.0.1:{rig.port}")
        tab.until(f"document.querySelectorAll('#signal-rows tr').length === 1 && {BANNER}.hidden")
        rig.write_feed_status(frames={"bbo": 10**30})  # cannot be shown: a new request gets the previous state
        tab.until(f"{BANNER}.textContent.includes('No update from the page')")
        seconds = f"Number({BANNER}.textContent.match(/for ([0-9]+) s/)?.[1] ?? 0)"
        tab.until(f"{seconds} >= 13", within_s=20)
    tab.run("document.querySelector('#signal-rows tr').click()")
    tab.until("document.querySelector('#signal').open")
    assert tab.text("#signal-words") == "the page's server does not answer"
