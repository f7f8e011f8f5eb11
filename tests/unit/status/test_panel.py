"""The panel of `hip3 up` and `hip3 status` at every width."""

import io
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from hip3_tasks.domain.records import Dark
from hip3_tasks.status.line_counts import LineCounts
from hip3_tasks.status.market_rows import MarketRow, MarketStatus
from hip3_tasks.status.outcome_sums import OutcomeSummary, TripSummary
from hip3_tasks.status.redis_snapshot import RedisSnapshot
from hip3_tasks.status.system_status import SystemStatus
from hip3_tasks.status.terminal import panel, plain
from hip3_tasks.status.view import View, essence, summary
from hip3_tasks.status.wrapping import MAX_LINE
from hip3_tasks.store.worker_status import WorkerStatus
from tests.support.factories import T0_MS

NUMBER = re.compile(r"[−+]?\d[\d,.]*\d|\d")
MARKETS = [
    MarketRow(coin=coin, state=MarketStatus.LIVE, buy_edge_bps=edge_bps, threshold_bps=6.9)
    for coin, edge_bps in (("para:BANKS", 16.2), ("xyz:DELL", 16.1), ("xyz:INTC", 12.1), ("xyz:TSLA", 9.5))
]
NOTHING_YET = SystemStatus.from_parts(LineCounts(), RedisSnapshot(at_ms=T0_MS))


TRIP = TripSummary(
    latency_ms=1000,
    held_ms=4000,
    n=1_234_567,
    too_small=12_345,
    had=0.6172,
    trips=760_000,
    round_trip_bps=-1_201.25,
)


def a_status(**changes: Any) -> SystemStatus:
    """A status with long numbers only."""
    offsets_ms = (1000, 3000, 5000, 60_000)
    outcomes = OutcomeSummary(
        outcomes={"book_came": 765_432, "oracle_came": 222_222, "widened": 246_913},
        markouts=1_234_567,
        markout_bps=-1_203.456,
        nets=1_234_567,
        net_bps=3.1251,
    )
    values: dict[str, Any] = {
        "signals": 1_234_567,
        "followups": 3_703_700,
        "followups_by_offset_ms": dict.fromkeys(offsets_ms, 1_234_567),
        "missed": 987_654,
        "missed_by_reason": {"feed_gap": 123_456, "no_quote": 654_321, "no_oracle": 9_876, "expired": 200_001},
        "lateness_ms": {"p50": 1_008, "p99": 61_430, "max": 1_602_598},
        "pending": 12_345,
        "overdue": 11_111,
        "watermark_age_ms": 1_234,
        "markets_live": 1_058,
        "markets_followed": 1_060,
        "sockets": 12,
        "reconnects": 1,
        "frames_per_s": 19_123.4,
        "lag_p50_ms": 1_251,
        "server_bytes": 1_290_000_000,
        "tape_since_ms": T0_MS,
        "tape_bytes": 12_345_600_000,
        "tape_behind_ms": 75_004,
        "workers": [WorkerStatus(name="w", at_ms=T0_MS, pid=1, processes=12, most_processes=128, held=7)] * 3,
        "outcomes_by_offset_ms": {5000: outcomes},
        "trips": [TRIP],
    }
    return NOTHING_YET.model_copy(update=values | changes)


def a_view(**changes: Any) -> View:
    values: dict[str, Any] = {
        "title": "hip3 up, simulated venue, 86,433 s, draining",
        "status": a_status(),
        "markets": MARKETS,
        "problems": ["the watermark has stood for 1,234 s", "no market is live: http://127.0.0.1:43363/ws: no answer"],
        "notices": ["markets are heard 3.2 s late"],
        "places": {"flower": "http://127.0.0.1:46281", "data": "/srv/hip3/data/mainnet/signals"},
        "next_steps": ["open http://127.0.0.1:8700", "hip3 report /srv/hip3/data/mainnet/signals"],
    }
    return View(**(values | changes))


def on_terminal(view: View, width: int, height: int | None = None) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as capture:
        console.print(panel(view, width=width, height=height))
    return capture.get().rstrip("\n").split("\n")


def numbers(lines: Sequence[str]) -> list[str]:
    return [number for line in lines for number in NUMBER.findall(line)]


@pytest.mark.parametrize("width", [60, 80, 120, 500])
def test_no_number_is_broken_between_lines_of_the_panel(width: int) -> None:
    lines = on_terminal(a_view(), width)
    assert {len(line) for line in lines} == {width}
    assert numbers(lines) == numbers(on_terminal(a_view(), 2_000))
    assert all(line[0] in "╭│╰" and line[-1] in "╮│╯" for line in lines)


@pytest.mark.parametrize("width", range(20, 60, 7))
def test_a_very_narrow_terminal_breaks_no_frame(width: int) -> None:
    assert {len(line) for line in on_terminal(a_view(), width)} == {width}


@pytest.mark.parametrize("height", [16, 20, 24, 30, 50])
def test_a_low_terminal_leaves_out_rows_but_not_the_outcomes(height: int) -> None:
    whole, lines = on_terminal(a_view(), 120), on_terminal(a_view(), 120, height)
    assert len(lines) <= height
    assert set(lines) <= set(whole)
    shown = "\n".join(lines)
    for kept in ("signals", "taken", "right", "follow-ups", "red", "next", "hip3 report"):
        assert kept in shown
    assert (lines == whole) == (height >= len(whole))


def test_the_panel_begins_with_outcomes_and_ends_with_next_steps() -> None:
    lines = [line.strip("│ ") for line in on_terminal(a_view(problems=[]), 120)]
    assert "simulated venue" in lines[0]
    assert lines[1:6] == [
        "signals     1,234,567",
        "taken       in after 1 s, out 4 s later: a round trip when had −1,201.25 bps, had 62 % of 1,234,567,",
        "12,345 below 10 USD left out",
        "right       after 5 s: the book came 62 %, the oracle came 18 % of 1,234,567",
        "markout     after 5 s: −1,203.46 bps, net of cost +3.13 bps",
    ]
    assert lines[-3:-1] == [
        "next        open http://127.0.0.1:8700",
        "hip3 report /srv/hip3/data/mainnet/signals",
    ]


def test_an_unknown_value_is_shown_as_unknown_and_never_as_zero() -> None:
    view = a_view(status=NOTHING_YET)
    assert "right       none yet" in plain(view)
    assert any(line.startswith("lateness    p50 ?") for line in plain(view))
    (line,) = essence(replace(view, title="hip3 up"))
    assert "right: none yet" in line and "pending ? " in line
    one_sided = OutcomeSummary(outcomes={"widened": 3}, markouts=0, markout_bps=None, nets=0, net_bps=None)
    view = a_view(status=a_status(outcomes_by_offset_ms={1000: one_sided}))
    assert "right       after 1 s: the book came 0 %, the oracle came 0 % of 3" in plain(view)
    assert "markout     after 1 s: ? bps, net of cost ? bps" in plain(view)


def test_a_taker_is_left_out_before_there_is_an_order() -> None:
    assert not any(line.startswith("taken") for line in plain(a_view(status=a_status(trips=[]))))
    nothing = TRIP.model_copy(update={"n": 0, "had": None, "trips": 0, "round_trip_bps": None})
    assert "taken       12,345 below 10 USD left out" in plain(a_view(status=a_status(trips=[nothing])))
    unknown = TRIP.model_copy(update={"trips": 0, "round_trip_bps": None, "too_small": 0})
    (line,) = [line for line in plain(a_view(status=a_status(trips=[unknown]))) if line.startswith("taken")]
    assert line.endswith("a round trip when had ? bps, had 62 % of 1,234,567")


def test_dark_markets_are_named_with_cause_and_time() -> None:
    names = ("xyz:A", "xyz:B", "xyz:C", "xyz:D", "xyz:E")
    dark = [Dark(coin=name, cause="subscription not answered", since_ms=T0_MS) for name in names]
    (line,) = [line for line in plain(a_view(status=a_status(dark=dark[:1]))) if line.startswith("dark")]
    assert line == "dark        1 market: xyz:A (subscription not answered, since 09:11:41 UTC)"
    text = " ".join(" ".join(plain(a_view(status=a_status(dark=dark)))).split())
    assert "dark 5 markets: xyz:A (" in text and "xyz:C (" in text and "and 2 more" in text and "xyz:D (" not in text
    for nothing in ([], None):
        assert not any(line.startswith("dark") for line in plain(a_view(status=a_status(dark=nothing))))


def test_the_lag_stands_where_it_is_known() -> None:
    assert "books 1,251 ms after their block" in " ".join(" ".join(plain(a_view())).split())
    assert "block" not in "\n".join(plain(a_view(status=a_status(lag_p50_ms=None))))


def test_numbers_agree_with_their_nouns() -> None:
    for reconnects, text in ((0, "0 reconnects"), (1, "1 reconnect,"), (None, "? reconnects")):
        assert text in "\n".join(plain(a_view(status=a_status(reconnects=reconnects))))
    assert "RED: 1 problem" in essence(a_view(title="", problems=["x"]))[-1]


LONG = "/" + "/".join(["a long way down"] * 40)
MANY = [f"problem {number} of many, which is told at some length so that it needs room" for number in range(50)]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"title": LONG, "places": {"data": LONG}, "next_steps": [f"hip3 report {LONG}"]},
        {"problems": MANY, "notices": MANY},
        {"problems": ["x" * 3_000]},
        {"status": a_status(missed_by_reason={f"reason_{number}": 1_000 for number in range(40)})},
    ],
)
def test_without_a_terminal_every_line_is_short_and_no_number_is_cut(changes: dict[str, Any]) -> None:
    view = a_view(**changes)
    for lines in (plain(view), essence(view), summary(view.status)):
        assert all(len(line) <= MAX_LINE < 160 for line in lines)
        assert not any("\n" in line for line in lines)
    assert numbers(summary(view.status)) == numbers([" ".join(summary(view.status))])
    assert f"and {len(view.problems) - 5} more" in "\n".join(plain(view)) or len(view.problems) <= 5


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_summary_fits_the_terminal_and_cuts_no_number(width: int) -> None:
    lines = summary(a_status(), width=width)
    assert all(len(line) <= width for line in lines)
    assert numbers(lines) == numbers(summary(a_status(), width=10_000))


def test_the_summary_of_a_run() -> None:
    assert summary(NOTHING_YET) == [
        "this run: signals 0 | right none yet | follow-ups 0 | missed 0 | lateness p50 ?, p99 ?, max ? | pending ?"
    ]


def test_an_ordinary_view_is_one_line() -> None:
    outcomes = OutcomeSummary(
        outcomes={"book_came": 50, "widened": 29}, markouts=79, markout_bps=3.0, nets=79, net_bps=1.1
    )
    ordinary = {"signals": 81, "missed": 1, "pending": 3, "markets_live": 60, "markets_followed": 60}
    trip = TRIP.model_copy(update={"round_trip_bps": -1.2})
    status = a_status(**ordinary, lateness_ms={"p99": 1_430}, outcomes_by_offset_ms={5000: outcomes}, trips=[trip])
    view = a_view(title="hip3 up, simulated venue, 33 s, running", problems=[], status=status)
    (line,) = essence(view)
    assert line.split(" | ") == [
        "hip3 up, simulated venue, 33 s, running",
        "signals 81",
        "trip −1.20 bps, had 62 %",
        "right 63 %",
        "missed 1",
        "late p99 1,430 ms",
        "pending 3",
        "60 of 60 live",
    ]


def test_the_kept_tape_is_shown_where_a_recorder_runs() -> None:
    (row,) = [line for line in plain(a_view()) if line.startswith("tape ")]
    assert row.split(None, 1)[1] == "kept since 2026-11-22 09:11 UTC, 12,345.6 MB, 75,004 ms behind"
    fresh = a_status(tape_since_ms=None, tape_bytes=0, tape_behind_ms=12)
    assert any("nothing on disk yet, 0.0 MB, 12 ms behind" in line for line in plain(a_view(status=fresh)))
    assert not [line for line in plain(a_view(status=a_status(tape_behind_ms=None))) if line.startswith("tape ")]
