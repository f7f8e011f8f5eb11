"""Reports for tests: from a made history, from one minute, without follow-ups, and with hostile names."""

from functools import cache
from pathlib import Path

from hip3_tasks.analysis.loading.quality import DataQuality, FileQuality
from hip3_tasks.analysis.reporting.model import Report
from simulator.history import HistoryPlan, frames
from simulator.history.report import report_on

HOSTILE = (
    "</script><script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "x:&lt;b&gt; \\ \x1b[31m \u2028 ' \" `",
    "x:" + "LONG" * 200,
    "<a href='javascript:alert(1)'>x</a>",
    "10:00",
)


@cache
def a_report() -> Report:
    """Six hours of six markets, with some missed follow-ups and some broken lines."""
    history = frames(HistoryPlan(signals=6_000, hours=6, markets=6, copies=3.0, seed=3))
    report = report_on(history.signals, history.followups)
    file = FileQuality(
        file=Path("/data/followups_2026-01-20.jsonl"), kind="followups", rows=17_700, broken=2, torn_bytes=9
    )
    notes = DataQuality(dirs=[Path("/data")], files=[file], duplicates={"followups": 3}, watched=["xyz:TSLA"])
    coverage = report.coverage.model_copy(update={"missed": {"feed_gap": 12, "no_quote": 3}, "markets_watched": 1})
    return report.model_copy(update={"notes": notes, "coverage": coverage})


@cache
def a_report_of_a_minute() -> Report:
    """One cluster, and therefore no bands."""
    history = frames(HistoryPlan(signals=6_000, hours=6, markets=6, copies=3.0, seed=3))
    until_ms = history.signals["timestamp_ms"].min() // 60_000 * 60_000 + 60_000
    return report_on(
        history.signals.filter(history.signals["timestamp_ms"] < until_ms),
        history.followups.filter(history.followups["signal_timestamp_ms"] < until_ms),
    )


def a_report_of_nothing() -> Report:
    """A report without follow-ups."""
    report = a_report()
    total = report.total.model_copy(
        update={"horizons": [], "trips": [], "judged": None, "captured": 0, "cost_bps": None}
    )
    coverage = report.coverage.model_copy(update={"captured": 0, "expected": 0, "missed": {}})
    empty = {"total": total, "groups": [], "lateness": [], "search": None, "coverage": coverage}
    return report.model_copy(update=empty)


def a_hostile_report() -> Report:
    """Every name that comes from a file tries to inject HTML, scripts or control characters."""
    report = a_report()
    assert report.search is not None
    named = zip(report.groups, HOSTILE, strict=True), zip(report.search.choices, HOSTILE, strict=True)
    groups = [group.model_copy(update={"name": name}) for group, name in named[0]]
    choices = [choice.model_copy(update={"market": name}) for choice, name in named[1]]
    notes = report.notes.model_copy(
        update={
            "dirs": [Path("/data/" + HOSTILE[0])],
            "files": [
                FileQuality(file=Path("/data/" + HOSTILE[1]), kind=HOSTILE[2], rows=1, broken=1, broken_lines=[1])
            ],
            "duplicates": {HOSTILE[0]: 1},
            "absent_coins": {HOSTILE[0]: HOSTILE[1]},
        }
    )
    missed = dict.fromkeys(HOSTILE[:3], 1) | {"a.dot~": 2}
    changes = {
        "groups": groups,
        "search": report.search.model_copy(update={"choices": choices}),
        "notes": notes,
        "coverage": report.coverage.model_copy(update={"missed": missed}),
    }
    return report.model_copy(update=changes)
